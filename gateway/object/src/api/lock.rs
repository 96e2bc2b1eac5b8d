//! Requests about locks of versions.

use gateway_meta::{VersionId, record::Retention};

use super::ObjectRef;

/// Gives a version another retention.
#[derive(Clone, Debug)]
pub struct PutRetention {
    /// Of which object.
    pub target: ObjectRef,
    /// Which version; the newest if `None`.
    pub version: Option<VersionId>,
    /// The retention; `None` takes it away.
    pub retention: Option<Retention>,
    /// Whether retention in governance mode does not count.
    pub bypass_governance: bool,
}
