//! Access keys.

use gateway_meta::{
    AccountId, CommitOutcome, Guard, KeyRange, Op, Table, key::ctl, record::Record,
};
use gateway_seal::{SealedSecret, open_secret, seal_secret};

use super::{
    AccessKey, CreateAccessKeyError, Credentials, Directory, ImportedKey, ListError, NewAccessKey,
    ResolveError, RevokeAccessKeyError, Secret,
};
use crate::{
    authorize::Principal,
    names::{validate_access_key_id, validate_secret},
    record::AccessKeyRecord,
};

/// Access keys per account. Chosen: plenty for rotation and per-application keys, and it bounds
/// what deleting an account does in one commit.
const KEYS_PER_ACCOUNT_MAX: usize = 100;

/// What an access key id is drawn from: base 32 without look-alikes, as AWS ids look.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a secret is drawn from; 40 characters of it carry 238 bits.
const SECRET_ALPHABET: &[u8; 62] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn sealing_context(id: &str) -> String {
    format!("access key {id}")
}

/// Draws `len` characters evenly from `alphabet`.
fn draw(random: fn(&mut [u8]), alphabet: &[u8], len: usize) -> String {
    // Bytes at or above the greatest multiple of the alphabet's length would favour its start.
    let fair = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(len);
    while out.len() < len {
        let mut byte = [0];
        random(&mut byte);
        let index = usize::from(byte[0]);
        if index < fair {
            out.push(char::from(alphabet[index % alphabet.len()]));
        }
    }
    out
}

impl Directory {
    /// Finds what an access key id stands for; `None` when there is no such key.
    ///
    /// # Errors
    /// [`ResolveError`] when the store fails.
    pub fn resolve(&self, access_key_id: &str) -> Result<Option<Credentials>, ResolveError> {
        if access_key_id == self.deps.root.access_key_id {
            return Ok(Some(Credentials {
                principal: Principal::Account {
                    account: AccountId::ROOT,
                    access_key_id: access_key_id.to_owned(),
                },
                secret: self.deps.root.secret.clone(),
            }));
        }
        if validate_access_key_id(access_key_id).is_err() {
            return Ok(None);
        }
        let Some(record) = self.read::<AccessKeyRecord>(&ctl::access_key(access_key_id))? else {
            return Ok(None);
        };
        let corrupt = |reason: String| ResolveError::Corrupt { reason };
        let sealed = SealedSecret::decode(&record.sealed_secret)
            .map_err(|error| corrupt(error.to_string()))?;
        let opened = open_secret(&self.deps.root_key, &sealing_context(access_key_id), &sealed)
            .map_err(|error| corrupt(error.to_string()))?;
        let secret = std::str::from_utf8(opened.expose_bytes())
            .map_err(|_| corrupt(format!("secret of {access_key_id} is not text")))?;
        Ok(Some(Credentials {
            principal: Principal::Account {
                account: record.account,
                access_key_id: access_key_id.to_owned(),
            },
            secret: Secret::new(secret.to_owned()),
        }))
    }

    /// Makes an access key for the account named `user`, or takes an imported one.
    ///
    /// # Errors
    /// [`CreateAccessKeyError`].
    pub async fn create_access_key(
        &self,
        user: &str,
        imported: Option<ImportedKey>,
    ) -> Result<NewAccessKey, CreateAccessKeyError> {
        let missing = || CreateAccessKeyError::NoSuchAccount { name: user.to_owned() };
        let account = self.account_by_name(user)?.ok_or_else(missing)?;
        let ImportedKey { id, secret } = imported.unwrap_or_else(|| ImportedKey {
            id: format!("DM{}", draw(self.deps.random, ID_ALPHABET, 18)),
            secret: Secret::new(draw(self.deps.random, SECRET_ALPHABET, 40)),
        });
        validate_access_key_id(&id)?;
        validate_secret(secret.expose())?;
        let exists = || CreateAccessKeyError::Exists { id: id.clone() };
        if id == self.deps.root.access_key_id {
            return Err(exists());
        }
        if self.keys_of(account.id).await?.len() >= KEYS_PER_ACCOUNT_MAX {
            let limit = KEYS_PER_ACCOUNT_MAX;
            return Err(CreateAccessKeyError::TooManyKeys { name: user.to_owned(), limit });
        }
        let key = AccessKey { id: id.clone(), account: account.id, created: self.deps.clock.now() };
        let guards = vec![
            Guard::Present { table: Table::Ctl, key: ctl::account(account.id) },
            Guard::Absent { table: Table::Ctl, key: ctl::access_key(&id) },
        ];
        match self.commit(guards, self.key_rows(&key, &secret)?).await? {
            CommitOutcome::Applied => Ok(NewAccessKey { key, secret }),
            CommitOutcome::GuardFailed { guard_index: 0 } => Err(missing()),
            CommitOutcome::GuardFailed { .. } => Err(exists()),
        }
    }

