//! Two results side by side.
//!
//! Reads what `load --json` and `stages --json` wrote. Deliberately absent: statistics over many
//! runs; two numbers are compared, and noise is the reader's to judge.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    args::CompareArgs,
    load::Report,
    row::{Row, number},
};

/// Largest result file in bytes. Chosen: a thousand times a usual one.
const RESULT_LEN_BYTES_MAX: u64 = 16 << 20;

/// Ratios closer to one than this are called equal. Chosen: runs on a shared machine vary by it.
const NOISE: f64 = 0.05;

/// The comparison as a table.
///
/// # Errors
/// When a file is no result, or the two have nothing in common.
pub(crate) fn run(args: &CompareArgs) -> Result<String> {
    render(&read(&args.before)?, &read(&args.after)?)
}

fn read(path: &Path) -> Result<Vec<Row>> {
    let len = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(len <= RESULT_LEN_BYTES_MAX, "{} is too long to be a result", path.display());
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a result of this program", path.display()))
}

/// The rows of a result: an array of rows, or a report of `load`.
fn parse(text: &str) -> Result<Vec<Row>> {
    if text.trim_start().starts_with('[') {
        return Ok(serde_json::from_str(text)?);
    }
    let report: Report = serde_json::from_str(text)?;
    Ok(report.rows())
}

fn render(before: &[Row], after: &[Row]) -> Result<String> {
    let mut lines = Vec::new();
    let mut only_before = Vec::new();
    for old in before {
        let Some(new) = after.iter().find(|new| new.row == old.row) else {
            only_before.push(old.row.as_str());
            continue;
        };
        if new.unit != old.unit {
            bail!(
                "`{}` is in {} in one result and in {} in the other",
                old.row,
                old.unit,
                new.unit
            );
        }
        lines.push((old, new, verdict(old, new)));
    }
    ensure!(!lines.is_empty(), "the two results have no row in common");
    let width = lines.iter().map(|(old, ..)| old.row.chars().count()).max().unwrap_or(0);
    let mut out = format!("{:<width$}  {:>12}  {:>12}  {:>7}\n", "", "before", "after", "ratio");
    for (old, new, (ratio, word)) in lines {
        let line = format!(
            "{:<width$}  {:>12}  {:>12}  {ratio:>7}  {:<9} {word}",
            old.row,
            number(old.value),
            number(new.value),
            old.unit
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let is_new = |row: &&Row| !before.iter().any(|old| old.row == row.row);
    let only_after: Vec<&str> = after.iter().filter(is_new).map(|row| row.row.as_str()).collect();
    for (which, rows) in [("before", only_before), ("after", only_after)] {
        if !rows.is_empty() {
            out.push_str(&format!("only {which}: {}\n", rows.join(", ")));
        }
    }
    Ok(out)
}

/// After divided by before, and what it means.
fn verdict(old: &Row, new: &Row) -> (String, &'static str) {
    if old.value == 0.0 {
        let word = match (new.value == 0.0, old.less_is_better()) {
            (true, _) => "",
            (false, true) => "worse",
            (false, false) => "better",
        };
        return ("-".to_owned(), word);
    }
    let ratio = new.value / old.value;
    let word = if (ratio - 1.0).abs() < NOISE {
        ""
    } else if (ratio > 1.0) == old.less_is_better() {
        "worse"
    } else {
        "better"
    };
    (format!("{ratio:.2}"), word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(put: f64, p99: f64) -> Vec<Row> {
        vec![Row::new("put rate", put, "op/s"), Row::new("put p99", p99, "ms")]
    }

    #[test]
    fn a_higher_rate_is_better_and_a_higher_latency_worse() {
        let text = render(&rows(100.0, 10.0), &rows(150.0, 20.0)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("1.50") && lines[1].ends_with("better"), "{text}");
        assert!(lines[2].contains("2.00") && lines[2].ends_with("worse"), "{text}");
    }

    #[test]
    fn small_differences_are_not_judged() {
        let text = render(&rows(100.0, 10.0), &rows(103.0, 9.8)).unwrap();
        assert!(!text.contains("better") && !text.contains("worse"), "{text}");
    }

    #[test]
    fn errors_that_appear_are_worse_than_none() {
        let none = [Row::new("errors", 0.0, "count")];
        let some = [Row::new("errors", 3.0, "count")];
        assert!(render(&none, &some).unwrap().contains("worse"));
        assert!(!render(&none, &none).unwrap().contains("worse"));
    }

    #[test]
    fn rows_of_one_side_are_named() {
        let mut after = rows(1.0, 1.0);
        after.push(Row::new("get rate", 1.0, "op/s"));
        let text = render(&rows(1.0, 1.0), &after).unwrap();
        assert!(text.ends_with("only after: get rate\n"), "{text}");
    }

    #[test]
    fn results_without_common_rows_or_units_are_refused() {
        assert!(render(&[], &rows(1.0, 1.0)).is_err());
        let other_unit = [Row::new("put rate", 1.0, "MB/s")];
        assert!(render(&other_unit, &rows(1.0, 1.0)).is_err());
    }

    #[test]
    fn arrays_of_rows_are_read_and_other_json_is_refused() {
        let text = r#"[{"row":"md5","value":0.5,"unit":"GB/s","limit":1.0}]"#;
        assert_eq!(parse(text).unwrap(), [Row::new("md5", 0.5, "GB/s")]);
        for text in ["", "{}", "[1]", r#"{"operations":[]}"#] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
