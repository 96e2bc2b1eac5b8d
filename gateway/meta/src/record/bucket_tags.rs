//! The tags of a bucket.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `tags` | sequence of two strings |

use serde::{Deserialize, Serialize};

use super::Record;

/// A bucket's tags, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketTagsRecord {
    /// Keys and values.
    pub tags: Vec<(String, String)>,
}

impl Record for BucketTagsRecord {
    const NAME: &'static str = "bucket tags record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_tags_have_golden_bytes() {
        let record = BucketTagsRecord { tags: vec![("k".into(), "v".into())] };
        let golden = [1, 1, 1, b'k', 1, b'v'];
        assert_eq!(record.encode()[..], golden);
        assert_eq!(BucketTagsRecord::decode(&golden), Ok(record));
    }
}
