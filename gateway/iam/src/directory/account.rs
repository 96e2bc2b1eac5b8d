//! Accounts.

use gateway_meta::{AccountId, CommitOutcome, Guard, KeyRange, Op, Table, key, key::ctl};

use super::{Account, CreateAccountError, DeleteAccountError, Directory, ListError, ResolveError};
use crate::{names::validate_user_name, record::AccountRecord};

impl From<AccountRecord> for Account {
    fn from(record: AccountRecord) -> Self {
        Self { id: record.id, name: record.name, created: record.created }
    }
}

impl Directory {
    /// Makes an account.
    ///
    /// # Errors
    /// [`CreateAccountError`]; the name may be taken after an unknown outcome.
    pub async fn create_account(&self, name: &str) -> Result<Account, CreateAccountError> {
        validate_user_name(name)?;
        let name_key = ctl::account_name(name);
        let source = key::id_source("account");
        loop {
            let row = self.deps.meta.get(Table::Ctr, &source).map_err(ResolveError::from)?;
            let last = row.as_deref().and_then(key::decode_counter).unwrap_or(0);
            let id = u64::try_from(last + 1)
                .map_err(|_| ResolveError::Corrupt { reason: format!("account id {last}") })?;
            let record = AccountRecord {
                id: AccountId(id),
                name: name.to_owned(),
                created: self.deps.clock.now(),
            };
            let guards = vec![
                Guard::Absent { table: Table::Ctl, key: name_key.clone() },
                Guard::CounterAtMost { table: Table::Ctr, key: source.clone(), limit: last + 1 },
            ];
            let mut ops = self.account_rows(&record);
            ops.push(Op::Add { table: Table::Ctr, key: source.clone(), delta: 1 });
            match self.commit(guards, ops).await? {
                CommitOutcome::Applied => return Ok(record.into()),
                CommitOutcome::GuardFailed { guard_index: 0 } => {
                    return Err(CreateAccountError::Exists { name: name.to_owned() });
                }
                // Another account took the id in between.
                CommitOutcome::GuardFailed { .. } => {}
            }
        }
    }

    /// Finds an account by name.
    ///
    /// # Errors
    /// [`ResolveError`] when the store fails.
    pub fn account_by_name(&self, name: &str) -> Result<Option<Account>, ResolveError> {
        let Some(row) = self.deps.meta.get(Table::Ctl, &ctl::account_name(name))? else {
            return Ok(None);
        };
        let id: [u8; 8] = row[..].try_into().map_err(|_| ResolveError::Corrupt {
            reason: format!("account name row of {} bytes", row.len()),
        })?;
        self.account(AccountId(u64::from_be_bytes(id)))
    }

    /// Finds an account by id.
    ///
    /// # Errors
    /// [`ResolveError`] when the store fails.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, ResolveError> {
        Ok(self.read::<AccountRecord>(&ctl::account(id))?.map(Account::from))
    }

    /// Accounts with names greater than `after`, ascending by name, at most `limit`.
    ///
    /// # Errors
    /// [`ListError`] when the store fails.
    pub async fn list_accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, ListError> {
        let mut range = KeyRange::prefix(&ctl::account_name(""));
        if let Some(after) = after {
            range.start = ctl::account_name(after);
            range.start.push(0);
        }
        let rows = self.deps.meta.scan(Table::Ctl, range, limit).await;
        let prefix_len = ctl::account_name("").len();
        let mut accounts = Vec::new();
        for (row_key, _) in rows.map_err(ResolveError::from)? {
            let name = String::from_utf8_lossy(&row_key[prefix_len..]).into_owned();
            // An account deleted since the scan is left out.
            accounts.extend(self.account_by_name(&name)?);
        }
        Ok(accounts)
    }

    /// Deletes an account and its access keys.
    ///
    /// # Errors
    /// [`DeleteAccountError`]; nothing was deleted then, unless the outcome is unknown.
    pub async fn delete_account(&self, name: &str) -> Result<(), DeleteAccountError> {
        let missing = || DeleteAccountError::NoSuchAccount { name: name.to_owned() };
        let account = self.account_by_name(name)?.ok_or_else(missing)?;
        if account.id == AccountId::ROOT {
            return Err(DeleteAccountError::Root);
        }
        let keys = self.keys_of(account.id).await?;
        let ctl_delete = |key| Op::Delete { table: Table::Ctl, key };
        let mut guards = vec![
            Guard::Present { table: Table::Ctl, key: ctl::account(account.id) },
            Guard::RangeEmpty {
                table: Table::Ctl,
                range: KeyRange::prefix(&ctl::owned_bucket_prefix(account.id)),
            },
        ];
        let mut ops = vec![
            ctl_delete(ctl::account(account.id)),
            ctl_delete(ctl::account_name(name)),
            ctl_delete(ctl::account_key(account.id)),
        ];
        // No key may appear between the scan and the commit, or it would outlive its account: the
        // gaps between the known keys must be empty.
        let mut start = ctl::owned_access_key(account.id, "");
        for id in keys {
            let row = ctl::owned_access_key(account.id, &id);
            let gap = KeyRange { start, end: Some(row.clone()) };
            guards.push(Guard::RangeEmpty { table: Table::Ctl, range: gap });
            start = [&row[..], &[0]].concat();
            ops.push(ctl_delete(row));
            ops.push(ctl_delete(ctl::access_key(&id)));
        }
        let end = KeyRange::prefix(&ctl::owned_access_key(account.id, "")).end;
        guards.push(Guard::RangeEmpty { table: Table::Ctl, range: KeyRange { start, end } });
        match self.commit(guards, ops).await? {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::GuardFailed { guard_index: 0 } => Err(missing()),
            CommitOutcome::GuardFailed { guard_index: 1 } => {
                Err(DeleteAccountError::OwnsBuckets { name: name.to_owned() })
            }
            CommitOutcome::GuardFailed { .. } => {
                Err(DeleteAccountError::Conflict { name: name.to_owned() })
            }
        }
    }
}
