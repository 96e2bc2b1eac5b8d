//! The lifecycle rules of a bucket, and how far they were applied.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `rules` | sequence of rules |
//! | `transition_minimum` | option of `0` all classes from 128 KiB, `1` as each class has it |
//!
//! A rule:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `id` | string |
//! | `enabled` | bool |
//! | `scope` | `0` and a string: prefix of the older documents; `1` and a filter |
//! | `expiration` | option of: `0` and days as varint; `1` and Unix milliseconds as varint; `2` and a bool |
//! | `transitions` | sequence of: `0` and days or `1` and Unix milliseconds; class string |
//! | `noncurrent_expiration` | option of: days varint; `newer_versions` option of varint |
//! | `noncurrent_transitions` | sequence of: days varint; `newer_versions` option of varint; class string |
//! | `abort_uploads_days` | option of varint |
//!
//! A filter is `prefix` option of string; `tags` sequence of two strings; `larger_than_bytes` and
//! `smaller_than_bytes` options of varint; `joined` bool.
//!
//! Progress:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `started` | varint, Unix milliseconds |
//! | `rules_crc` | varint |
//! | `stage` | `0` and a place: versions; `1` and row key bytes: uploads; `2` done |
//!
//! A place is `key` bytes; `within` option of: `seq` varint, 128 bits; `rank` varint;
//! `newer_modified` option of Unix milliseconds as varint.

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Record;

/// A bucket's lifecycle configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRecord {
    /// Its rules, in the order given; ids are unique.
    pub rules: Vec<LifecycleRule>,
    /// The least size for transitions, if it was given.
    pub transition_minimum: Option<TransitionMinimum>,
}

/// Which objects are too small for transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransitionMinimum {
    /// Those below 128 KiB, whatever the class.
    AllClasses128K,
    /// As each storage class has it.
    VariesByClass,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRule {
    /// Its name, unique in the configuration.
    pub id: String,
    /// Whether it is applied.
    pub enabled: bool,
    /// What it is applied to.
    pub scope: RuleScope,
    /// What becomes of newest versions.
    pub expiration: Option<Expiration>,
    /// Where newest versions would move; stored, not acted on.
    pub transitions: Vec<Transition>,
    /// What becomes of older versions.
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    /// Where older versions would move; stored, not acted on.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// Days after which unfinished uploads are aborted.
    pub abort_uploads_days: Option<u32>,
}

/// What a rule is applied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleScope {
    /// Keys with this prefix, as the older documents say it.
    Prefix(String),
    /// What matches a filter.
    Filter(RuleFilter),
}

/// A rule's filter. All that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFilter {
    /// How the key starts.
    pub prefix: Option<String>,
    /// Tags that the version carries.
    pub tags: Vec<(String, String)>,
    /// The version is larger than this.
    pub larger_than_bytes: Option<u64>,
    /// The version is smaller than this.
    pub smaller_than_bytes: Option<u64>,
    /// Whether the document joined them by `And`.
    pub joined: bool,
}

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleTime {
    /// So many days after the version was made.
    Days(u32),
    /// At a point in time.
    At(UnixMillis),
}

/// What becomes of newest versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// They expire after so many days.
    Days(u32),
    /// They expire from a point in time on.
    At(UnixMillis),
    /// Whether delete markers without other versions go.
    LoneMarkers(bool),
}

/// A move of newest versions to another storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub time: RuleTime,
    /// To which class.
    pub storage_class: String,
}

/// The end of older versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// Days after a newer version was made.
    pub days: u32,
    /// How many of the newest older versions stay.
    pub newer_versions: Option<u32>,
}

/// A move of older versions to another storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    /// Days after a newer version was made.
    pub days: u32,
    /// How many of the newest older versions stay where they are.
    pub newer_versions: Option<u32>,
    /// To which class.
    pub storage_class: String,
}

impl Record for LifecycleRecord {
    const NAME: &'static str = "lifecycle record";
}

