//! Which figures there are, and what each should reach.

use super::{
    figure::{Aim, Figure, Limit, MANY_KEYS, MIX, Phase, Prepared, Site, Stage, Unit},
    scale::Scale,
};
use crate::{
    args::{Operation, OperationMix},
    size::format_size,
    stages::{composed::Way, http::Exchange, transport::Carrier},
};

/// Large objects against the composed pipeline. Source: the aim of the project.
const LARGE_AIM: Aim = Aim::AtLeast(0.7);
/// Reads with two drives gone against healthy ones. Source: the aim of the project.
const DEGRADED_AIM: Aim = Aim::AtLeast(0.8);
/// Small reads against HTTP alone. Source: the aim of the project.
const SMALL_GET_AIM: Aim = Aim::AtLeast(0.5);
/// Through a mesh against the same cores without one. Source: the aim of the project.
const MESH_AIM: Aim = Aim::AtLeast(0.6);
/// What should be equal. Chosen: the noise of a shared machine.
const EQUAL_AIM: Aim = Aim::AtLeast(0.9);
/// Costs that should not grow. Chosen: likewise, and processor time is counted in ticks.
pub(crate) const FLAT_AIM: Aim = Aim::AtMost(1.25);

/// Bytes of one entry of a listing. Measured: a page of 1,000 keys of `bench` is 330 KB.
const ENTRY_LEN_BYTES: u64 = 330;
/// Value of the rows that a commit of a small object writes, beside its content.
const RECORD_LEN_BYTES: usize = 500;
/// All figures, in the order in which they are measured.
pub(crate) fn all(scale: &Scale) -> Vec<Figure> {
    let mut figures = large_puts(scale);
    figures.extend(large_gets(scale));
    figures.extend(medium_and_huge(scale));
    figures.extend(small(scale));
    figures.extend(tiny(scale));
    figures.extend(mesh(scale));
    figures.extend(lists(scale));
    figures
}

fn stripe_len(len_bytes: u64) -> usize {
    let stripe = u64::from(node_stripe::Profile::default().stripe_len_bytes);
    usize::try_from(len_bytes.min(stripe)).expect("a stripe fits into memory")
}

fn composed(way: Way, len_bytes: u64) -> Stage {
    Stage::Composed(way, stripe_len(len_bytes))
}

fn http(operation: Operation, len_bytes: u64, concurrency: u16) -> Stage {
    Stage::Http(Exchange::new(operation, len_bytes, concurrency))
}

/// Compares a figure with the object service in this process, too.
fn and_without_http(figure: Figure, operation: Operation, len_bytes: u64, at_once: u16) -> Figure {
    let stage = Stage::Object(Exchange::new(operation, len_bytes, at_once));
    figure.and_against(" (limit: object service without HTTP)", Limit::Stage(stage), None)
}

fn prepared(bucket: &'static str, len_bytes: u64, objects: u64) -> Prepared {
    Prepared { bucket, len_bytes, objects, first: 0 }
}

fn put(len_bytes: u64, concurrency: u16) -> Figure {
    let size = format_size(len_bytes);
    Figure::write(
        format!("PUT {size}, {concurrency} at once"),
        format!("put --size {size} --concurrency {concurrency} --payload unsigned"),
        Unit::Throughput,
    )
}

fn get(reads: Prepared, concurrency: u16) -> Figure {
    let size = format_size(reads.len_bytes);
    Figure::read(
        format!("GET {size}, {concurrency} at once"),
        format!("get --size {size} --concurrency {concurrency}"),
        Unit::Throughput,
        reads,
    )
}

fn degraded(figure: &Figure) -> Figure {
    Figure {
        row: format!("{}, two drives gone", figure.row),
        site: Site::Degraded,
        comparisons: Vec::new(),
        ..figure.clone()
    }
    .against(Limit::Figure(figure.row.clone()), Some(DEGRADED_AIM))
}