    fn key_rows(&self, key: &AccessKey, secret: &Secret) -> Result<Vec<Op>, ResolveError> {
        let mut random = self.deps.random;
        let context = sealing_context(&key.id);
        let root = &self.deps.root_key;
        let sealed = seal_secret(root, &context, secret.expose().as_bytes(), &mut random)
            .map_err(|error| ResolveError::Corrupt { reason: error.to_string() })?;
        let record = AccessKeyRecord {
            account: key.account,
            created: key.created,
            sealed_secret: sealed.encode().to_vec(),
        };
        let put = |key, value| Op::Put { table: Table::Ctl, key, value };
        Ok(vec![
            put(ctl::access_key(&key.id), record.encode()),
            put(ctl::owned_access_key(key.account, &key.id), bytes::Bytes::new()),
        ])
    }

    /// The access keys of the account named `user`, ascending by id.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn list_access_keys(&self, user: &str) -> Result<Vec<AccessKey>, ListError> {
        let missing = || ListError::NoSuchAccount { name: user.to_owned() };
        let account = self.account_by_name(user)?.ok_or_else(missing)?;
        let mut keys = Vec::new();
        for id in self.keys_of(account.id).await? {
            // A key revoked since the scan is left out.
            if let Some(record) = self.read::<AccessKeyRecord>(&ctl::access_key(&id))? {
                keys.push(AccessKey { id, account: record.account, created: record.created });
            }
        }
        Ok(keys)
    }

    /// Revokes an access key: requests signed with it are refused from now on.
    ///
    /// # Errors
    /// [`RevokeAccessKeyError`].
    pub async fn revoke_access_key(&self, id: &str) -> Result<(), RevokeAccessKeyError> {
        let missing = || RevokeAccessKeyError::NoSuchKey { id: id.to_owned() };
        if id == self.deps.root.access_key_id {
            return Err(RevokeAccessKeyError::Root);
        }
        let row_key = ctl::access_key(id);
        let record = self.read::<AccessKeyRecord>(&row_key)?.ok_or_else(missing)?;
        let guards = vec![Guard::Present { table: Table::Ctl, key: row_key.clone() }];
        let ops = vec![
            Op::Delete { table: Table::Ctl, key: row_key },
            Op::Delete { table: Table::Ctl, key: ctl::owned_access_key(record.account, id) },
        ];
        match self.commit(guards, ops).await? {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::GuardFailed { .. } => Err(missing()),
        }
    }

    pub(super) async fn keys_of(&self, account: AccountId) -> Result<Vec<String>, ResolveError> {
        let prefix = ctl::owned_access_key(account, "");
        let range = KeyRange::prefix(&prefix);
        // Racing creations can overshoot the limit by a few.
        let rows = self.deps.meta.scan(Table::Ctl, range, 2 * KEYS_PER_ACCOUNT_MAX).await?;
        let id = |row: &[u8]| String::from_utf8_lossy(&row[prefix.len()..]).into_owned();
        Ok(rows.iter().map(|(row_key, _)| id(row_key)).collect())
    }
}
