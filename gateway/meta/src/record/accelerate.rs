//! Transfer acceleration of a bucket.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `enabled` | bool; suspended otherwise |

use serde::{Deserialize, Serialize};

use super::Record;

/// Whether a bucket's transfers are accelerated; never said where there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccelerateRecord {
    /// Enabled, or suspended.
    pub enabled: bool,
}

impl Record for AccelerateRecord {
    const NAME: &'static str = "accelerate record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acceleration_has_golden_bytes() {
        let record = AccelerateRecord { enabled: true };
        assert_eq!(record.encode()[..], [1, 1]);
        assert_eq!(AccelerateRecord::decode(&[1, 1]), Ok(record));
        AccelerateRecord::decode(&[1]).unwrap_err();
    }
}
