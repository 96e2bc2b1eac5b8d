//! Keys of buckets and bodies, opened on demand.
//!
//! Invariants:
//! - the root key leaves this module only through `gateway_seal`;
//! - an opened bucket key is kept under its bucket and epoch, which are never reused;
//! - version keys are passed through and never kept.
//!
//! *Limits:* a bounded number of bucket keys is kept open; forgotten ones are zeroed.

use std::sync::Arc;

use gateway_meta::{
    AccountId, BucketId, Table, key,
    record::{AccountKeyRecord, BucketKeyRecord},
};
use gateway_seal::{
    AccountKeyPair, BodyContext, BucketKey, BucketKeyContext, ChunkSealer, DataKey, RootKey,
    SealedAccountKey, VersionKey, WrappedBucketKey, WrappedDataKey,
};
use node_proto::ManifestId;

use super::cache::Cache;
use super::config::Random;
use super::rows::{Rows, corrupt};
use crate::Fault;

/// Which bucket key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BucketKeyId {
    pub(crate) owner: AccountId,
    pub(crate) bucket: BucketId,
    pub(crate) epoch: u32,
}

/// What a body is sealed as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealedBody {
    pub(crate) key: BucketKeyId,
    pub(crate) manifest: ManifestId,
    pub(crate) chunk_len_bytes: u32,
}

/// The keys of this process.
pub(crate) struct Keys {
    rows: Rows,
    root: Arc<RootKey>,
    random: Random,
    buckets: Cache<BucketKeyId, Arc<BucketKey>>,
}

impl Keys {
    pub(crate) fn new(rows: Rows, root: Arc<RootKey>, random: Random, kept_max: usize) -> Self {
        Self { rows, root, random, buckets: Cache::new(kept_max) }
    }

    /// Makes a bucket's key of one epoch, wrapped for storage.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the owner has no usable key pair.
    pub(crate) fn new_bucket_key(&self, id: BucketKeyId) -> Result<BucketKeyRecord, Fault> {
        let account = self.existing_account(id.owner)?;
        let wrapped = self.random.with(|random| {
            BucketKey::generate(context(id), random).wrap(&account.public_key(), random)
        });
        let wrapped = wrapped.map_err(|error| corrupt(error.to_string()))?;
        Ok(BucketKeyRecord { wrapped: wrapped.encode().to_vec() })
    }

    /// Makes the data key of a new body, ready to seal and wrapped for storage; under the version
    /// key as well, where there is one.
    pub(crate) fn new_body(
        &self,
        body: SealedBody,
        version: Option<&VersionKey>,
    ) -> Result<(ChunkSealer, Vec<u8>), Fault> {
        let bucket = self.bucket(body.key)?;
        Ok(self.random.with(|random| {
            let key = DataKey::generate(random);
            let wrapped = match version {
                Some(version) => bucket.wrap_data_key_with(version, &key, body.manifest.0, random),
                None => bucket.wrap_data_key(&key, body.manifest.0, random),
            };
            (ChunkSealer::new(&key, body.context()), wrapped.encode().to_vec())
        }))
    }

    /// Opens the data key of a stored body; `version` is the key it was wrapped under as well.
    pub(crate) fn open_body(
        &self,
        body: SealedBody,
        wrapped: &[u8],
        version: Option<&VersionKey>,
    ) -> Result<ChunkSealer, Fault> {
        let bucket = self.bucket(body.key)?;
        let wrapped = WrappedDataKey::decode(wrapped).map_err(|e| corrupt(e.to_string()))?;
        let opened = match version {
            Some(version) => bucket.unwrap_data_key_with(version, &wrapped, body.manifest.0),
            None => bucket.unwrap_data_key(&wrapped, body.manifest.0),
        };
        let key = opened.map_err(|error| corrupt(error.to_string()))?;
        Ok(ChunkSealer::new(&key, body.context()))
    }

    fn bucket(&self, id: BucketKeyId) -> Result<Arc<BucketKey>, Fault> {
        if let Some(key) = self.buckets.get(&id) {
            return Ok(key);
        }
        let row = key::ctl::bucket_key(id.bucket, id.epoch);
        let record: BucketKeyRecord = self
            .rows
            .record(Table::Ctl, &row)?
            .ok_or_else(|| corrupt(format!("{:?} has no key of epoch {}", id.bucket, id.epoch)))?;
        let account = self.existing_account(id.owner)?;
        let wrapped =
            WrappedBucketKey::decode(&record.wrapped).map_err(|e| corrupt(e.to_string()))?;
        let opened = account
            .unwrap_bucket_key(&wrapped, id.bucket.0, u64::from(id.epoch))
            .map_err(|error| corrupt(error.to_string()))?;
        let opened = Arc::new(opened);
        self.buckets.insert(id, Arc::clone(&opened), 1);
        Ok(opened)
    }

    fn existing_account(&self, account: AccountId) -> Result<AccountKeyPair, Fault> {
        self.account(account)?.ok_or_else(|| corrupt(format!("{account:?} has no key pair")))
    }

    fn account(&self, account: AccountId) -> Result<Option<AccountKeyPair>, Fault> {
        let row = key::ctl::account_key(account);
        let Some(record) = self.rows.record::<AccountKeyRecord>(Table::Ctl, &row)? else {
            return Ok(None);
        };
        let sealed =
            SealedAccountKey::decode(&record.sealed).map_err(|e| corrupt(e.to_string()))?;
        let opened = sealed.open(&self.root, account.0).map_err(|e| corrupt(e.to_string()))?;
        Ok(Some(opened))
    }
}

impl SealedBody {
    fn context(&self) -> BodyContext {
        BodyContext {
            bucket_id: self.key.bucket.0,
            manifest_id: self.manifest.0,
            chunk_len_bytes: self.chunk_len_bytes,
        }
    }
}

fn context(id: BucketKeyId) -> BucketKeyContext {
    BucketKeyContext {
        account_id: id.owner.0,
        bucket_id: id.bucket.0,
        key_epoch: u64::from(id.epoch),
    }
}
