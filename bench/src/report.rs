//! A server beside what bounds it, measured in the same run.
//!
//! Starts `datamesh server`, puts load on it as `load` does, measures the stages that its figures
//! are compared with right before them, and repeats all of that in rounds: a machine that is busy
//! for a moment disturbs both sides. Of the rounds a figure's median is shown, and a stage's best:
//! disturbance only ever lowers a limit.
//!
//! Invariants:
//! - a limit and what is compared with it were measured in the same round;
//! - what a round writes stays until its end, so that deleting disturbs no figure of it;
//! - objects that are read were read before, so that server and pipeline both find them in the page
//!   cache;
//! - nothing is left behind: the servers end and the temporary directory is removed.
//!
//! *Cancellation:* Ctrl-C ends the figure under way and shows what was measured until then.
//! *Limits:* disk space for what one round writes, about 15 GB with the defaults.

mod figure;
mod figures;
mod lines;
mod machine;
mod mesh;
mod preparation;
mod render;
mod rounds;
mod samples;
mod scale;
mod server;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use self::{
    figure::{Figure, Limit},
    lines::{Line, Measured},
    rounds::Bench,
    scale::Scale,
};
use crate::{args::ReportArgs, interrupt::Interrupt, row::number};

/// Longest time of one figure. Chosen: the report has a hundred of them per round.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Measures, prints, and writes what was asked for. Returns whether anything was measured.
///
/// # Errors
/// When the server cannot be started, reads wrong bytes, or the result cannot be written.
pub(crate) async fn run(args: &ReportArgs) -> Result<bool> {
    let scale = Scale::new(args);
    ensure!(
        !scale.time.is_zero() && scale.time <= TIME_MAX,
        "--time must be above 0 and at most 60s"
    );
    let figures = wanted(figures::all(&scale), args.only.as_deref());
    let program = server_program(args.server.as_deref())?;
    let interrupt = Interrupt::listen();
    let directory = tempfile::Builder::new()
        .prefix("bench-report-")
        .tempdir_in(&args.directory)
        .with_context(|| format!("cannot write to {}", args.directory.display()))?;
    let started = Instant::now();
    let mut bench =
        Bench::start(scale, program, directory.path().to_owned(), interrupt.stop()).await?;
    let measured = bench.measure(&figures, args.only.as_deref()).await;
    let lines = bench.lines(&figures);
    let heading = bench.heading(args);
    bench.stop().await?;
    directory.close().context("cannot remove the temporary directory")?;
    measured?;
    let seconds = started.elapsed().as_secs();
    println!("{heading} Took {seconds} s.\n\n{}", render::text(&lines));
    if let Some(path) = &args.json {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let text = serde_json::to_string_pretty(&lines)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.markdown {
        render::write_markdown(path, &render::markdown(&heading, &lines))?;
    }
    Ok(!lines.is_empty())
}

impl Bench {
    fn lines(&self, figures: &[Figure]) -> Vec<Line> {
        let measured =
            Measured { samples: &self.samples, cores: self.cores, put_costs: &self.put_costs };
        let mut lines: Vec<Line> =
            figures.iter().flat_map(|figure| measured.lines(figure)).collect();
        lines.extend(measured.cost_lines(&self.scale));
        lines.extend(measured.mesh_cost_lines(figures));
        lines.extend(measured.memory_line(&self.scale));
        lines
    }

    fn heading(&self, args: &ReportArgs) -> String {
        let mode = match (args.rehearse, args.full) {
            (true, _) => " --rehearse",
            (_, true) => " --full",
            _ => "",
        };
        let cut = if self.stop.is_set() { ", interrupted" } else { "" };
        let profile = if cfg!(debug_assertions) { "unoptimised" } else { "release" };
        format!(
            "{}, {}, {profile} build, `bench report{mode}`, {} rounds of {} s a figure: \
             medians, of limits the best{cut}.",
            machine::today(),
            machine::describe(),
            self.scale.rounds,
            number(self.scale.time.as_secs_f64()),
        )
    }
}

/// The figures whose name contains `only`, and those they are compared with.
fn wanted(figures: Vec<Figure>, only: Option<&str>) -> Vec<Figure> {
    let Some(only) = only else { return figures };
    let mut rows = BTreeSet::new();
    for figure in figures.iter().filter(|figure| figure.row.contains(only)) {
        rows.insert(figure.row.clone());
        for comparison in &figure.comparisons {
            if let Limit::Figure(row) = &comparison.limit {
                rows.insert(row.clone());
            }
        }
    }
    figures.into_iter().filter(|figure| rows.contains(&figure.row)).collect()
}

fn server_program(given: Option<&Path>) -> Result<PathBuf> {
    let program = match given {
        Some(program) => program.to_owned(),
        None => std::env::current_exe()?.with_file_name("datamesh"),
    };
    ensure!(
        program.is_file(),
        "{} is not there: build it, or name it with --server",
        program.display()
    );
    Ok(program)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    pub(crate) fn report_args(arguments: &[&str]) -> ReportArgs {
        let line = ["bench", "report"].iter().chain(arguments);
        match Cli::parse_from(line).command {
            Command::Report(args) => *args,
            command => panic!("not report: {command:?}"),
        }
    }

    #[test]
    fn only_some_figures_come_with_what_they_are_compared_with() {
        let all = figures::all(&Scale::new(&report_args(&[])));
        assert_eq!(wanted(all.clone(), None).len(), all.len());
        let rows: Vec<String> =
            wanted(all, Some("64MiB, 8 at once, two")).into_iter().map(|each| each.row).collect();
        assert_eq!(rows, ["GET 64MiB, 8 at once", "GET 64MiB, 8 at once, two drives gone"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = server_program(Some(Path::new("/nonexistent/datamesh"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/datamesh"), "{error}");
    }
}
