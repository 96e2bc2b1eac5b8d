//! The directory of accounts and access keys.
//!
//! *Consistency:* every call reads the metadata store, so a revoked key is refused from the next
//! request on. *Retries:* creation is decided by one guarded commit; a retry after an unknown
//! outcome meets its own result as a name that is taken. *Crash consistency:* an account and its
//! key pair appear in one commit.

mod account;
mod key;

use std::{fmt, sync::Arc};

use gateway_meta::{
    AccountId, Batch, CommitError, CommitOutcome, Guard, MetaStore, Op, ReadError, Table, TxIds,
    key::ctl,
    record::{AccountKeyRecord, DecodeRecordError, Record},
};
use gateway_seal::{AccountKeyPair, RootKey};
use node_proto::{Clock, UnixMillis};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    authorize::Principal,
    names::{InvalidName, validate_access_key_id, validate_secret},
    record::AccountRecord,
};

/// A secret access key in the clear; zeroed when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret. [`validate_secret`] says which are acceptable.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The operator's credentials, given at start and never stored in the metadata.
#[derive(Clone, Debug)]
pub struct RootCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret.
    pub secret: Secret,
}

/// What the directory is built from.
pub struct DirectoryDeps {
    /// The metadata store.
    pub meta: Arc<dyn MetaStore>,
    /// Transaction ids of this process.
    pub txids: Arc<TxIds>,
    /// The root of the key hierarchy.
    pub root_key: Arc<RootKey>,
    /// The operator's credentials.
    pub root: RootCredentials,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The operating system's random generator, or a predictable one in tests.
    pub random: fn(&mut [u8]),
}

/// Accounts and access keys.
pub struct Directory {
    deps: DirectoryDeps,
}

/// An account, shown to operators as a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its unique name.
    pub name: String,
    /// When it was made.
    pub created: UnixMillis,
}

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The access key id.
    pub id: String,
    /// The account it acts for.
    pub account: AccountId,
    /// When it was made.
    pub created: UnixMillis,
}

/// A new access key. The secret is shown this once.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// The access key.
    pub key: AccessKey,
    /// Its secret.
    pub secret: Secret,
}

/// An access key brought from elsewhere.
#[derive(Clone, Debug)]
pub struct ImportedKey {
    /// The access key id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// What an access key id stands for.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who signs with it.
    pub principal: Principal,
    /// What it signs with.
    pub secret: Secret,
}

/// The metadata store does not do its part. Retry later, or report corruption.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A stored record or sealed secret cannot be understood.
    #[error("a stored record is damaged: {reason}")]
    Corrupt {
        /// What was found, for the log.
        reason: String,
    },
    /// It cannot commit, or the outcome is unknown.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<DecodeRecordError> for ResolveError {
    fn from(error: DecodeRecordError) -> Self {
        Self::Corrupt { reason: error.to_string() }
    }
}

/// Accounts or keys cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// No account has the name.
    #[error("no user is named {name}")]
    NoSuchAccount {
        /// As given.
        name: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ResolveError),
}

/// An account was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateAccountError {
    /// The name breaks a rule.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The name is taken.
    #[error("a user named {name} exists already")]
    Exists {
        /// As given.
        name: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ResolveError),
}

/// An account was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteAccountError {
    /// No account has the name.
    #[error("no user is named {name}")]
    NoSuchAccount {
        /// As given.
        name: String,
    },
    /// It is the operator's.
    #[error("the root user cannot be deleted")]
    Root,
    /// It owns buckets; delete or move them first.
    #[error("the user {name} still owns buckets")]
    OwnsBuckets {
        /// As given.
        name: String,
    },
    /// Keys of the account are being made at the same time. Retry.
    #[error("the user {name} is being changed")]
    Conflict {
        /// As given.
        name: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ResolveError),
}

