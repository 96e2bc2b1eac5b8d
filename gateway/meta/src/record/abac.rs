//! Whether a bucket's tags decide who may do what.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `enabled` | bool |

use serde::{Deserialize, Serialize};

use super::Record;

/// Attribute-based access control of a bucket; off where there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbacRecord {
    /// Whether it is on.
    pub enabled: bool,
}

impl Record for AbacRecord {
    const NAME: &'static str = "ABAC record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abac_has_golden_bytes() {
        let record = AbacRecord { enabled: false };
        assert_eq!(record.encode()[..], [1, 0]);
        assert_eq!(AbacRecord::decode(&[1, 0]), Ok(record));
        AbacRecord::decode(&[1]).unwrap_err();
    }
}
