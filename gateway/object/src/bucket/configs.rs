//! A bucket together with its configurations, as every request needs them.
//!
//! Owns [`Bucket`], [`BucketConfigs`] and what each kind of configuration is called in metadata.
//!
//! Invariants:
//! - each kind is one row; setting one replaces it whole, or not at all;
//! - rows come and go under a guard that the bucket is there, and leave with it;
//! - a kind is a record of `gateway-meta`; that it makes sense was checked before it came here.

use std::{ops::Deref, sync::Arc};

use gateway_meta::{
    BucketId, CommitOutcome, KeyRange, MetaStore, Op, Table,
    key::ctl,
    record::{
        AbacRecord, AccelerateRecord, BucketEncryptionRecord, BucketLoggingRecord,
        BucketPolicyRecord, BucketRecord, BucketTagsRecord, CorsRecord, LifecycleRecord,
        ObjectLockRecord, Record, RequestPaymentRecord, WebsiteRecord,
    },
};

use crate::{
    BucketError, Fault,
    engine::{Engine, decode, read_fault},
    limits::COMMIT_ATTEMPTS_MAX,
    publish::bucket_exists,
};

/// A bucket and its configurations. What the record says can be read through it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// The bucket itself.
    pub record: BucketRecord,
    /// How it is configured.
    pub configs: BucketConfigs,
}

impl Deref for Bucket {
    type Target = BucketRecord;

    fn deref(&self) -> &BucketRecord {
        &self.record
    }
}

/// A kind of configuration that a bucket has at most one of.
pub trait BucketConfig: Record + Send + Sync + 'static {
    /// Its name in metadata. Never changes.
    const KIND: &'static str;
}

macro_rules! configs {
    ($($(#[$doc:meta])* $field:ident: $record:ty = $kind:literal;)*) => {
        /// The configurations of a bucket; `None` were never set, or were removed.
        #[derive(Clone, Debug, Default)]
        pub struct BucketConfigs {
            $($(#[$doc])* pub $field: Option<Arc<$record>>,)*
        }

        $(impl BucketConfig for $record {
            const KIND: &'static str = $kind;
        })*

        impl BucketConfigs {
            /// Takes in one row. Kinds of later releases are left alone.
            fn take(&mut self, kind: &[u8], value: &[u8]) -> Result<(), Fault> {
                $(if kind == $kind.as_bytes() {
                    self.$field = Some(Arc::new(decode(value)?));
                })*
                let _ = (kind, value);
                Ok(())
            }
        }
    };
}

configs! {
    /// `PutBucketPolicy`.
    policy: BucketPolicyRecord = "policy";
    /// `PutBucketTagging`.
    tags: BucketTagsRecord = "tagging";
    /// `PutBucketEncryption`.
    encryption: BucketEncryptionRecord = "encryption";
    /// `PutBucketRequestPayment`.
    request_payment: RequestPaymentRecord = "request-payment";
    /// `PutBucketLogging`.
    logging: BucketLoggingRecord = "logging";
    /// `PutBucketAccelerateConfiguration`.
    accelerate: AccelerateRecord = "accelerate";
    /// `PutBucketAbac`.
    abac: AbacRecord = "abac";
    /// `PutBucketLifecycleConfiguration`.
    lifecycle: LifecycleRecord = "lifecycle";
    /// `PutBucketCors`.
    cors: CorsRecord = "cors";
    /// `PutBucketWebsite`.
    website: WebsiteRecord = "website";
    /// `PutObjectLockConfiguration`.
    object_lock: ObjectLockRecord = "object-lock";
}

/// Most kinds of configuration that are read with a bucket. Chosen: several times what S3 has.
const KINDS_MAX: usize = 100;

impl BucketConfigs {
    /// Reads a bucket's configurations.
    pub(crate) fn load(meta: &dyn MetaStore, bucket: BucketId) -> Result<Self, Fault> {
        let prefix = ctl::bucket_config_prefix(bucket);
        let snapshot = meta.snapshot();
        let mut cursor = snapshot.cursor(Table::Ctl, KeyRange::prefix(&prefix));
        let mut configs = Self::default();
        for _ in 0..KINDS_MAX {
            let Some((row_key, value)) = cursor.next().map_err(read_fault)? else { break };
            configs.take(&row_key[prefix.len()..], &value)?;
        }
        Ok(configs)
    }
}

impl Engine {
    /// Sets a configuration.
    pub(crate) async fn put_config<C: BucketConfig>(
        &self,
        name: &str,
        config: &C,
    ) -> Result<(), BucketError> {
        let value = config.encode();
        self.change_config(
            name,
            |key| Op::Put { table: Table::Ctl, key, value: value.clone() },
            C::KIND,
        )
        .await
    }

    /// Removes a configuration, which need not be there.
    pub(crate) async fn delete_config<C: BucketConfig>(
        &self,
        name: &str,
    ) -> Result<(), BucketError> {
        self.change_config(name, |key| Op::Delete { table: Table::Ctl, key }, C::KIND).await
    }

    async fn change_config(
        &self,
        name: &str,
        op: impl Fn(Vec<u8>) -> Op,
        kind: &str,
    ) -> Result<(), BucketError> {
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let bucket = self.bucket(name)?;
            let ops = vec![op(ctl::bucket_config(bucket.id, kind))];
            let guards = vec![bucket_exists(&bucket)];
            match self.commit_bucket_change(name, guards, ops).await? {
                CommitOutcome::Applied => return Ok(()),
                // Removed, or removed and made anew.
                CommitOutcome::GuardFailed { .. } => {}
            }
        }
        Err(Fault::Busy.into())
    }
}