/// An access key was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateAccessKeyError {
    /// No account has the name.
    #[error("no user is named {name}")]
    NoSuchAccount {
        /// As given.
        name: String,
    },
    /// The id or secret breaks a rule.
    #[error(transparent)]
    Invalid(#[from] InvalidName),
    /// The id is taken.
    #[error("the access key {id} exists already")]
    Exists {
        /// As given.
        id: String,
    },
    /// The account has as many keys as it may.
    #[error("the user {name} has {limit} access keys already")]
    TooManyKeys {
        /// As given.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ResolveError),
}

/// An access key was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeAccessKeyError {
    /// There is none of the id.
    #[error("there is no access key {id}")]
    NoSuchKey {
        /// As given.
        id: String,
    },
    /// It is the operator's, which is given at start.
    #[error("the root access key is given at start and cannot be revoked here")]
    Root,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ResolveError),
}

/// The directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDirectoryError {
    /// The root credentials break a rule.
    #[error("root credentials: {0}")]
    RootCredentials(#[from] InvalidName),
    /// The root key does not open the root account's key: it belongs to another data directory.
    #[error("the root key does not belong to this data directory")]
    WrongRootKey,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ResolveError),
}

/// S3's canonical user id of an account: 64 hex digits, the same in every answer.
#[must_use]
pub fn canonical_id(account: AccountId) -> String {
    let key = blake3::derive_key("datamesh canonical user id v1", &account.0.to_be_bytes());
    blake3::Hash::from_bytes(key).to_hex().to_string()
}

impl Directory {
    /// Opens the directory, and makes the root account where there is none yet.
    ///
    /// # Errors
    /// [`OpenDirectoryError`]; nothing was changed then.
    pub async fn open(deps: DirectoryDeps) -> Result<Self, OpenDirectoryError> {
        validate_access_key_id(&deps.root.access_key_id)?;
        validate_secret(deps.root.secret.expose())?;
        let directory = Self { deps };
        directory.ensure_root_account().await?;
        Ok(directory)
    }

    async fn ensure_root_account(&self) -> Result<(), OpenDirectoryError> {
        let stored = self
            .deps
            .meta
            .get(Table::Ctl, &ctl::account_key(AccountId::ROOT))
            .map_err(ResolveError::from)?;
        if let Some(stored) = stored {
            let record = AccountKeyRecord::decode(&stored).map_err(ResolveError::from)?;
            let sealed = gateway_seal::SealedAccountKey::decode(&record.sealed)
                .map_err(|error| ResolveError::Corrupt { reason: error.to_string() })?;
            let opened = sealed.open(&self.deps.root_key, AccountId::ROOT.0);
            return opened.map(drop).map_err(|_| OpenDirectoryError::WrongRootKey);
        }
        let account = AccountRecord {
            id: AccountId::ROOT,
            name: "root".to_owned(),
            created: self.deps.clock.now(),
        };
        let mut ops = self.account_rows(&account);
        ops.push(Op::Add {
            table: Table::Ctr,
            key: gateway_meta::key::id_source("account"),
            delta: i128::from(AccountId::ROOT.0),
        });
        let absent = Guard::Absent { table: Table::Ctl, key: ctl::account_key(AccountId::ROOT) };
        self.commit(vec![absent], ops).await?;
        Ok(())
    }

    /// The rows that make an account: record, name, and a fresh key pair.
    fn account_rows(&self, account: &AccountRecord) -> Vec<Op> {
        let mut random = self.deps.random;
        let pair = AccountKeyPair::generate(account.id.0, &mut random);
        let sealed = pair.seal(&self.deps.root_key, &mut random);
        let keys = AccountKeyRecord { sealed: sealed.encode().to_vec() };
        let put = |key, value| Op::Put { table: Table::Ctl, key, value };
        vec![
            put(ctl::account(account.id), account.encode()),
            put(ctl::account_name(&account.name), account.id.0.to_be_bytes().to_vec().into()),
            put(ctl::account_key(account.id), keys.encode()),
        ]
    }

    async fn commit(
        &self,
        guards: Vec<Guard>,
        ops: Vec<Op>,
    ) -> Result<CommitOutcome, ResolveError> {
        let batch = Batch { txid: self.deps.txids.next(), guards, ops };
        Ok(self.deps.meta.commit(batch).await?)
    }

    fn read<R: Record>(&self, key: &[u8]) -> Result<Option<R>, ResolveError> {
        let row = self.deps.meta.get(Table::Ctl, key)?;
        Ok(row.map(|row| R::decode(&row)).transpose()?)
    }
}

#[cfg(test)]
mod tests;
