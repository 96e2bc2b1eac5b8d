//! Every sync of a drive, by name.
//!
//! With the `failpoints` feature, setting `skip-sync::SITE` to `return` leaves one out, so that a
//! test can show what it is for. Invariant: no other module asks for a sync; a sync that no test
//! misses is either not needed or not tested.

use std::{io, path::Path};

use fail::fail_point;

use crate::vfs::{Vfs, VfsFile};

/// Where a sync happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncSite {
    /// The records of a group, before they are answered.
    SegmentGroup,
    /// The cut that takes records back which got no rows, before their writers are refused.
    SegmentCut,
    /// The name of a new segment, before records in it are answered.
    SegmentName,
    /// The end of a segment's name, before its space counts as free.
    SegmentRemoval,
    /// The name of a drive's directory, before it is formatted.
    DriveName,
    /// A superblock, before it takes its name.
    SuperblockContent,
    /// The name of a superblock, before anything builds on it.
    SuperblockName,
    /// Records an earlier process left, before they count as stored.
    RecoveredSegment,
    /// The checkpoint, before segments it gives up are removed.
    IndexCheckpoint,
    /// Rows written without a log, before the checkpoint that builds on them.
    IndexTables,
}

impl SyncSite {
    fn failpoint(self) -> &'static str {
        match self {
            Self::SegmentGroup => "skip-sync::segment-group",
            Self::SegmentCut => "skip-sync::segment-cut",
            Self::SegmentName => "skip-sync::segment-name",
            Self::SegmentRemoval => "skip-sync::segment-removal",
            Self::DriveName => "skip-sync::drive-name",
            Self::SuperblockContent => "skip-sync::superblock-content",
            Self::SuperblockName => "skip-sync::superblock-name",
            Self::RecoveredSegment => "skip-sync::recovered-segment",
            Self::IndexCheckpoint => "skip-sync::index-checkpoint",
            Self::IndexTables => "skip-sync::index-tables",
        }
    }

    /// Whether a test has left this sync out.
    pub(crate) fn is_left_out(self) -> bool {
        let failpoint = self.failpoint();
        fail_point!(failpoint, |_| true);
        // Without the feature, the line above is none.
        let _ = failpoint;
        false
    }

    /// Makes the content and length of a file durable.
    pub(crate) fn sync_data(self, file: &dyn VfsFile) -> io::Result<()> {
        if self.is_left_out() { Ok(()) } else { file.sync_data() }
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_directory(self, vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
        if self.is_left_out() { Ok(()) } else { vfs.sync_directory(path) }
    }
}
