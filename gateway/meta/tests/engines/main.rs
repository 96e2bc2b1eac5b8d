//! Every engine against the conformance suite and the model; RocksDB against crashes, full disks
//! and foreign directories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod conformance;
mod crash;
mod deletion;
mod opening;
mod space;
mod stores;
