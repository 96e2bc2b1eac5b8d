//! Where the access log of a bucket goes.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `target_bucket` | string |
//! | `target_prefix` | string |
//! | `key_format` | `0` unsaid, `1` simple prefix, `2` partitioned prefix and the date source: `0` unsaid, `1` time of the event, `2` time of delivery |

use serde::{Deserialize, Serialize};

use super::Record;

/// Where the access log of a bucket goes; nowhere where there is no record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BucketLoggingRecord {
    /// The bucket that gets the log objects.
    pub target_bucket: String,
    /// What their keys start with; may be empty.
    pub target_prefix: String,
    /// What their keys look like behind that.
    pub key_format: LogKeyFormat,
}

/// What the keys of log objects look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogKeyFormat {
    /// Not said: as [`Self::Simple`].
    #[default]
    Unsaid,
    /// Prefix, time, and a unique part.
    Simple,
    /// Prefix, account, region, bucket, and date as folders.
    Partitioned(PartitionDate),
}

/// Which date the folders of [`LogKeyFormat::Partitioned`] are named after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PartitionDate {
    /// Not said: as [`Self::Delivery`].
    #[default]
    Unsaid,
    /// The day of the requests.
    Event,
    /// The time of delivery.
    Delivery,
}

impl Record for BucketLoggingRecord {
    const NAME: &'static str = "bucket logging record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_logging_has_golden_bytes() {
        let formats: [(LogKeyFormat, &[u8]); 4] = [
            (LogKeyFormat::Unsaid, &[0]),
            (LogKeyFormat::Simple, &[1]),
            (LogKeyFormat::Partitioned(PartitionDate::Event), &[2, 1]),
            (LogKeyFormat::Partitioned(PartitionDate::Delivery), &[2, 2]),
        ];
        for (key_format, tail) in formats {
            let record = BucketLoggingRecord {
                target_bucket: "b".into(),
                target_prefix: "p/".into(),
                key_format,
            };
            let golden = [&[1, 1, b'b', 2, b'p', b'/'][..], tail].concat();
            assert_eq!(record.encode()[..], golden);
            assert_eq!(BucketLoggingRecord::decode(&golden), Ok(record));
            for cut in 0..golden.len() {
                BucketLoggingRecord::decode(&golden[..cut]).unwrap_err();
            }
        }
    }
}