/// Compares a large figure with the stages that a byte goes through on shared cores.
fn and_apart(figure: Figure, way: Way, operation: Operation, len: u64, at_once: u16) -> Figure {
    let shared = Limit::Shared(composed(way, len), http(operation, len, at_once));
    let figure = figure.and_against(" (limit with HTTP on the same cores)", shared, None);
    and_without_http(figure, operation, len, at_once)
}

fn large_puts(scale: &Scale) -> Vec<Figure> {
    let Scale { large: len, concurrency: [one, some, many], .. } = *scale;
    let limit = || Limit::Stage(composed(Way::Put, len));
    let size = format_size(len);
    let part = format_size(len.min(8 << 20));
    let at_once = |each| put(len, each).against(limit(), Some(LARGE_AIM));
    let mut signed = put(len, some).against(limit(), None);
    signed.row = format!("{}, SHA-256 signed", signed.row);
    signed.line = signed.line.replace("--payload unsigned", "--payload signed");
    vec![
        at_once(one),
        and_apart(at_once(some), Way::Put, Operation::Put, len, some),
        at_once(many),
        signed,
        Figure::write(
            format!("multipart {size}, {some} at once"),
            format!(
                "multipart --size {size} --part-size {part} --concurrency {some} --payload unsigned"
            ),
            Unit::Throughput,
        )
        .against(limit(), None),
    ]
}

fn large_gets(scale: &Scale) -> Vec<Figure> {
    let Scale { large: len, concurrency: [one, some, many], large_objects, .. } = *scale;
    let limit = |way| Limit::Stage(composed(way, len));
    let set = || prepared("large", len, large_objects);
    let size = format_size(len);
    let range = format_size(scale.small);
    let at_once = |each| get(set(), each).against(limit(Way::Get), Some(LARGE_AIM));
    let first = Figure::write(
        format!("GET {size}, {some} at once, first reads"),
        format!("get --once --size {size} --concurrency {some} --objects {large_objects}"),
        Unit::Throughput,
    );
    let ranged = Figure::read(
        format!("ranged GET {range} of {size}, {many} at once"),
        format!("ranged-get --size {size} --range-size {range} --concurrency {many}"),
        Unit::Throughput,
        set(),
    );
    let without_two = degraded(&at_once(some));
    vec![
        at_once(one),
        and_apart(at_once(some), Way::Get, Operation::Get, len, some),
        without_two.and_against(" (limit: composed)", limit(Way::DegradedGet), Some(LARGE_AIM)),
        at_once(many),
        first.against(limit(Way::FirstGet), Some(LARGE_AIM)),
        ranged.against(Limit::Stage(http(Operation::Get, scale.small, many)), None),
    ]
}

/// The same through a gateway and six nodes, which share the cores with everything else.
fn mesh(scale: &Scale) -> Vec<Figure> {
    let Scale { large: len, tiny, concurrency: [_, some, many], large_objects, .. } = *scale;
    let through = |figure: Figure, carrier: Option<Carrier>, way: Option<Way>| {
        let embedded = Limit::Figure(figure.row.clone());
        let mut through = Figure {
            row: format!("{} through six nodes", figure.row),
            site: Site::Mesh,
            comparisons: Vec::new(),
            ..figure
        }
        .against(embedded, Some(MESH_AIM));
        for carrier in [Some(Carrier::Tcp), carrier].into_iter().flatten() {
            let limit = Limit::Stage(Stage::Transport(carrier));
            through = through.and_against(carrier.suffix(), limit, None);
        }
        if let Some(way) = way {
            let limit = Limit::Stage(composed(way, len));
            through = through.and_against(" (limit: composed)", limit, None);
        }
        through
    };
    let set = || prepared("large", len, large_objects);
    let keys = || prepared("tiny", tiny, scale.few_keys);
    let rate = |figure: Figure| Figure { unit: Unit::Rate, ..figure };
    let small = |figure: Figure| {
        let embedded = Limit::Figure(figure.row.clone());
        let row = format!("{} through six nodes", figure.row);
        rate(Figure { row, site: Site::Mesh, comparisons: Vec::new(), ..figure })
            .against(embedded, None)
    };
    vec![
        through(put(len, some), Some(Carrier::LanesUp), Some(Way::Put)),
        through(get(set(), some), Some(Carrier::LanesDown), Some(Way::Get)),
        small(put(tiny, many)),
        small(get(keys(), many)),
    ]
}

