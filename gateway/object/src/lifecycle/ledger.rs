//! What lifecycle did since the process started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use node_proto::UnixMillis;
use parking_lot::Mutex;

use crate::{LifecyclePass, LifecycleStatus};

/// Something lifecycle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The newest version expired.
    Expire,
    /// An older version was removed.
    RemoveOlder,
    /// A delete marker without other versions was removed.
    RemoveMarker,
    /// An upload was aborted.
    AbortUpload,
}

/// Counts what is done.
#[derive(Default)]
pub(crate) struct Ledger {
    examined: AtomicU64,
    expired: AtomicU64,
    older_removed: AtomicU64,
    markers_removed: AtomicU64,
    uploads_aborted: AtomicU64,
    locked: AtomicU64,
    errors: AtomicU64,
    passes: AtomicU64,
    last_round: Mutex<Option<UnixMillis>>,
    current: Mutex<Option<LifecyclePass>>,
}

impl Ledger {
    pub(crate) fn examined(&self, rows: u64) {
        self.examined.fetch_add(rows, Relaxed);
        metrics::counter!("datamesh_lifecycle_examined_total").increment(rows);
        if let Some(pass) = &mut *self.current.lock() {
            pass.examined += rows;
        }
    }

    pub(crate) fn acted(&self, action: Action) {
        let (count, name) = match action {
            Action::Expire => (&self.expired, "expire"),
            Action::RemoveOlder => (&self.older_removed, "remove_noncurrent"),
            Action::RemoveMarker => (&self.markers_removed, "remove_marker"),
            Action::AbortUpload => (&self.uploads_aborted, "abort_upload"),
        };
        count.fetch_add(1, Relaxed);
        metrics::counter!("datamesh_lifecycle_actions_total", "action" => name).increment(1);
    }

    /// A version stayed because it is locked.
    pub(crate) fn locked(&self) {
        self.locked.fetch_add(1, Relaxed);
        metrics::counter!("datamesh_lifecycle_locked_total").increment(1);
    }

    /// Something could not be read or done.
    pub(crate) fn erred(&self, count: u64) {
        self.errors.fetch_add(count, Relaxed);
        metrics::counter!("datamesh_lifecycle_errors_total").increment(count);
    }

    /// A pass through a bucket begins or goes on.
    pub(crate) fn begun(&self, bucket: &str, started: UnixMillis) {
        let pass = LifecyclePass { bucket: bucket.to_owned(), started, examined: 0 };
        *self.current.lock() = Some(pass);
    }

    /// The pass is over; `through` unless the bucket or its rules are gone.
    pub(crate) fn ended(&self, through: bool) {
        *self.current.lock() = None;
        if through {
            self.passes.fetch_add(1, Relaxed);
        }
    }

    /// At `now` no bucket was left to go through.
    pub(crate) fn rested(&self, now: UnixMillis) {
        *self.last_round.lock() = Some(now);
        metrics::gauge!("datamesh_lifecycle_last_round_seconds").set((now.0 / 1000) as f64);
    }

    pub(crate) fn status(&self, day: std::time::Duration) -> LifecycleStatus {
        LifecycleStatus {
            day,
            current: self.current.lock().clone(),
            last_round: *self.last_round.lock(),
            passes: self.passes.load(Relaxed),
            examined: self.examined.load(Relaxed),
            expired: self.expired.load(Relaxed),
            older_removed: self.older_removed.load(Relaxed),
            markers_removed: self.markers_removed.load(Relaxed),
            uploads_aborted: self.uploads_aborted.load(Relaxed),
            locked: self.locked.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }
}