/// How far a bucket's rules were applied in the last pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleProgressRecord {
    /// When the pass began.
    pub started: UnixMillis,
    /// CRC-64/NVME of the [`LifecycleRecord`] that the pass began with.
    pub rules_crc: u64,
    /// Where it goes on.
    pub stage: LifecycleStage,
}

/// Where a pass goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifecycleStage {
    /// In the versions, behind this place.
    Versions(LifecyclePlace),
    /// In the uploads, behind the row of this key.
    Uploads(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Nowhere: it is through.
    Done,
}

/// A place in a bucket's versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecyclePlace {
    /// The row key of the object key looked at last: bucket and escaped key.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    /// The version looked at last, unless all of the key were.
    pub within: Option<WithinKey>,
}

/// A place among the versions of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithinKey {
    /// The version looked at last.
    pub seq: u128,
    /// Versions of the key looked at, newest first.
    pub rank: u64,
    /// When the version looked at last was made.
    pub newer_modified: Option<UnixMillis>,
}

impl Record for LifecycleProgressRecord {
    const NAME: &'static str = "lifecycle progress record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifecycle_has_golden_bytes() {
        let first = LifecycleRule {
            id: "a".into(),
            enabled: true,
            scope: RuleScope::Prefix("p".into()),
            expiration: Some(Expiration::Days(3)),
            transitions: vec![Transition { time: RuleTime::Days(1), storage_class: "G".into() }],
            noncurrent_expiration: Some(NoncurrentExpiration { days: 4, newer_versions: Some(5) }),
            noncurrent_transitions: vec![NoncurrentTransition {
                days: 6,
                newer_versions: None,
                storage_class: "G".into(),
            }],
            abort_uploads_days: Some(7),
        };
        let filter = RuleFilter {
            prefix: Some("q".into()),
            tags: vec![("k".into(), "v".into())],
            larger_than_bytes: Some(1),
            smaller_than_bytes: Some(300),
            joined: true,
        };
        let second = LifecycleRule {
            id: "b".into(),
            enabled: false,
            scope: RuleScope::Filter(filter),
            expiration: Some(Expiration::At(UnixMillis(300))),
            transitions: vec![],
            noncurrent_expiration: None,
            noncurrent_transitions: vec![],
            abort_uploads_days: None,
        };
        let record = LifecycleRecord {
            rules: vec![first, second],
            transition_minimum: Some(TransitionMinimum::VariesByClass),
        };
        let golden = [
            &[1, 2][..],
            &[1, b'a', 1, 0, 1, b'p', 1, 0, 3, 1, 0, 1, 1, b'G'],
            &[1, 4, 1, 5, 1, 6, 0, 1, b'G', 1, 7],
            &[1, b'b', 0, 1, 1, 1, b'q', 1, 1, b'k', 1, b'v', 1, 1, 1, 0xac, 2, 1],
            &[1, 1, 0xac, 2, 0, 0, 0, 0],
            &[1, 1],
        ]
        .concat();
        assert_eq!(record.encode()[..], golden);
        assert_eq!(LifecycleRecord::decode(&golden), Ok(record));
    }

    #[test]
    fn progress_has_golden_bytes() {
        let within = WithinKey { seq: 300, rank: 2, newer_modified: Some(UnixMillis(9)) };
        let place = LifecyclePlace { key: b"k".to_vec(), within: Some(within) };
        let golden: [(LifecycleStage, &[u8]); 3] = [
            (LifecycleStage::Versions(place), &[0, 1, b'k', 1, 0xac, 2, 2, 1, 9]),
            (LifecycleStage::Uploads(b"u".to_vec()), &[1, 1, b'u']),
            (LifecycleStage::Done, &[2]),
        ];
        for (stage, tail) in golden {
            let record = LifecycleProgressRecord { started: UnixMillis(5), rules_crc: 300, stage };
            let bytes = [&[1, 5, 0xac, 2][..], tail].concat();
            assert_eq!(record.encode()[..], bytes);
            assert_eq!(LifecycleProgressRecord::decode(&bytes), Ok(record));
        }
    }
}