fn medium_and_huge(scale: &Scale) -> Vec<Figure> {
    let Scale { medium, huge, concurrency: [one, some, _], .. } = *scale;
    let set = || prepared("medium", medium, (scale.objects / 4).max(1));
    let put_limit = |len| Limit::Stage(composed(Way::Put, len));
    let get_limit = |len| Limit::Stage(composed(Way::Get, len));
    let healthy = get(set(), some).against(get_limit(medium), None);
    let without_two = degraded(&healthy);
    vec![
        put(medium, one).against(put_limit(medium), None),
        put(medium, some).against(put_limit(medium), None),
        get(set(), one).against(get_limit(medium), None),
        healthy,
        without_two,
        put(huge, one).against(put_limit(huge), Some(LARGE_AIM)),
        get(prepared("huge", huge, 1), one).against(get_limit(huge), Some(LARGE_AIM)),
    ]
}

fn small(scale: &Scale) -> Vec<Figure> {
    let Scale { small, concurrency: [_, _, many], .. } = *scale;
    vec![
        put(small, many).against(Limit::Stage(composed(Way::Put, small)), None),
        get(prepared("small", small, scale.objects), many)
            .against(Limit::Stage(composed(Way::Get, small)), None),
    ]
}

fn tiny(scale: &Scale) -> Vec<Figure> {
    let Scale { tiny, concurrency: [one, some, many], .. } = *scale;
    let size = format_size(tiny);
    let set = || prepared("tiny", tiny, scale.few_keys);
    let content = usize::try_from(tiny).unwrap_or(0) + RECORD_LEN_BYTES;
    let commit = |writers| Stage::Commits(writers, content);
    let unlink = Stage::Commits(many, RECORD_LEN_BYTES);
    let page = http(Operation::Get, ENTRY_LEN_BYTES * scale.few_keys, some);
    let rate = |figure: Figure| Figure { unit: Unit::Rate, ..figure };
    let of_mix = |operation| match operation {
        Operation::Put => commit(many),
        Operation::Delete => unlink.clone(),
        Operation::List => page.clone(),
        operation => http(operation, tiny, many),
    };
    let mix: OperationMix = MIX.parse().expect("a mix in this file is well-formed");
    let mix = mix.weights().iter().map(|(each, weight)| (*weight as f64, of_mix(*each))).collect();
    vec![
        rate(put(tiny, one)).against(Limit::Stage(commit(one)), None),
        and_without_http(
            rate(put(tiny, many)).against(Limit::Stage(commit(many)), Some(EQUAL_AIM)),
            Operation::Put,
            tiny,
            many,
        ),
        rate(get(set(), one))
            .against(Limit::Stage(http(Operation::Get, tiny, one)), Some(SMALL_GET_AIM)),
        and_without_http(
            rate(get(set(), many))
                .against(Limit::Stage(http(Operation::Get, tiny, many)), Some(SMALL_GET_AIM)),
            Operation::Get,
            tiny,
            many,
        ),
        Figure::read(
            format!("stat, {many} at once"),
            format!("stat --size {size} --concurrency {many}"),
            Unit::Rate,
            set(),
        )
        .against(Limit::Stage(http(Operation::Stat, tiny, many)), None),
        Figure::write(
            format!("delete, {many} at once"),
            format!("delete --size {size} --concurrency {many} --count {}", 2 * scale.objects),
            Unit::Rate,
        )
        .against(Limit::Stage(unlink.clone()), None),
        Figure::write(
            format!("mixed {size}, {many} at once"),
            format!("mixed --size {size} --concurrency {many} --mix {MIX}"),
            Unit::Rate,
        )
        .against(Limit::Mix(mix), None),
    ]
}

