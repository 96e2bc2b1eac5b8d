//! Reading and changing the locks of versions. A lock is part of the version's record, so neither
//! the version nor its time changes.

use gateway_meta::{VersionId, record::ObjectLock};

use super::change_retention;
use crate::{LockError, ObjectRef, PutRetention, engine::Engine};

impl Engine {
    /// Reads a version's lock.
    pub(crate) fn object_lock(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
    ) -> Result<(VersionId, ObjectLock), LockError> {
        self.lockable_bucket(target)?;
        let found = self.find(target, version, &crate::ReadCondition::default())?;
        Ok((found.info.version, found.info.metadata.lock))
    }

    /// Gives a version another retention.
    pub(crate) async fn put_retention(
        &self,
        request: PutRetention,
    ) -> Result<VersionId, LockError> {
        let PutRetention { target, version, retention, bypass_governance } = request;
        self.lockable_bucket(&target)?;
        self.change_version(&target, version, |metadata| {
            change_retention(&mut metadata.lock, retention, self.clock.now(), bypass_governance)
        })
        .await
    }

    /// Puts a legal hold on a version or takes it off.
    pub(crate) async fn put_legal_hold(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
        held: bool,
    ) -> Result<VersionId, LockError> {
        self.lockable_bucket(target)?;
        self.change_version(target, version, |metadata| {
            metadata.lock.legal_hold = Some(held);
            Ok(())
        })
        .await
    }

    fn lockable_bucket(&self, target: &ObjectRef) -> Result<(), LockError> {
        match self.readable_bucket(&target.bucket)?.object_lock {
            true => Ok(()),
            false => Err(LockError::NotEnabled),
        }
    }
}
