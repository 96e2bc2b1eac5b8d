//! Typed access to the metadata store, with its errors turned into faults.
//!
//! *Retries:* a commit whose outcome is unknown is asked for again under its own transaction id,
//! which returns the first attempt's outcome.

use std::sync::Arc;

use gateway_meta::{
    Batch, CommitError, CommitOutcome, Guard, KeyRange, MetaStore, Op, ReadError, Row, Table,
    TxIds,
    record::{DecodeRecordError, Record},
};

use crate::Fault;

/// How often an unknown outcome is asked for again. Chosen: a store that cannot tell twice needs a
/// restart.
const INDETERMINATE_RETRIES: u32 = 2;

/// The metadata store as the data path uses it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rows {
    meta: Arc<dyn MetaStore>,
    txids: Arc<TxIds>,
}

impl Rows {
    pub(crate) fn new(meta: Arc<dyn MetaStore>, txids: Arc<TxIds>) -> Self {
        Self { meta, txids }
    }

    /// This process's incarnation.
    pub(crate) fn incarnation(&self) -> u64 {
        self.txids.incarnation()
    }

    /// Reads one row's bytes.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<bytes::Bytes>, Fault> {
        self.meta.get(table, key).map_err(read_fault)
    }

    /// Reads and decodes one row.
    pub(crate) fn record<R: Record>(&self, table: Table, key: &[u8]) -> Result<Option<R>, Fault> {
        self.get(table, key)?.map(|value| R::decode(&value)).transpose().map_err(corrupt_record)
    }

    /// Up to `limit` rows of a range, ascending.
    pub(crate) async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        self.meta.scan(table, range, limit).await.map_err(read_fault)
    }

    /// Commits. `Ok(Some(i))` when guard `i` did not hold.
    pub(crate) async fn commit(
        &self,
        guards: Vec<Guard>,
        ops: Vec<Op>,
    ) -> Result<Option<usize>, Fault> {
        let batch = Batch { txid: self.txids.next(), guards, ops };
        let mut retries_left = INDETERMINATE_RETRIES;
        loop {
            match self.meta.commit(batch.clone()).await {
                Ok(CommitOutcome::Applied) => return Ok(None),
                Ok(CommitOutcome::GuardFailed { guard_index }) => return Ok(Some(guard_index)),
                Err(CommitError::Indeterminate { .. }) if retries_left > 0 => retries_left -= 1,
                Err(error) => return Err(commit_fault(error)),
            }
        }
    }
}

fn read_fault(error: ReadError) -> Fault {
    match error {
        ReadError::Io { reason } => Fault::MetadataUnavailable { reason },
    }
}

fn commit_fault(error: CommitError) -> Fault {
    match error {
        CommitError::Indeterminate { reason } => Fault::Indeterminate { reason },
        CommitError::Busy => Fault::Busy,
        CommitError::Full => Fault::StorageFull,
        CommitError::Malformed { reason } => Fault::Corrupt { reason },
        CommitError::Unavailable { reason } => Fault::MetadataUnavailable { reason },
    }
}

fn corrupt_record(error: DecodeRecordError) -> Fault {
    Fault::Corrupt { reason: error.to_string() }
}

/// Decodes a row that a scan returned.
pub(crate) fn decode<R: Record>(value: &[u8]) -> Result<R, Fault> {
    R::decode(value).map_err(corrupt_record)
}

/// Stored metadata that contradicts itself.
pub(crate) fn corrupt(reason: impl Into<String>) -> Fault {
    Fault::Corrupt { reason: reason.into() }
}

/// Puts a record.
pub(crate) fn put<R: Record>(table: Table, key: Vec<u8>, record: &R) -> Op {
    Op::Put { table, key, value: record.encode() }
}

/// Deletes a row.
pub(crate) fn delete(table: Table, key: Vec<u8>) -> Op {
    Op::Delete { table, key }
}

/// The row is exactly `value`, or absent if that is `None`.
pub(crate) fn unchanged(table: Table, key: Vec<u8>, value: Option<bytes::Bytes>) -> Guard {
    match value {
        Some(value) => Guard::Equals { table, key, value },
        None => Guard::Absent { table, key },
    }
}

/// The smallest key greater than `key`.
pub(crate) fn key_after(key: &[u8]) -> Vec<u8> {
    [key, &[0x00]].concat()
}
