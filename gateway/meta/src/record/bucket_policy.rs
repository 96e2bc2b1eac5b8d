//! The policy of a bucket.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `text` | string |

use serde::{Deserialize, Serialize};

use super::Record;

/// A bucket's policy, as it was given: JSON that `gateway-iam` has understood once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketPolicyRecord {
    /// The document.
    pub text: String,
}

impl Record for BucketPolicyRecord {
    const NAME: &'static str = "bucket policy record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_policy_has_golden_bytes() {
        let record = BucketPolicyRecord { text: "{}".to_owned() };
        let golden = [1, 2, b'{', b'}'];
        assert_eq!(record.encode()[..], golden);
        assert_eq!(BucketPolicyRecord::decode(&golden), Ok(record));
    }
}
