//! Sizes, size mixes and durations as people write them.
//!
//! Invariants:
//! - `KiB`, `MiB`, `GiB` and the bare letters are powers of 1,024; `KB`, `MB`, `GB` of 1,000;
//! - a mix has at least one size and a positive total weight.

use std::{fmt, str::FromStr, time::Duration};

/// Largest object: what S3 allows, 5 TiB.
const SIZE_MAX_BYTES: u64 = 5 << 40;
/// Sizes in one mix. Chosen: more do not fit on a command line.
const MIX_LEN_MAX: usize = 64;

/// A text that is no size, mix or duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseSizeError {
    /// Not a number with a unit.
    #[error("`{text}` is not a size such as 4KiB, 1MiB or 1000")]
    Size {
        /// What was given.
        text: String,
    },
    /// More than S3 allows.
    #[error("`{text}` is more than 5 TiB")]
    TooLarge {
        /// What was given.
        text: String,
    },
    /// Not a list of sizes with weights.
    #[error("`{text}` is not a mix such as 4KiB:80,1MiB:20, or its weights are not 1 to 1000000")]
    Mix {
        /// What was given.
        text: String,
    },
    /// Not a number with a unit of time.
    #[error("`{text}` is not a duration such as 10s, 500ms or 2m")]
    Duration {
        /// What was given.
        text: String,
    },
}

/// Reads a size in bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    let bad = || ParseSizeError::Size { text: text.to_owned() };
    let (digits, unit) = split_unit(text);
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(bad()),
    };
    number
        .checked_mul(factor)
        .filter(|size| *size <= SIZE_MAX_BYTES)
        .ok_or_else(|| ParseSizeError::TooLarge { text: text.to_owned() })
}

/// Reads a duration.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, ParseSizeError> {
    let bad = || ParseSizeError::Duration { text: text.to_owned() };
    let (digits, unit) = split_unit(text);
    let number: u32 = digits.parse().map_err(|_| bad())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(u64::from(number) * 60)),
        "h" => Ok(Duration::from_secs(u64::from(number) * 3600)),
        _ => Err(bad()),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()))
}

/// A size with its usual unit, exact.
pub(crate) fn format_size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    units
        .into_iter()
        .find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes}B"), |(factor, unit)| format!("{}{unit}", bytes / factor))
}

/// Object sizes and how often each occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SizeMix(Vec<(u64, u64)>);

impl SizeMix {
    /// The size that `number`, any number, stands for.
    pub(crate) fn pick(&self, number: u64) -> u64 {
        let total: u64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut left = number % total;
        for (size, weight) in &self.0 {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *size,
            }
        }
        unreachable!("the remainder is below the sum of the weights")
    }

    /// The largest size.
    pub(crate) fn largest(&self) -> u64 {
        self.0.iter().map(|(size, _)| *size).max().expect("a mix is not empty")
    }

    /// The mean size in bytes.
    pub(crate) fn mean(&self) -> u64 {
        let (bytes, total) =
            self.0.iter().fold((0_u128, 0_u128), |(bytes, total), (size, weight)| {
                (bytes + u128::from(*size) * u128::from(*weight), total + u128::from(*weight))
            });
        u64::try_from(bytes / total).expect("a mean is not above the largest")
    }
}

impl FromStr for SizeMix {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let bad = || ParseSizeError::Mix { text: text.to_owned() };
        let mut sizes = Vec::new();
        for entry in text.split(',') {
            let (size, weight) = match entry.split_once(':') {
                Some((size, weight)) => (size, weight.parse().map_err(|_| bad())?),
                None => (entry, 1),
            };
            if !(1..=1_000_000).contains(&weight) {
                return Err(bad());
            }
            sizes.push((parse_size(size)?, weight));
        }
        if sizes.len() > MIX_LEN_MAX { Err(bad()) } else { Ok(Self(sizes)) }
    }
}

impl fmt::Display for SizeMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(size, _)] = self.0.as_slice() {
            return f.write_str(&format_size(*size));
        }
        let entry = |(size, weight): &(u64, u64)| format!("{}:{weight}", format_size(*size));
        f.write_str(&self.0.iter().map(entry).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_know_binary_and_decimal_units() {
        let sizes = [("0", 0), ("17", 17), ("4k", 4096), ("4KiB", 4096), ("4KB", 4000)];
        for (text, size) in sizes {
            assert_eq!(parse_size(text), Ok(size));
        }
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(format_size(64 << 20), "64MiB");
        assert_eq!(format_size(1500), "1500B");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "KiB", "-1", "1.5MiB", "4 KiB", "4Kib b", "99999999999999999999"] {
            assert!(matches!(parse_size(text), Err(ParseSizeError::Size { .. })), "{text}");
        }
        assert!(matches!(parse_size("6TiB"), Err(ParseSizeError::TooLarge { .. })));
        assert!(matches!(
            parse_size("18446744073709551615k"),
            Err(ParseSizeError::TooLarge { .. })
        ));
    }

    #[test]
    fn mixes_pick_sizes_by_weight() {
        let mix: SizeMix = "1:1,2:3".parse().unwrap();
        let picked: Vec<u64> = (0..8).map(|number| mix.pick(number)).collect();
        assert_eq!(picked, [1, 2, 2, 2, 1, 2, 2, 2]);
        assert_eq!((mix.largest(), mix.mean()), (2, 1));
        assert_eq!(mix.to_string(), "1B:1,2B:3");
        assert_eq!("64KiB".parse::<SizeMix>().unwrap().to_string(), "64KiB");
    }

    #[test]
    fn mixes_without_weight_or_sizes_are_refused() {
        for text in ["", "1:0", "1:x", "1,", "1:2:3", "1:99999999"] {
            assert!(text.parse::<SizeMix>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["10", "s", "1.5s", "1d", "-1s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
