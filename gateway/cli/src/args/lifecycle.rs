//! `datamesh lifecycle`, and how long a day of lifecycle rules is.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::ClientArgs;
use crate::config::units::parse_time;

/// Shortest `--lifecycle-day`: lifecycle goes through every bucket with rules once a day.
const LIFECYCLE_DAY_MIN: Duration = Duration::from_secs(1);

/// Longest `--lifecycle-day`, which is a day.
pub(crate) const LIFECYCLE_DAY_MAX: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Args)]
pub(crate) struct LifecycleArgs {
    #[command(subcommand)]
    pub(crate) verb: LifecycleVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LifecycleVerb {
    /// Show what lifecycle rules did, and the bucket they are applied to now
    Status,
}

pub(crate) fn parse_lifecycle_day(text: &str) -> Result<Duration, String> {
    lifecycle_day_in_range(parse_time(text)?)
}

/// A day that lifecycle rules can have.
pub(crate) fn lifecycle_day_in_range(time: Duration) -> Result<Duration, String> {
    match (LIFECYCLE_DAY_MIN..=LIFECYCLE_DAY_MAX).contains(&time) {
        true => Ok(time),
        false => Err("it is 1s to 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_lifecycle_rules_is_a_second_to_a_day() {
        assert_eq!(parse_lifecycle_day("1s"), Ok(LIFECYCLE_DAY_MIN));
        assert_eq!(parse_lifecycle_day("24h"), Ok(LIFECYCLE_DAY_MAX));
        for text in ["0s", "25h", "1", "1d", ""] {
            assert!(parse_lifecycle_day(text).is_err(), "{text}");
        }
    }
}