fn lists(scale: &Scale) -> Vec<Figure> {
    let Scale { few_keys, many_keys, deleted_keys, concurrency: [_, some, _], .. } = *scale;
    let list = |row: String, reads: Prepared| {
        let line = format!("list --size {} --concurrency {some}", format_size(reads.len_bytes));
        Figure::read(row, line, Unit::Rate, reads)
    };
    let few = format!("list page, {few_keys} keys, {some} at once");
    let page = http(Operation::Get, ENTRY_LEN_BYTES * few_keys, some);
    let many = prepared(MANY_KEYS, 1, many_keys);
    let left = Prepared { first: deleted_keys, objects: many_keys - deleted_keys, ..many.clone() };
    let after = list(format!("list page after {deleted_keys} deletes, {some} at once"), left)
        .against(Limit::Figure(few.clone()), Some(EQUAL_AIM));
    vec![
        list(few.clone(), prepared("tiny", scale.tiny, few_keys)).against(Limit::Stage(page), None),
        list(format!("list page, {many_keys} keys, {some} at once"), many)
            .against(Limit::Figure(few), Some(EQUAL_AIM)),
        Figure { phase: Phase::AfterDeletes, ..after },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command, LoadArgs};

    fn scales() -> Vec<Scale> {
        [
            &["bench", "report"][..],
            &["bench", "report", "--full"],
            &["bench", "report", "--rehearse"],
        ]
        .map(|line| match Cli::parse_from(line).command {
            Command::Report(args) => Scale::new(&args),
            command => panic!("not report: {command:?}"),
        })
        .into()
    }

    #[test]
    fn every_figure_has_a_name_of_its_own_a_line_that_parses_and_a_limit() {
        for scale in scales() {
            let figures = all(&scale);
            let names: BTreeSet<&str> = figures.iter().map(|figure| figure.row.as_str()).collect();
            assert_eq!(names.len(), figures.len());
            for figure in &figures {
                let command = figure.command();
                let words = command.strip_prefix("bench load ").unwrap().split(' ');
                LoadArgs::from_words(words).unwrap_or_else(|error| panic!("{command}: {error}"));
                assert_eq!(figure.comparisons[0].suffix, "", "{}", figure.row);
            }
        }
    }

    #[test]
    fn figures_that_others_are_compared_with_come_first() {
        for scale in scales() {
            let figures = all(&scale);
            for (index, figure) in figures.iter().enumerate() {
                for comparison in &figure.comparisons {
                    if let Limit::Figure(row) = &comparison.limit {
                        let at = figures.iter().position(|other| other.row == *row).unwrap();
                        assert!(at < index, "{}", figure.row);
                    }
                }
            }
        }
    }

    #[test]
    fn the_aims_of_the_project_are_there() {
        let figures = all(&scales()[0]);
        let aim = |row: &str| {
            figures.iter().find(|figure| figure.row == row).expect(row).comparisons[0].aim
        };
        assert_eq!(aim("PUT 64MiB, 8 at once"), Some(Aim::AtLeast(0.7)));
        assert_eq!(aim("GET 64MiB, 32 at once"), Some(Aim::AtLeast(0.7)));
        assert_eq!(aim("GET 64MiB, 8 at once, two drives gone"), Some(Aim::AtLeast(0.8)));
        assert_eq!(aim("GET 4KiB, 32 at once"), Some(Aim::AtLeast(0.5)));
        assert_eq!(aim("list page after 100000 deletes, 8 at once"), Some(Aim::AtLeast(0.9)));
        assert!(Aim::AtMost(1.25).is_met(1.2) && !Aim::AtMost(1.25).is_met(1.3));
    }
}
