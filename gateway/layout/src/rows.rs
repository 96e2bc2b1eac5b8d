//! Rows of the `ctl` table, read and committed.

use bytes::Bytes;
use gateway_meta::{
    Batch, CommitOutcome, Guard, KeyRange, Op, Table,
    key::ctl,
    record::{NodeRecord, Record, TokenRecord},
};
use node_proto::{PeerKey, TokenId};

use crate::{
    cluster::Cluster,
    error::StoreError,
    limits::{NODES_MAX, TOKENS_MAX},
};

/// Token rows read at once: those that have not ended and the one that is being made.
const TOKEN_ROWS_MAX: usize = TOKENS_MAX + 1;

/// A record and the bytes it was read from, for guards.
pub(crate) struct Stored<R> {
    pub(crate) row: Bytes,
    pub(crate) record: R,
}

/// Holds when the row is as it was read.
pub(crate) fn unchanged(key: Vec<u8>, row: Option<&Bytes>) -> Guard {
    match row {
        None => Guard::Absent { table: Table::Ctl, key },
        Some(value) => Guard::Equals { table: Table::Ctl, key, value: value.clone() },
    }
}

pub(crate) fn put(key: Vec<u8>, record: &impl Record) -> Op {
    Op::Put { table: Table::Ctl, key, value: record.encode() }
}

pub(crate) fn delete(key: Vec<u8>) -> Op {
    Op::Delete { table: Table::Ctl, key }
}

fn damaged_key(what: &str) -> StoreError {
    StoreError::Corrupt { reason: format!("a {what} row has a damaged key") }
}

impl Cluster {
    pub(crate) fn read<R: Record>(&self, key: &[u8]) -> Result<Option<Stored<R>>, StoreError> {
        let Some(row) = self.deps().meta.get(Table::Ctl, key)? else { return Ok(None) };
        let record = R::decode(&row)?;
        Ok(Some(Stored { row, record }))
    }

    /// Whether the batch was applied; `false` when a guard did not hold.
    pub(crate) async fn commit(
        &self,
        guards: Vec<Guard>,
        ops: Vec<Op>,
    ) -> Result<bool, StoreError> {
        let batch = Batch { txid: self.deps().txids.next(), guards, ops };
        Ok(self.deps().meta.commit(batch).await? == CommitOutcome::Applied)
    }

    pub(crate) fn node_record(
        &self,
        peer: PeerKey,
    ) -> Result<Option<Stored<NodeRecord>>, StoreError> {
        self.read(&ctl::node(peer))
    }

    /// Every node that ever asked, by peer.
    pub(crate) async fn node_records(
        &self,
    ) -> Result<Vec<(PeerKey, Stored<NodeRecord>)>, StoreError> {
        let prefix = ctl::node_prefix();
        let range = KeyRange::prefix(&prefix);
        let rows = self.deps().meta.scan(Table::Ctl, range, NODES_MAX).await?;
        let decode = |(key, row): (Bytes, Bytes)| {
            let peer = key[prefix.len()..].try_into().map_err(|_| damaged_key("node"))?;
            let record = NodeRecord::decode(&row)?;
            Ok((PeerKey(peer), Stored { row, record }))
        };
        rows.into_iter().map(decode).collect()
    }

    /// Every token that was not purged.
    pub(crate) async fn token_records(&self) -> Result<Vec<(TokenId, TokenRecord)>, StoreError> {
        let prefix = ctl::join_token_prefix();
        let range = KeyRange::prefix(&prefix);
        let rows = self.deps().meta.scan(Table::Ctl, range, TOKEN_ROWS_MAX).await?;
        let decode = |(key, row): (Bytes, Bytes)| {
            let id = key[prefix.len()..].try_into().map_err(|_| damaged_key("join token"))?;
            Ok((TokenId(id), TokenRecord::decode(&row)?))
        };
        rows.into_iter().map(decode).collect()
    }
}
