//! One storage drive: an append-only segment log with a rebuildable index.
//!
//! [`Drive`] implements [`node_proto::ShardService`] for a local directory:
//!
//! | Name | Content |
//! | --- | --- |
//! | `superblock`, `superblock.bak` | cluster, slot, formatting, open count, last opening; twice |
//! | `lock` | locked while a process uses the drive |
//! | `segments/*.seg` | the shards and their deletions; the truth |
//! | `index/` | RocksDB: where each shard lies; rebuilt from the segments when lost |
//!
//! Invariants:
//! - an acknowledged write survives a crash at any later moment, a deletion too;
//! - bytes that do not match the record's header are never served as a shard, and a whole shard
//!   that does not match its root never passes [`node_proto::ShardService::verify`];
//! - an I/O error on writing takes the drive offline; nothing is retried on the same file;
//! - a lack of space only refuses writes.
//!
//! Deliberately absent: the network, erasure coding, any idea of objects, and repair: damage is
//! found here and mended by whoever knows the other shards of a stripe.

mod aligned;
mod appender;
mod changes;
mod commands;
mod compaction;
mod config;
mod core;
mod damaged;
mod drive;
mod durability;
#[cfg(feature = "testing")]
mod faults;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod identify;
mod index;
mod lock;
mod maintenance;
mod open;
mod reader;
mod record;
mod recover;
mod rows;
mod scan;
mod scrub;
mod segments;
mod session;
mod space;
mod superblock;
mod telemetry;
mod vfs;
mod writer;

pub use config::{DriveConfig, DriveLimits, IndexCache};
pub use drive::{Drive, OpenDriveError};
#[cfg(feature = "testing")]
pub use faults::{Fault, FaultyVfs};
pub use identify::{DriveIdentity, IdentifyDriveError, identify};
pub use lock::is_mount_point;
pub use vfs::{FileSystemSpace, OpenMode, RealVfs, Vfs, VfsFile};
