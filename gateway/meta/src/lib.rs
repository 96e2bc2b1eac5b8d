//! Metadata: one ordered, transactional key-value contract, the records kept in it, its engines.
//!
//! Owns [`MetaStore`] and what it persists. An object exists when one [`MetaStore::commit`] says
//! so; that commit is the only visibility point of the whole gateway.
//!
//! Invariants:
//! - apply is deterministic: no clock, no randomness, no configuration decides an outcome;
//! - results are remembered by transaction id, so a retry gets the first outcome;
//! - every persisted record starts with a version byte and decodes all versions before it;
//! - key encodings preserve order, and no component can bleed into the next.
//!
//! Deliberately absent: S3 HTTP, shards, policy.

mod apply;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod ids;
pub mod key;
mod ledger;
mod memory;
mod overlay;
pub mod record;
pub mod rocks;
mod store;
mod table;
mod txids;

pub use ids::{AccountId, BucketId, UploadId, VersionId};
pub use memory::MemoryMetaStore;
pub use rocks::{RocksConfig, RocksMetaStore};
pub use store::{
    Batch, CommitError, CommitOutcome, Cursor, Guard, KeyRange, MetaSnapshot, MetaStore, Op,
    ReadError, Row, TxId, prefix_end,
};
pub use table::Table;
pub use txids::TxIds;
