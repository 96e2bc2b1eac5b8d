//! The routes under `/api/v1`, one file per noun.

pub(crate) mod bucket;
pub(crate) mod device;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod kms;
pub(crate) mod layout;
pub(crate) mod lifecycle;
pub(crate) mod mesh;
pub(crate) mod node;
pub(crate) mod repair;
pub(crate) mod scrub;
pub(crate) mod token;
pub(crate) mod usage;
pub(crate) mod user;
pub mod wire;

use node_proto::UnixMillis;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// RFC 3339 in UTC.
fn rfc3339(at: UnixMillis) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ms", at.0))
}
