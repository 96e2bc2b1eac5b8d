//! The built-in key service: keys in the metadata, sealed under the root key.
//!
//! ```text
//! sealed version key: offset  length  field
//!                          0       1  version, 1
//!                          1       4  version of the key that sealed it, big-endian
//!                          5      81  `gateway_seal::SealedVersionKey`
//! ```
//!
//! Invariants:
//! - every call reads the key's row, so what was changed holds from the next call on;
//! - a version of a key is never removed or changed;
//! - a key opens under the root key only as the version of the key it was made for.
//!
//! *Consistency:* the metadata store's. *Crash consistency:* each change is one guarded commit.
//! *Limits:* [`KEY_COUNT_MAX`] keys, [`VERSION_COUNT_MAX`] versions each.

use std::sync::Arc;

use async_trait::async_trait;
use gateway_meta::{
    Batch, CommitError, CommitOutcome, Guard, KeyRange, MetaStore, Op, ReadError, Table, TxIds,
    key::ctl,
    record::{DecodeRecordError, KmsAliasRecord, KmsKeyRecord, KmsKeyVersion, Record},
};
use gateway_seal::{
    RootKey, SealedSecret, SealedVersionKey, ServiceKey, VersionKey, open_secret, seal_secret,
};
use node_proto::Clock;

use crate::{GeneratedKey, KeyContext, KeyError, KeyInfo, KeyName, KeyService};

/// Keys at most. Chosen: one per bucket of a large account; a listing reads them all.
pub(crate) const KEY_COUNT_MAX: usize = 10_000;
/// Versions of one key at most. Chosen: a daily rotation for years, in a row of 100 KiB.
pub(crate) const VERSION_COUNT_MAX: usize = 1_000;
/// Longest description in bytes. Chosen: that of AWS.
const DESCRIPTION_LEN_BYTES_MAX: usize = 8_192;
/// How often a change that lost a race is tried again. Chosen: administrators are few.
const ATTEMPTS_MAX: usize = 8;
/// The version byte of a sealed version key.
const SEALED_VERSION: u8 = 1;

/// What the service is built from.
pub struct BuiltInDeps {
    /// The metadata store.
    pub meta: Arc<dyn MetaStore>,
    /// Transaction ids of this process.
    pub txids: Arc<TxIds>,
    /// The root of the key hierarchy.
    pub root_key: Arc<RootKey>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The operating system's random generator, or a predictable one in tests.
    pub random: fn(&mut [u8]),
}

/// A key service over the metadata store.
pub struct BuiltInKeyService {
    deps: BuiltInDeps,
}

/// A key to make.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Its id; random if `None`.
    pub id: Option<String>,
    /// A name it goes by, without `alias/`.
    pub alias: Option<String>,
    /// What to say of it.
    pub description: String,
}

