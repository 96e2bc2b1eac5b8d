//! Configurations that a bucket has several of, by id: analytics, metrics, intelligent tiering.
//! They are stored and told; nothing here acts on them.
//!
//! Invariants:
//! - each is one row under a guard that the bucket is there, and leaves with it;
//! - a bucket never has more of a kind than [`LISTED_CONFIGS_MAX`];
//! - pages cost the rows they return.

use gateway_meta::{
    BucketId, CommitOutcome, Guard, KeyRange, Op, Table,
    key::ctl,
    record::{AnalyticsRecord, IntelligentTieringRecord, MetricsRecord, Record},
};

use crate::{
    Fault, ListedConfigError,
    engine::{Engine, decode, read_fault},
    limits::{COMMIT_ATTEMPTS_MAX, LISTED_CONFIG_PAGE_MAX, LISTED_CONFIGS_MAX},
    publish::bucket_exists,
};

/// A kind of configuration that a bucket has several of.
pub trait ListedConfig: Record + Send + Sync + 'static {
    /// Its name in metadata. Never changes.
    const KIND: &'static str;
}

impl ListedConfig for AnalyticsRecord {
    const KIND: &'static str = "analytics";
}

impl ListedConfig for MetricsRecord {
    const KIND: &'static str = "metrics";
}

impl ListedConfig for IntelligentTieringRecord {
    const KIND: &'static str = "intelligent-tiering";
}

/// Some of a bucket's configurations of one kind, ascending by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedConfigPage<C> {
    /// Ids and configurations.
    pub configs: Vec<(String, C)>,
    /// Whether there are more behind the last one.
    pub truncated: bool,
}

impl Engine {
    /// Sets a configuration.
    pub(crate) async fn put_listed_config<C: ListedConfig>(
        &self,
        name: &str,
        id: &str,
        config: &C,
    ) -> Result<(), ListedConfigError> {
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let bucket = self.configured_bucket(name)?;
            // One at a time, so that two requests cannot both take a bucket's last place.
            let _turn = self.key_locks.lock(bucket.id, C::KIND.as_bytes()).await;
            let key = ctl::bucket_listed_config(bucket.id, C::KIND, id);
            if self.row(Table::Ctl, &key)?.is_none() {
                self.check_count::<C>(bucket.id).await?;
            }
            let ops = vec![Op::Put { table: Table::Ctl, key, value: config.encode() }];
            match self.commits.commit(vec![bucket_exists(&bucket)], ops).await? {
                CommitOutcome::Applied => return Ok(()),
                // Removed, or removed and made anew: its cache entry is on its way out.
                CommitOutcome::GuardFailed { .. } => {}
            }
        }
        Err(Fault::Busy.into())
    }

    async fn check_count<C: ListedConfig>(
        &self,
        bucket: BucketId,
    ) -> Result<(), ListedConfigError> {
        let rows = KeyRange::prefix(&ctl::bucket_listed_config_kind(bucket, C::KIND));
        let found = self.meta.scan(Table::Ctl, rows, LISTED_CONFIGS_MAX).await;
        if found.map_err(read_fault)?.len() >= LISTED_CONFIGS_MAX {
            return Err(ListedConfigError::TooMany { limit: LISTED_CONFIGS_MAX });
        }
        Ok(())
    }

    /// Finds a configuration.
    pub(crate) fn listed_config<C: ListedConfig>(
        &self,
        name: &str,
        id: &str,
    ) -> Result<C, ListedConfigError> {
        let bucket = self.configured_bucket(name)?;
        let row = self.row(Table::Ctl, &ctl::bucket_listed_config(bucket.id, C::KIND, id))?;
        Ok(decode(&row.ok_or(ListedConfigError::NoSuchConfiguration)?)?)
    }

    /// Removes a configuration.
    pub(crate) async fn delete_listed_config<C: ListedConfig>(
        &self,
        name: &str,
        id: &str,
    ) -> Result<(), ListedConfigError> {
        let bucket = self.configured_bucket(name)?;
        let key = ctl::bucket_listed_config(bucket.id, C::KIND, id);
        let guards = vec![Guard::Present { table: Table::Ctl, key: key.clone() }];
        let ops = vec![Op::Delete { table: Table::Ctl, key }];
        match self.commits.commit(guards, ops).await? {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::GuardFailed { .. } => Err(ListedConfigError::NoSuchConfiguration),
        }
    }

    /// Up to [`LISTED_CONFIG_PAGE_MAX`] configurations behind the id `after`.
    pub(crate) async fn list_configs<C: ListedConfig>(
        &self,
        name: &str,
        after: Option<&str>,
    ) -> Result<ListedConfigPage<C>, ListedConfigError> {
        let bucket = self.configured_bucket(name)?;
        let prefix = ctl::bucket_listed_config_kind(bucket.id, C::KIND);
        let mut rows = KeyRange::prefix(&prefix);
        if let Some(after) = after {
            rows.start = [&prefix[..], after.as_bytes(), &[0]].concat();
        }
        let found = self.meta.scan(Table::Ctl, rows, LISTED_CONFIG_PAGE_MAX + 1).await;
        let mut found = found.map_err(read_fault)?;
        let truncated = found.len() > LISTED_CONFIG_PAGE_MAX;
        found.truncate(LISTED_CONFIG_PAGE_MAX);
        let configs = found
            .iter()
            .map(|(key, value)| {
                let id = std::str::from_utf8(&key[prefix.len()..]).map_err(|_| Fault::Corrupt {
                    reason: "the id of a configuration is not UTF-8".to_owned(),
                })?;
                Ok((id.to_owned(), decode(value)?))
            })
            .collect::<Result<_, Fault>>()?;
        Ok(ListedConfigPage { configs, truncated })
    }

    fn configured_bucket(
        &self,
        name: &str,
    ) -> Result<std::sync::Arc<crate::Bucket>, ListedConfigError> {
        let found = self.find_bucket(name)?;
        found.ok_or_else(|| ListedConfigError::NoSuchBucket { bucket: name.to_owned() })
    }
}
