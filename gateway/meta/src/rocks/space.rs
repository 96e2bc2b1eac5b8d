//! Free space, and which batches may use the last of it.

use std::fmt;
use std::io;
use std::path::Path;

use super::config::SpaceLimits;
use crate::{Batch, Op, Table, key::ctl};

/// A source of free-space figures.
pub trait FreeSpace: fmt::Debug + Send + Sync {
    /// Bytes that an unprivileged process can still write under `directory`.
    ///
    /// # Errors
    /// Any error means that the figure is unknown; commits then go on.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;
}

/// Asks the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilesystemSpace;

impl FreeSpace for FilesystemSpace {
    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let figures = rustix::fs::statvfs(directory)?;
        Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
    }
}

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// Nothing.
    None,
    /// Batches that do not add content.
    Reserve,
    /// Everything.
    Ample,
}

impl Room {
    pub(super) fn of(free_bytes: u64, limits: &SpaceLimits) -> Self {
        if free_bytes < limits.reserve_floor_bytes {
            Self::None
        } else if free_bytes < limits.content_floor_bytes {
            Self::Reserve
        } else {
            Self::Ample
        }
    }

    /// Whether a batch fits. The reserve is for what frees space and for the small system rows that
    /// a restart writes (leases, device records): without them a full disk could not be served.
    pub(super) fn admits(self, batch: &Batch) -> bool {
        match self {
            Self::None => false,
            Self::Reserve => !adds_content(batch),
            Self::Ample => true,
        }
    }
}

/// Whether a batch brings new content: bodies or parts, lines of access logs, or versions without
/// removing any row. A version row alone may come with a delete: an older version takes the place of
/// a deleted one.
fn adds_content(batch: &Batch) -> bool {
    let deletes =
        batch.ops.iter().any(|op| matches!(op, Op::Delete { .. } | Op::DeleteRange { .. }));
    batch.ops.iter().any(|op| match op {
        Op::Put { table: Table::Ctl, key, .. } => key.starts_with(&ctl::access_log_prefix()),
        Op::Put { table, .. } => match table {
            Table::Mf | Table::Inl | Table::Mpu | Table::Part => true,
            Table::Cur | Table::Ver => !deletes,
            Table::Pgidx
            | Table::Intent
            | Table::Gcq
            | Table::Ctr
            | Table::Meter
            | Table::Ctl
            | Table::Repair
            | Table::Tx
            | Table::Nul => false,
        },
        Op::Delete { .. } | Op::Add { .. } | Op::DeleteRange { .. } => false,
    })
}
