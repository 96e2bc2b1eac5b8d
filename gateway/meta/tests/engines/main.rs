//! Every engine against the conformance suite and the model; RocksDB against crashes, power cuts,
//! full disks and foreign directories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod conformance;
mod crash;
mod deletion;
mod opening;
mod power;
mod space;
mod stores;
