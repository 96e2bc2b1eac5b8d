//! How often access logs of buckets are delivered.

use std::time::Duration;

use crate::config::units::parse_time;

/// Shortest `--access-log-interval`: a delivery is an object.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Longest `--access-log-interval`: S3 delivers within hours.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);

/// `--access-log-interval` where it is not given.
pub(crate) const INTERVAL_DEFAULT: Duration = Duration::from_secs(300);

pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    interval_in_range(parse_time(text)?)
}

/// A pause between deliveries.
pub(crate) fn interval_in_range(time: Duration) -> Result<Duration, String> {
    match (INTERVAL_MIN..=INTERVAL_MAX).contains(&time) {
        true => Ok(time),
        false => Err("it is 1s to 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_logs_are_delivered_every_second_to_every_day() {
        assert_eq!(parse_interval("1s"), Ok(INTERVAL_MIN));
        assert_eq!(parse_interval("5m"), Ok(INTERVAL_DEFAULT));
        assert_eq!(parse_interval("24h"), Ok(INTERVAL_MAX));
        for text in ["0s", "25h", "1", ""] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }
}