/// A key was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateKeyError {
    /// Id, alias or description break a rule.
    #[error("{what} is not valid: {rule}")]
    Invalid {
        /// Which of them.
        what: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// Id or alias are taken.
    #[error("the key {name} exists already")]
    Exists {
        /// Which name.
        name: String,
    },
    /// There are as many keys as there may be.
    #[error("there are {limit} keys already")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A key was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeKeyError {
    /// The key has as many versions as it may.
    #[error("the key {key} has {limit} versions already")]
    TooManyVersions {
        /// Its id.
        key: String,
        /// The limit.
        limit: usize,
    },
    /// Others change the key at the same time. Retry.
    #[error("the key {key} is being changed")]
    Conflict {
        /// Its id.
        key: String,
    },
    /// No such key, or the store failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl BuiltInKeyService {
    /// A service over what `deps` hold.
    #[must_use]
    pub fn new(deps: BuiltInDeps) -> Self {
        Self { deps }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`CreateKeyError`].
    pub async fn create(&self, new: NewKey) -> Result<KeyInfo, CreateKeyError> {
        check(&new)?;
        let rows = self.rows(ctl::kms_key_prefix(), KEY_COUNT_MAX).await?;
        if rows.len() >= KEY_COUNT_MAX {
            return Err(CreateKeyError::TooMany { limit: KEY_COUNT_MAX });
        }
        let id = new.id.unwrap_or_else(|| self.new_id());
        let now = self.deps.clock.now();
        let record = KmsKeyRecord {
            id: id.clone(),
            description: new.description,
            created: now,
            enabled: true,
            versions: vec![self.new_version(&id, 1)?],
        };
        let absent = |key| Guard::Absent { table: Table::Ctl, key };
        let mut guards = vec![absent(ctl::kms_key(&id))];
        let mut ops = vec![put(ctl::kms_key(&id), &record)];
        if let Some(alias) = &new.alias {
            guards.push(absent(ctl::kms_alias(alias)));
            ops.push(put(ctl::kms_alias(alias), &KmsAliasRecord { key_id: id.clone() }));
        }
        match self.commit(guards, ops).await? {
            CommitOutcome::Applied => {
                tracing::info!(key = id, alias = new.alias, "key of the key service created");
                Ok(info(&record, new.alias.into_iter().collect()))
            }
            CommitOutcome::GuardFailed { guard_index: 0 } => {
                Err(CreateKeyError::Exists { name: id })
            }
            CommitOutcome::GuardFailed { .. } => {
                let name = KeyName::Alias(new.alias.unwrap_or_default()).to_string();
                Err(CreateKeyError::Exists { name })
            }
        }
    }

    /// All keys, by id.
    ///
    /// # Errors
    /// [`KeyError`] when the store fails.
    pub async fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        let rows = self.rows(ctl::kms_key_prefix(), KEY_COUNT_MAX).await?;
        let aliases = self.aliases().await?;
        let told = |(_, row): &(bytes::Bytes, bytes::Bytes)| {
            let record = KmsKeyRecord::decode(row).map_err(damaged)?;
            let aliases = of_key(&aliases, &record.id);
            Ok(info(&record, aliases))
        };
        rows.iter().map(told).collect()
    }

    /// Gives a key a new version, which seals from now on. Earlier ones still open.
    ///
    /// # Errors
    /// [`ChangeKeyError`].
    pub async fn rotate(&self, key: &KeyName) -> Result<KeyInfo, ChangeKeyError> {
        let changed = self.change(key, |mut record| {
            if record.versions.len() >= VERSION_COUNT_MAX {
                let limit = VERSION_COUNT_MAX;
                return Err(ChangeKeyError::TooManyVersions { key: record.id, limit });
            }
            let version = self.new_version(&record.id, record.versions.len() + 1)?;
            record.versions.push(version);
            Ok(record)
        });
        let info = changed.await?;
        tracing::info!(
            key = info.id,
            versions = info.version_count,
            "key of the key service rotated"
        );
        Ok(info)
    }

    /// Enables or disables a key.
    ///
    /// # Errors
    /// [`ChangeKeyError`].
    pub async fn set_enabled(
        &self,
        key: &KeyName,
        enabled: bool,
    ) -> Result<KeyInfo, ChangeKeyError> {
        let info = self.change(key, |record| Ok(KmsKeyRecord { enabled, ..record })).await?;
        tracing::info!(key = info.id, enabled, "key of the key service enabled or disabled");
        Ok(info)
    }

    async fn change(
        &self,
        key: &KeyName,
        change: impl Fn(KmsKeyRecord) -> Result<KmsKeyRecord, ChangeKeyError>,
    ) -> Result<KeyInfo, ChangeKeyError> {
        let id = self.id_of(key)?;
        let row_key = ctl::kms_key(&id);
        for _ in 0..ATTEMPTS_MAX {
            let missing = || KeyError::NotFound { key: key.to_string() };
            let row = self.row(&row_key)?.ok_or_else(missing)?;
            let record = change(KmsKeyRecord::decode(&row).map_err(damaged)?)?;
            let same = Guard::Equals { table: Table::Ctl, key: row_key.clone(), value: row };
            let outcome = self.commit(vec![same], vec![put(row_key.clone(), &record)]).await?;
            if outcome == CommitOutcome::Applied {
                let aliases = of_key(&self.aliases().await?, &id);
                return Ok(info(&record, aliases));
            }
        }
        Err(ChangeKeyError::Conflict { key: id })
    }

    /// A key that may be used.
    fn usable(&self, id: &str, asked: impl Fn() -> String) -> Result<KmsKeyRecord, KeyError> {
        let record = self.record(id)?.ok_or_else(|| KeyError::NotFound { key: asked() })?;
        match record.enabled {
            true => Ok(record),
            false => Err(KeyError::Disabled { key: record.id }),
        }
    }

    /// The id of the key that goes by a name.
    fn id_of(&self, key: &KeyName) -> Result<String, KeyError> {
        match key {
            KeyName::Id(id) => Ok(id.clone()),
            KeyName::Alias(alias) => {
                let missing = || KeyError::NotFound { key: key.to_string() };
                let row = self.row(&ctl::kms_alias(alias))?.ok_or_else(missing)?;
                Ok(KmsAliasRecord::decode(&row).map_err(damaged)?.key_id)
            }
        }
    }

    /// As [`Self::id_of`]; makes the default key where it is missing.
    async fn id_to_use(&self, key: &KeyName) -> Result<String, KeyError> {
        let found = self.id_of(key);
        let (KeyName::Alias(alias), Err(KeyError::NotFound { .. })) = (key, &found) else {
            return found;
        };
        if *key != KeyName::default_key() {
            return found;
        }
        let description = "Made on first use, for objects that name no key".to_owned();
        let new = NewKey { id: None, alias: Some(alias.clone()), description };
        match self.create(new).await {
            Ok(made) => Ok(made.id),
            Err(CreateKeyError::Key(error)) => Err(error),
            // Another request was faster, or there is no room for it.
            Err(_) => self.id_of(key),
        }
    }

    fn record(&self, id: &str) -> Result<Option<KmsKeyRecord>, KeyError> {
        let row = self.row(&ctl::kms_key(id))?;
        row.map(|row| KmsKeyRecord::decode(&row)).transpose().map_err(damaged)
    }

    fn row(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, KeyError> {
        self.deps.meta.get(Table::Ctl, key).map_err(unreadable)
    }

    async fn rows(
        &self,
        prefix: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, KeyError> {
        let range = KeyRange::prefix(&prefix);
        self.deps.meta.scan(Table::Ctl, range, limit).await.map_err(unreadable)
    }

    /// Aliases and the keys they name.
    async fn aliases(&self) -> Result<Vec<(String, String)>, KeyError> {
        let prefix = ctl::kms_alias_prefix();
        let rows = self.rows(prefix.clone(), KEY_COUNT_MAX).await?;
        let told = |(row_key, row): &(bytes::Bytes, bytes::Bytes)| {
            let alias = String::from_utf8_lossy(&row_key[prefix.len()..]).into_owned();
            Ok((alias, KmsAliasRecord::decode(row).map_err(damaged)?.key_id))
        };
        rows.iter().map(told).collect()
    }

    async fn commit(&self, guards: Vec<Guard>, ops: Vec<Op>) -> Result<CommitOutcome, KeyError> {
        let batch = Batch { txid: self.deps.txids.next(), guards, ops };
        let committed = self.deps.meta.commit(batch).await;
        committed.map_err(|error: CommitError| KeyError::Unavailable { reason: error.to_string() })
    }

    /// A random id that looks like AWS'.
    fn new_id(&self) -> String {
        let mut bytes = [0; 16];
        (self.deps.random)(&mut bytes);
        let digits = hex::encode(bytes);
        let [a, b, c, d, e] =
            [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(start, end)| &digits[start..end]);
        format!("{a}-{b}-{c}-{d}-{e}")
    }

    fn new_version(&self, id: &str, number: usize) -> Result<KmsKeyVersion, KeyError> {
        let mut random = self.deps.random;
        let key = ServiceKey::generate(&mut random);
        let context = sealing_context(id, number);
        let sealed = seal_secret(&self.deps.root_key, &context, key.expose_bytes(), &mut random)
            .map_err(|error| KeyError::Corrupt { reason: error.to_string() })?;
        Ok(KmsKeyVersion { created: self.deps.clock.now(), sealed: sealed.encode().to_vec() })
    }

    fn open_version(&self, id: &str, number: usize, sealed: &[u8]) -> Result<ServiceKey, KeyError> {
        let corrupt = |reason: String| KeyError::Corrupt { reason };
        let sealed = SealedSecret::decode(sealed).map_err(|error| corrupt(error.to_string()))?;
        let opened = open_secret(&self.deps.root_key, &sealing_context(id, number), &sealed)
            .map_err(|error| corrupt(error.to_string()))?;
        ServiceKey::from_bytes(opened.expose_bytes()).map_err(|error| corrupt(error.to_string()))
    }
}

#[async_trait]
impl KeyService for BuiltInKeyService {
    async fn generate(
        &self,
        key: &KeyName,
        context: &KeyContext,
    ) -> Result<GeneratedKey, KeyError> {
        let id = self.id_to_use(key).await?;
        let record = self.usable(&id, || key.to_string())?;
        let number = record.versions.len();
        let newest = record
            .versions
            .last()
            .ok_or_else(|| KeyError::Corrupt { reason: format!("the key {id} has no version") })?;
        let service = self.open_version(&id, number, &newest.sealed)?;
        let mut random = self.deps.random;
        let plain = VersionKey::generate(&mut random);
        let envelope = service.seal(&context.encode(), &plain, &mut random);
        let number = u32::try_from(number).expect("versions are bounded").to_be_bytes();
        let sealed = [&[SEALED_VERSION][..], &number, &envelope.encode()].concat();
        tracing::debug!(key = id, "version key sealed");
        Ok(GeneratedKey { key_id: id, plain: Arc::new(plain), sealed })
    }

    async fn open(
        &self,
        key_id: &str,
        sealed: &[u8],
        context: &KeyContext,
    ) -> Result<Arc<VersionKey>, KeyError> {
        let refused = || KeyError::Refused { key: key_id.to_owned() };
        let record = self.usable(key_id, || key_id.to_owned())?;
        let (version, envelope) = split(sealed).ok_or_else(refused)?;
        let index = version.checked_sub(1).ok_or_else(refused)?;
        let stored = record.versions.get(index).ok_or_else(refused)?;
        let service = self.open_version(key_id, version, &stored.sealed)?;
        let opened = service.open(&context.encode(), &envelope).map_err(|_| refused())?;
        tracing::debug!(key = key_id, "version key opened");
        Ok(Arc::new(opened))
    }

    async fn describe(&self, key: &KeyName) -> Result<KeyInfo, KeyError> {
        let id = self.id_of(key)?;
        let missing = || KeyError::NotFound { key: key.to_string() };
        let record = self.record(&id)?.ok_or_else(missing)?;
        let aliases = of_key(&self.aliases().await?, &id);
        Ok(info(&record, aliases))
    }
}

fn check(new: &NewKey) -> Result<(), CreateKeyError> {
    let invalid = |what, rule| Err(CreateKeyError::Invalid { what, rule });
    if new.id.as_ref().is_some_and(|id| !KeyName::Id(id.clone()).is_valid()) {
        return invalid("the id", "1 to 128 letters, digits, - and _");
    }
    if new.alias.as_ref().is_some_and(|alias| !KeyName::Alias(alias.clone()).is_valid()) {
        return invalid("the alias", "1 to 250 letters, digits, -, _ and /");
    }
    if new.description.len() > DESCRIPTION_LEN_BYTES_MAX {
        return invalid("the description", "at most 8,192 bytes");
    }
    Ok(())
}

/// The key version and the envelope of a sealed version key.
fn split(sealed: &[u8]) -> Option<(usize, SealedVersionKey)> {
    let rest = sealed.strip_prefix(&[SEALED_VERSION])?;
    let (number, envelope) = rest.split_first_chunk::<4>()?;
    let number = usize::try_from(u32::from_be_bytes(*number)).ok()?;
    Some((number, SealedVersionKey::decode(envelope).ok()?))
}

fn info(record: &KmsKeyRecord, aliases: Vec<String>) -> KeyInfo {
    KeyInfo {
        id: record.id.clone(),
        aliases,
        description: record.description.clone(),
        enabled: record.enabled,
        created: record.created,
        rotated: record.versions.last().map_or(record.created, |version| version.created),
        version_count: u32::try_from(record.versions.len()).unwrap_or(u32::MAX),
    }
}

fn of_key(aliases: &[(String, String)], id: &str) -> Vec<String> {
    let named = aliases.iter().filter(|(_, key)| key == id);
    named.map(|(alias, _)| alias.clone()).collect()
}

fn sealing_context(id: &str, number: usize) -> String {
    format!("kms key {id} version {number}")
}

fn put(key: Vec<u8>, record: &impl Record) -> Op {
    Op::Put { table: Table::Ctl, key, value: record.encode() }
}

fn damaged(error: DecodeRecordError) -> KeyError {
    KeyError::Corrupt { reason: error.to_string() }
}

fn unreadable(error: ReadError) -> KeyError {
    KeyError::Unavailable { reason: error.to_string() }
}
