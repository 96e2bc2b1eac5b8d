//! Lifecycle: what rules say becomes of versions and uploads with time, and the worker that does
//! it.
//!
//! | File | Holds |
//! | --- | --- |
//! | [`rules`] | what rules say of one version; pure |
//! | [`walk`] | pages of a bucket's versions and uploads, judged |
//! | [`act`] | doing what was judged, if it still holds |
//! | [`pass`] | one walk through a bucket, resumable |
//! | [`worker`] | which bucket is next, and how fast |
//! | [`ledger`] | what was done, for operators |
//!
//! Invariants:
//! - a pass reads each row once, and those of keys that it acts on once more, at the moment of
//!   action: there, under the key's turn, versions are judged anew by the rules of that moment, and
//!   the commit holds only while rules and versions are what was judged;
//! - so an object that was written over is never expired by what was thought of its predecessor;
//! - a locked version stays: [`crate::lock::may_remove`] is asked about the row that goes;
//! - the newest version of a key is removed for good only in buckets without versions, and as a
//!   delete marker that has nothing below it.
//!
//! *Crash consistency:* a pass is resumed from its last recorded place; doing a page twice is
//! harmless. *Limits:* see the constants of the files; the worker works at most a quarter of the
//! time, so that requests get the rest.

mod act;
mod ledger;
mod pass;
mod rules;
#[cfg(test)]
mod tests;
mod walk;
mod worker;

use node_proto::UnixMillis;

use crate::{Bucket, engine::Engine};

pub(crate) use ledger::Ledger;
pub use rules::LifecycleDue;
pub(crate) use rules::{Day, Rules, Subject};
pub(crate) use worker::Lifecycle;

impl Engine {
    /// How long a day of lifecycle rules is.
    pub(crate) fn lifecycle_day(&self) -> Day {
        Day::new(self.config.lifecycle_day)
    }

    /// When a bucket's rules let the newest version of a key expire.
    pub(crate) fn expires(
        &self,
        bucket: &Bucket,
        subject: Subject<'_>,
        modified: UnixMillis,
    ) -> Option<LifecycleDue> {
        let record = bucket.configs.lifecycle.as_deref()?;
        Rules { record, day: self.lifecycle_day() }.expires(subject, modified)
    }

    /// When a bucket's rules abort an upload.
    pub(crate) fn aborts(
        &self,
        bucket: &Bucket,
        key: &str,
        initiated: UnixMillis,
    ) -> Option<LifecycleDue> {
        let record = bucket.configs.lifecycle.as_deref()?;
        Rules { record, day: self.lifecycle_day() }.aborts(key, initiated)
    }
}
