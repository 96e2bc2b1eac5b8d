//! How a bucket locks its new versions.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `default_retention` | option of: `mode` `0` governance or `1` compliance; `period` `0` days or `1` years, and their number as varint |
//!
//! That versions can be locked at all is said by the bucket's own record.

use serde::{Deserialize, Serialize};

use super::{Record, RetentionMode};

/// A bucket's object lock configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLockRecord {
    /// How versions are retained whose writer did not say.
    pub default_retention: Option<DefaultRetention>,
}

/// How versions are retained whose writer did not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How firmly.
    pub mode: RetentionMode,
    /// How long, from the version's making.
    pub period: RetentionPeriod,
}

/// A length of time as the client named it, so that it is told the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    /// Days of 24 hours.
    Days(u32),
    /// Years of 365 days.
    Years(u32),
}

impl Record for ObjectLockRecord {
    const NAME: &'static str = "object lock record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_lock_has_golden_bytes() {
        let retained = |mode, period| ObjectLockRecord {
            default_retention: Some(DefaultRetention { mode, period }),
        };
        let days = retained(RetentionMode::Governance, RetentionPeriod::Days(300));
        let years = retained(RetentionMode::Compliance, RetentionPeriod::Years(7));
        let goldens: [(ObjectLockRecord, &[u8]); 3] = [
            (ObjectLockRecord { default_retention: None }, &[1, 0]),
            (days, &[1, 1, 0, 0, 0xac, 0x02]),
            (years, &[1, 1, 1, 1, 7]),
        ];
        for (record, golden) in goldens {
            assert_eq!(record.encode()[..], *golden);
            assert_eq!(ObjectLockRecord::decode(golden), Ok(record));
        }
    }
}
