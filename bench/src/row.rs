//! One measured figure, the form in which results are stored and compared.

use serde::{Deserialize, Serialize};

/// A named figure with its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was measured, unique within a result.
    pub(crate) row: String,
    /// The figure.
    pub(crate) value: f64,
    /// Its unit, which also says whether more is better: see [`Row::less_is_better`].
    pub(crate) unit: String,
}

impl Row {
    pub(crate) fn new(row: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { row: row.into(), value, unit: unit.to_owned() }
    }

    /// Whether a smaller figure is the better one: times, costs, memory and mistakes.
    pub(crate) fn less_is_better(&self) -> bool {
        !matches!(self.unit.as_str(), "op/s" | "MB/s" | "GB/s" | "commits/s" | "shards/s")
    }
}

/// Rows as an aligned table.
pub(crate) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.row.chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|row| format!("{:<width$}  {:>12}  {}\n", row.row, number(row.value), row.unit))
        .collect()
}

/// A figure with about four significant digits.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        magnitude if magnitude >= 1_000.0 => 0,
        magnitude if magnitude >= 100.0 => 1,
        magnitude if magnitude >= 10.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_about_four_digits() {
        let figures =
            [(12_345.6, "12346"), (123.45, "123.5"), (12.345, "12.35"), (0.12345, "0.123")];
        for (value, text) in figures {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn tables_align_names_and_figures() {
        let rows = [Row::new("md5", 0.5, "GB/s"), Row::new("longer name", 1200.0, "op/s")];
        assert_eq!(
            table(&rows),
            "md5                 0.500  GB/s\nlonger name          1200  op/s\n"
        );
    }

    #[test]
    fn rates_are_better_when_larger_and_everything_else_when_smaller() {
        for unit in ["op/s", "MB/s", "GB/s", "commits/s", "shards/s"] {
            assert!(!Row::new("r", 1.0, unit).less_is_better(), "{unit}");
        }
        for unit in ["ms", "CPU-s/GB", "CPU-ms/op", "MiB", "count"] {
            assert!(Row::new("r", 1.0, unit).less_is_better(), "{unit}");
        }
    }
}
