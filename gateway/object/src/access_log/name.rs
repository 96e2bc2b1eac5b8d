//! Keys of log objects, as S3 names them.

use gateway_meta::record::{AccessLogRecord, LogKeyFormat, PartitionDate};
use node_proto::UnixMillis;

/// The region that S3 writes as no location at all.
const DEFAULT_REGION: &str = "us-east-1";

/// The key of the object that lines are delivered as at `now`; `unique` tells those of one second
/// apart.
pub(super) fn key(record: &AccessLogRecord, now: UnixMillis, unique: &str) -> String {
    let prefix = &record.target_prefix;
    let time = |seconds: u64| {
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{hour:02}-{minute:02}-{second:02}")
    };
    let seconds = now.0 / 1000;
    let delivered = (u32::try_from(seconds / 86_400).unwrap_or(u32::MAX), seconds % 86_400);
    let (day, seconds) = match record.key_format {
        // Lines of one day do not share one time, and S3 writes midnight.
        LogKeyFormat::Partitioned(PartitionDate::Event) => (record.day, 0),
        _ => delivered,
    };
    let (year, month, day) = civil(day);
    let stem = format!("{year:04}-{month:02}-{day:02}-{}-{unique}", time(seconds));
    match record.key_format {
        LogKeyFormat::Unsaid | LogKeyFormat::Simple => format!("{prefix}{stem}"),
        LogKeyFormat::Partitioned(_) => {
            let region = match record.source_region.as_str() {
                "" => DEFAULT_REGION,
                region => region,
            };
            format!(
                "{prefix}{:012}/{region}/{}/{year:04}/{month:02}/{day:02}/{stem}",
                record.source_owner.0, record.source_bucket
            )
        }
    }
}

/// Year, month and day of a day counted from the Unix epoch, in the Gregorian calendar. The year
/// is taken to begin in March, so that the leap day is its last.
fn civil(days: u32) -> (u64, u64, u64) {
    // Days from 0000-03-01, in eras of 400 years.
    let days = u64::from(days) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, turned) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + turned, month, day)
}

#[cfg(test)]
mod tests {
    use gateway_meta::AccountId;

    use super::*;

    fn record(key_format: LogKeyFormat) -> AccessLogRecord {
        AccessLogRecord {
            source_bucket: "source".into(),
            source_owner: AccountId(7),
            source_region: String::new(),
            target_bucket: "logs".into(),
            target_prefix: "p/".into(),
            key_format,
            day: 20_253,
            line_count: 0,
            lines: Vec::new(),
        }
    }

    #[test]
    fn days_have_dates() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (789, (1972, 2, 29)),
            (10_957, (2000, 1, 1)),
            (11_016, (2000, 2, 29)),
            (20_254, (2025, 6, 15)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(day), date, "{day}");
        }
    }

    #[test]
    fn log_objects_are_named_as_their_format_says() {
        let now = UnixMillis(1_750_003_188_000);
        let named = |format| key(&record(format), now, "U");
        assert_eq!(named(LogKeyFormat::Unsaid), "p/2025-06-15-15-59-48-U");
        assert_eq!(named(LogKeyFormat::Simple), "p/2025-06-15-15-59-48-U");
        let folders = "p/000000000007/us-east-1/source";
        assert_eq!(
            named(LogKeyFormat::Partitioned(PartitionDate::Delivery)),
            format!("{folders}/2025/06/15/2025-06-15-15-59-48-U")
        );
        assert_eq!(
            named(LogKeyFormat::Partitioned(PartitionDate::Event)),
            format!("{folders}/2025/06/14/2025-06-14-00-00-00-U")
        );
    }
}
