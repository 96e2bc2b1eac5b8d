//! Where lifecycle stands.

use std::time::Duration;

use node_proto::UnixMillis;

/// A pass through one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecyclePass {
    /// The bucket's name.
    pub bucket: String,
    /// When the pass began, perhaps in an earlier process.
    pub started: UnixMillis,
    /// Versions and uploads looked at by this process.
    pub examined: u64,
}

/// Where lifecycle stands; counts are of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleStatus {
    /// How long a day of the rules is.
    pub day: Duration,
    /// The pass under way.
    pub current: Option<LifecyclePass>,
    /// When no bucket was left to go through, the last time.
    pub last_round: Option<UnixMillis>,
    /// Buckets gone through.
    pub passes: u64,
    /// Versions and uploads looked at.
    pub examined: u64,
    /// Newest versions that expired.
    pub expired: u64,
    /// Older versions removed.
    pub older_removed: u64,
    /// Delete markers removed that had no other versions.
    pub markers_removed: u64,
    /// Uploads aborted.
    pub uploads_aborted: u64,
    /// Versions that stayed because they are locked.
    pub locked: u64,
    /// What could not be read or done; it is tried again in the next pass.
    pub errors: u64,
}
