//! Configurations that a bucket has several of, by id: analytics, metrics, intelligent tiering.
//!
//! Analytics:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `filter` | option of the filter below |
//! | `export` | option of: `account` option of string, `bucket` string, `prefix` option of string |
//!
//! Metrics:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `filter` | option of the filter below |
//!
//! Intelligent tiering:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `filter` | option of the filter below |
//! | `enabled` | bool |
//! | `tierings` | sequence of: days as varint, `0` archive or `1` deep archive |
//!
//! A filter:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `is_conjunction` | bool |
//! | `prefix` | option of string |
//! | `tags` | sequence of two strings |
//! | `access_point` | option of string |

use serde::{Deserialize, Serialize};

use super::Record;

/// Which objects a configuration is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFilter {
    /// Whether it was written as a conjunction, also when it has one member.
    pub is_conjunction: bool,
    /// What their keys start with.
    pub prefix: Option<String>,
    /// Tags that they have.
    pub tags: Vec<(String, String)>,
    /// The access point that they are asked for through, as an ARN.
    pub access_point: Option<String>,
}

/// Where a storage class analysis is exported to, as version `V_1` in `CSV`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyticsExport {
    /// The account that owns the bucket.
    pub account: Option<String>,
    /// The bucket, as an ARN.
    pub bucket: String,
    /// What the keys of results start with.
    pub prefix: Option<String>,
}

/// A storage class analysis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyticsRecord {
    /// Which objects; all without.
    pub filter: Option<ConfigFilter>,
    /// Where results go.
    pub export: Option<AnalyticsExport>,
}

/// Request metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsRecord {
    /// Which objects; all without.
    pub filter: Option<ConfigFilter>,
}

/// Intelligent tiering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntelligentTieringRecord {
    /// Which objects; all without.
    pub filter: Option<ConfigFilter>,
    /// Whether it is in force.
    pub enabled: bool,
    /// When objects move where.
    pub tierings: Vec<Tiering>,
}

/// A tier that objects move to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiering {
    /// Days without access.
    pub days: u16,
    /// Where they move.
    pub tier: ArchiveTier,
}

/// An archive tier of intelligent tiering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveTier {
    /// Minutes to hours away.
    Archive,
    /// Hours away.
    DeepArchive,
}

impl Record for AnalyticsRecord {
    const NAME: &'static str = "analytics record";
}

impl Record for MetricsRecord {
    const NAME: &'static str = "metrics record";
}

impl Record for IntelligentTieringRecord {
    const NAME: &'static str = "intelligent tiering record";
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check<R: Record + PartialEq + Debug>(record: &R, golden: &[u8]) {
        assert_eq!(record.encode()[..], *golden);
        assert_eq!(R::decode(golden).as_ref(), Ok(record));
        for cut in 0..golden.len() {
            R::decode(&golden[..cut]).unwrap_err();
        }
    }

    fn filter() -> ConfigFilter {
        ConfigFilter {
            is_conjunction: true,
            prefix: Some("p".into()),
            tags: vec![("k".into(), "v".into())],
            access_point: Some("a".into()),
        }
    }

    const FILTER: [u8; 12] = [1, 1, 1, 1, b'p', 1, 1, b'k', 1, b'v', 1, 1];

    #[test]
    fn listed_configurations_have_golden_bytes() {
        let export =
            AnalyticsExport { account: Some("1".into()), bucket: "b".into(), prefix: None };
        let golden = [&[1][..], &FILTER, &[b'a', 1, 1, 1, b'1', 1, b'b', 0]].concat();
        check(&AnalyticsRecord { filter: Some(filter()), export: Some(export) }, &golden);
        check(&AnalyticsRecord { filter: None, export: None }, &[1, 0, 0]);
        let golden = [&[1][..], &FILTER, b"a"].concat();
        check(&MetricsRecord { filter: Some(filter()) }, &golden);
        let tierings = vec![
            Tiering { days: 90, tier: ArchiveTier::Archive },
            Tiering { days: 180, tier: ArchiveTier::DeepArchive },
        ];
        let record = IntelligentTieringRecord { filter: None, enabled: true, tierings };
        check(&record, &[1, 0, 1, 2, 90, 0, 0xb4, 1, 1]);
    }
}
