//! Object lock: what keeps versions from being deleted.
//!
//! Owns the judgement, which is pure: whether a version may go, what a new version gets, and how a
//! lock may change.
//!
//! Invariants:
//! - every path that removes a version for good asks [`may_remove`] about the very row that its
//!   commit removes, and guards that row, so no lock slips in between;
//! - retention in compliance mode is never shortened, weakened or taken away while it runs, whoever
//!   asks; in governance mode only under a bypass that the caller may use;
//! - a legal hold knows no bypass; who may put it may take it off.
//!
//! *Clocks:* a retention ends at a point in time, and the clock alone judges whether it has come. A
//! clock that steps back lengthens every lock. A default retention counts from the time in the
//! version's sequence number, which never runs behind what the process, or the key's newest
//! version, has seen before: versions made while the clock is behind are retained as long as if it
//! had stood still. A clock that runs ahead ends retentions early; no gateway can tell.

mod versions;

use gateway_meta::record::{
    DefaultRetention, ObjectLock, Retention, RetentionMode, RetentionPeriod,
};
use node_proto::UnixMillis;

use crate::{Bucket, DeleteError, LockError, ObjectWriteError};

/// A version must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locked;

impl From<Locked> for DeleteError {
    fn from(_: Locked) -> Self {
        Self::Locked
    }
}

impl From<Locked> for ObjectWriteError {
    fn from(_: Locked) -> Self {
        Self::Locked
    }
}

impl From<Locked> for LockError {
    fn from(_: Locked) -> Self {
        Self::Locked
    }
}

/// Whether a version may be removed for good.
///
/// # Errors
/// [`Locked`] while a legal hold or a retention keeps it.
pub(crate) fn may_remove(
    lock: &ObjectLock,
    now: UnixMillis,
    bypass_governance: bool,
) -> Result<(), Locked> {
    if lock.legal_hold == Some(true) {
        return Err(Locked);
    }
    match running(lock, now) {
        None => Ok(()),
        Some(Retention { mode: RetentionMode::Governance, .. }) if bypass_governance => Ok(()),
        Some(_) => Err(Locked),
    }
}

/// The lock of a version made by `seq`: what its writer asked for, else the bucket's default.
///
/// # Errors
/// As [`check_asked`], which an upload passed long ago, or before the bucket was made anew.
pub(crate) fn lock_of_new(
    bucket: &Bucket,
    asked: &ObjectLock,
    seq: u128,
) -> Result<ObjectLock, ObjectWriteError> {
    if !bucket.object_lock {
        return match asked {
            ObjectLock { retention: None, legal_hold: None } => Ok(*asked),
            _ => Err(ObjectWriteError::ObjectLockNotEnabled),
        };
    }
    let config = bucket.configs.object_lock.as_ref();
    let default = config.and_then(|config| config.default_retention);
    let retention = asked.retention.or_else(|| Some(retained_from(default?, time_of(seq))));
    Ok(ObjectLock { retention, ..*asked })
}

/// Refuses a lock that a writer asks for in vain, before bytes are moved.
///
/// # Errors
/// [`ObjectWriteError::ObjectLockNotEnabled`], [`ObjectWriteError::RetentionInPast`].
pub(crate) fn check_asked(
    bucket: &Bucket,
    asked: &ObjectLock,
    now: UnixMillis,
) -> Result<(), ObjectWriteError> {
    if asked == &ObjectLock::default() {
        return Ok(());
    }
    if !bucket.object_lock {
        return Err(ObjectWriteError::ObjectLockNotEnabled);
    }
    match asked.retention {
        Some(retention) if retention.until <= now => Err(ObjectWriteError::RetentionInPast),
        _ => Ok(()),
    }
}

/// Gives a version another retention, or none.
///
/// # Errors
/// [`LockError::RetentionInPast`]; [`LockError::Locked`] when the retention that runs forbids it.
pub(crate) fn change_retention(
    lock: &mut ObjectLock,
    wanted: Option<Retention>,
    now: UnixMillis,
    bypass_governance: bool,
) -> Result<(), LockError> {
    if wanted.is_some_and(|wanted| wanted.until <= now) {
        return Err(LockError::RetentionInPast);
    }
    let may = match running(lock, now) {
        None => true,
        Some(Retention { mode: RetentionMode::Governance, .. }) if bypass_governance => true,
        Some(old) => wanted.is_some_and(|new| new.mode == old.mode && new.until >= old.until),
    };
    if !may {
        return Err(LockError::Locked);
    }
    lock.retention = wanted;
    Ok(())
}

/// The retention that has not ended yet.
fn running(lock: &ObjectLock, now: UnixMillis) -> Option<Retention> {
    lock.retention.filter(|retention| now < retention.until)
}

/// The time in a sequence number.
fn time_of(seq: u128) -> UnixMillis {
    UnixMillis(u64::try_from(seq >> 64).expect("64 bits remain"))
}

fn retained_from(default: DefaultRetention, start: UnixMillis) -> Retention {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    /// As other stores count them; S3 does not say.
    const DAYS_PER_YEAR: u64 = 365;
    let days = match default.period {
        RetentionPeriod::Days(days) => u64::from(days),
        RetentionPeriod::Years(years) => u64::from(years) * DAYS_PER_YEAR,
    };
    let until = UnixMillis(start.0.saturating_add(days.saturating_mul(DAY_MS)));
    Retention { mode: default.mode, until }
}

#[cfg(test)]
mod tests;
