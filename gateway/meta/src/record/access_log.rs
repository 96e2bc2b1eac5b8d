//! Lines of a bucket's access log that wait for delivery.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `source_bucket` | string |
//! | `source_owner` | varint |
//! | `source_region` | string |
//! | `target_bucket` | string |
//! | `target_prefix` | string |
//! | `key_format` | as in the bucket logging record |
//! | `day` | varint, days since the Unix epoch |
//! | `line_count` | varint |
//! | `lines` | bytes |

use serde::{Deserialize, Serialize};

use super::{LogKeyFormat, Record};
use crate::AccountId;

/// Lines of one bucket and one day, with where they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLogRecord {
    /// The bucket that requests were for.
    pub source_bucket: String,
    /// Its owner.
    pub source_owner: AccountId,
    /// Its region; empty means `us-east-1`.
    pub source_region: String,
    /// The bucket that gets the lines.
    pub target_bucket: String,
    /// What the keys of log objects start with.
    pub target_prefix: String,
    /// What they look like behind that.
    pub key_format: LogKeyFormat,
    /// The day of the requests, counted from the Unix epoch.
    pub day: u32,
    /// How many lines there are.
    pub line_count: u32,
    /// The lines, each with its line feed.
    #[serde(with = "serde_bytes")]
    pub lines: Vec<u8>,
}

impl Record for AccessLogRecord {
    const NAME: &'static str = "access log record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_log_has_golden_bytes() {
        let record = AccessLogRecord {
            source_bucket: "s".into(),
            source_owner: AccountId(5),
            source_region: String::new(),
            target_bucket: "t".into(),
            target_prefix: "p".into(),
            key_format: LogKeyFormat::Simple,
            day: 300,
            line_count: 1,
            lines: b"l\n".to_vec(),
        };
        let golden = [1, 1, b's', 5, 0, 1, b't', 1, b'p', 1, 0xac, 2, 1, 2, b'l', b'\n'];
        assert_eq!(record.encode()[..], golden);
        assert_eq!(AccessLogRecord::decode(&golden), Ok(record));
        for cut in 0..golden.len() {
            AccessLogRecord::decode(&golden[..cut]).unwrap_err();
        }
    }
}
