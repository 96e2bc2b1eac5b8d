//! The report for people: on the terminal and in a document.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{figure::Aim, lines::Line};
use crate::row::number;

/// Where a document wants the table.
const BEGIN: &str = "<!-- bench report: begin -->";
const END: &str = "<!-- bench report: end -->";

/// The rows as one aligned table.
pub(crate) fn text(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.row.chars().count()).max().unwrap_or(0).max(3);
    let mut out = format!(
        "{:<width$}  {:>9}  {:<8}  {:>9}  {:>6}  {:<12}  bound by\n",
        "row", "value", "unit", "limit", "ratio", "aim"
    );
    for line in lines {
        out.push_str(&format!(
            "{:<width$}  {:>9}  {:<8}  {:>9}  {:>6}  {:<12}  {}\n",
            line.row,
            number(line.value),
            line.unit,
            line.limit.map_or_else(|| "-".to_owned(), number),
            line.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            aim(line),
            line.bound_by
        ));
    }
    out
}

fn aim(line: &Line) -> String {
    let Some(aim) = line.aim else { return String::new() };
    let aim = match aim {
        Aim::AtLeast(least) => format!(">={least:.2}"),
        Aim::AtMost(most) => format!("<={most:.2}"),
    };
    match line.is_aim_met() {
        Some(true) => format!("{aim} met"),
        Some(false) => format!("{aim} missed"),
        None => aim,
    }
}

/// The rows as a Markdown table, with what was measured when and where above it, and the aims that
/// were missed below.
pub(crate) fn markdown(heading: &str, lines: &[Line]) -> String {
    let mut out = format!("{heading}\n\n");
    out.push_str("| Row | Value | Limit | Ratio | Aim | The limit is | Bound by | Alone |\n");
    out.push_str("| --- | ---: | ---: | ---: | --- | --- | --- | --- |\n");
    for line in lines {
        out.push_str(&format!(
            "| {} | {} {} | {} | {} | {} | {} | {} | `{}` |\n",
            line.row,
            number(line.value),
            line.unit,
            line.limit.map_or_else(String::new, number),
            line.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            aim(line).replace(">=", "≥ ").replace("<=", "≤ "),
            line.limit_name,
            line.bound_by,
            line.command
        ));
    }
    let missed: Vec<&Line> = lines.iter().filter(|line| line.is_aim_met() == Some(false)).collect();
    let aims = lines.iter().filter(|line| line.is_aim_met().is_some()).count();
    out.push_str(&format!("\nAims met: {} of {aims}.", aims - missed.len()));
    if !missed.is_empty() {
        out.push_str(" Missed:\n");
    }
    for line in missed {
        let ratio = line.ratio.unwrap_or_default();
        out.push_str(&format!("- {}: {ratio:.2}, aim {}\n", line.row, aim(line)));
    }
    out
}

/// Writes the Markdown to a file: a new one, or between the two marks of one that has them.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub(crate) fn write_markdown(path: &Path, markdown: &str) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let document = match fs::read_to_string(path) {
        Ok(document) => document,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(context),
    };
    let text = insert(&document, markdown)
        .with_context(|| format!("{} has no place for the table", path.display()))?;
    fs::write(path, text).with_context(context)
}

fn insert(document: &str, markdown: &str) -> Result<String> {
    let markdown = markdown.trim_end();
    if document.is_empty() {
        return Ok(format!("{BEGIN}\n{markdown}\n{END}\n"));
    }
    let Some((before, behind)) = document.split_once(BEGIN) else {
        bail!("it does not hold `{BEGIN}`");
    };
    let Some((_, after)) = behind.split_once(END) else {
        bail!("`{END}` does not follow `{BEGIN}`");
    };
    Ok(format!("{before}{BEGIN}\n{markdown}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(row: &str, ratio: Option<f64>, aim: Option<Aim>) -> Line {
        Line {
            row: row.to_owned(),
            value: 123.4,
            unit: "MB/s",
            limit: ratio.map(|ratio| 123.4 / ratio),
            ratio,
            bound_by: "processor".to_owned(),
            limit_name: "composed PUT".to_owned(),
            aim,
            command: "bench load put".to_owned(),
        }
    }

    fn lines() -> Vec<Line> {
        vec![
            line("PUT", Some(0.5), Some(Aim::AtLeast(0.7))),
            line("GET", Some(0.8), Some(Aim::AtLeast(0.7))),
            line("mixed", None, None),
        ]
    }

    #[test]
    fn the_text_says_which_aims_are_met() {
        let text = text(&lines());
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[1].contains("0.50  >=0.70 missed"), "{text}");
        assert!(rows[2].contains("0.80  >=0.70 met"), "{text}");
        assert!(rows[3].contains("    -       -"), "{text}");
    }

    #[test]
    fn the_document_lists_what_was_missed() {
        let text = markdown("Today, here.", &lines());
        assert!(text.starts_with("Today, here.\n\n| Row |"), "{text}");
        assert!(text.contains("| PUT | 123.4 MB/s | 246.8 | 0.50 | ≥ 0.70 missed |"), "{text}");
        assert!(text.contains("Aims met: 1 of 2. Missed:\n- PUT: 0.50"), "{text}");
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("# Title\n{BEGIN}\nold\n{END}\nrest\n");
        let text = insert(&document, "new\n").unwrap();
        assert_eq!(text, format!("# Title\n{BEGIN}\nnew\n{END}\nrest\n"));
        assert_eq!(insert(&text, "new").unwrap(), text);
        assert_eq!(insert("", "new\n\n").unwrap(), format!("{BEGIN}\nnew\n{END}\n"));
        let others = [BEGIN.to_owned(), END.to_owned(), format!("{END}{BEGIN}"), "mine".to_owned()];
        for document in others {
            assert!(insert(&document, "new").is_err(), "{document}");
        }
    }

    #[test]
    fn the_json_has_six_fields() {
        let value = serde_json::to_value(lines()).unwrap();
        let fields: Vec<&String> = value[0].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["bound_by", "limit", "ratio", "row", "unit", "value"]);
        assert!(value[2]["limit"].is_null());
    }
}
