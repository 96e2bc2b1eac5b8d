//! Sizes, rates and times with units, for the command line and the configuration files.

use std::time::Duration;

/// Reads a size: a whole number and an optional unit (KiB, MiB, GiB, TiB, or kB, MB, GB, TB).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_len);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        unit => return Err(format!("unknown unit {unit:?}: use KiB, MiB, GiB or TiB")),
    };
    let number: u64 =
        digits.parse().map_err(|_| "a size is a whole number and a unit".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "the size is too large".to_owned())
}

/// Reads a rate: a size and `/s`.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    let size = text.strip_suffix("/s").ok_or("a rate is a size per second, such as 64MiB/s")?;
    parse_size(size)
}

/// Reads a time: a whole number and its unit (s, m or h).
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_len);
    let factor: u64 = match unit.trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        unit => return Err(format!("unknown unit {unit:?}: use s, m or h")),
    };
    let number: u64 =
        digits.parse().map_err(|_| "a time is a whole number and a unit".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_carry_units() {
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size("500 GB"), Ok(500_000_000_000));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert!(parse_size("1Gi").is_err());
        assert!(parse_size("").is_err());
        assert!(parse_size("-1").is_err());
        assert!(parse_size("99999999999TiB").is_err());
    }

    #[test]
    fn rates_are_sizes_per_second() {
        assert_eq!(parse_rate("64MiB/s"), Ok(64 << 20));
        assert!(parse_rate("64MiB").is_err());
        assert!(parse_rate("64MiB/m").is_err());
    }
}
