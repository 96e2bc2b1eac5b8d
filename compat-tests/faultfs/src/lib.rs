//! A file system for tests that loses what was not synced when the power is cut, and whose
//! directories fail on request.
//!
//! [`FaultFs`] mounts it in this process through FUSE; a server under test runs on the mount.
//! Names, and what is durable of them, live in memory; the content of files lies in a backing
//! directory, under numbers. Neither outlives the mount.
//!
//! # What a power cut leaves: [`FaultFs::power_off`]
//! What POSIX promises and nothing more:
//! - A file's `fsync` or `fdatasync` makes its content and length durable, not its name.
//! - A directory's `fsync` makes the names in it durable: those created, renamed, linked and removed
//!   in it so far. A rename between directories is durable when either of them is synced.
//! - Of the content written since the last sync, any part is kept: whole files or, each page of
//!   4 KiB by itself, kept, lost, or torn between sectors of 512 bytes. What is lost reads as it was
//!   at the last sync; behind the length of then, as zeros.
//! - A length that grew since the last sync ends anywhere between the old and the new one. A
//!   truncation happened or did not; if not, nothing that was written after it did either.
//! - Of the operations on names since a directory's last sync, a prefix is kept, each directory its
//!   own, in the order they were done. An operation in two directories is kept in both or neither.
//!   What is no longer reachable from the root is gone, also if it was synced.
//! - Modes, owners and times are always durable: nobody builds on them.
//!
//! Stricter than common file systems on one point: ext4 and XFS make the name of a new file durable
//! with the file's `fsync`, and all earlier renames with it. RocksDB does not build on that: it
//! syncs the directory of its log before the first synced write to a new one is answered, the one
//! of its tables before a manifest names them, and the one of `CURRENT` after the rename.
//!
//! # What fails: [`FaultFs::inject`]
//! Faults hold for a path and everything below it, as seen from the mount's root, so that one drive
//! of several fails while the server runs. [`Fault`] says what each does.
//!
//! # Invariants
//! - What was synced is there after a power cut, whatever the seed.
//! - The same operations and the same seed leave the same files.
//! - Handles opened before a power cut answer with EIO after it.
//! - Nothing is cached in the kernel: every read and write arrives here.
//!
//! # Limits
//! Old content of pages that were overwritten and not synced is kept in memory, 64 MiB per file
//! at most; behind that the file counts as written back, as a kernel does by itself. Pages beyond
//! the synced length cost an entry, not their content.
//!
//! Deliberately absent: symbolic links, extended attributes, locks (the kernel keeps those), and
//! content that outlives the process.

mod adapter;
mod disk;
mod fault;
mod file;
mod mount;
mod names;
mod node;
mod random;

pub use disk::{Counters, PowerCut};
pub use fault::Fault;
pub use mount::{FaultFs, MountError};
