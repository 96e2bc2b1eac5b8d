//! Printing.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;

fn write(text: &str) -> Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `datamesh ... | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// One JSON document.
pub(crate) fn json(document: &impl Serialize) -> Result<()> {
    write(&format!("{}\n", serde_json::to_string_pretty(document)?))
}

/// One line.
pub(crate) fn line(text: &str) -> Result<()> {
    write(&format!("{text}\n"))
}

/// A list of names and values with aligned columns.
pub(crate) fn fields(rows: &[(&str, String)]) -> Result<()> {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for (name, value) in rows {
        out.push_str(format!("{name:width$}  {value}").trim_end());
        out.push('\n');
    }
    write(&out)
}

/// What to do next, for people; on standard error, so that answers can be piped.
pub(crate) fn hint(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A table with aligned columns.
pub(crate) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> Result<()> {
    write(&aligned(titles, rows))
}

fn aligned<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = titles.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let titles = titles.map(str::to_owned);
    for row in std::iter::once(&titles).chain(rows) {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// A size for people, in binary units.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 5] =
        [("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

/// A duration for people, in its two largest units.
pub(crate) fn duration(seconds: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let largest = UNITS.iter().position(|(_, unit)| seconds >= *unit).unwrap_or(3);
    let (name, unit) = UNITS[largest];
    let mut text = format!("{} {name}", seconds / unit);
    if let Some((name, smaller)) = UNITS.get(largest + 1) {
        match seconds % unit / smaller {
            0 => {}
            rest => text.push_str(&format!(" {rest} {name}")),
        }
    }
    text
}

/// A short time for people, in milliseconds.
pub(crate) fn micros(us: u64) -> String {
    format!("{}.{} ms", us / 1000, us / 100 % 10)
}

/// A value that may not be known.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long".to_owned(), "2".to_owned()]];
        assert_eq!(aligned(["NAME", "N"], &rows), "NAME  N\na     1\nlong  2\n");
    }

    #[test]
    fn durations_show_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_601, "1 h"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn sizes_are_rounded_down_to_tenths() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16383.9 PiB");
    }
}
