//! What every [`ShardService`] must do, wherever its device is.
//!
//! Run [`check_all`] against an implementation. Each check uses keys of its own, so that they may
//! run on one device that holds other shards as well. Checks panic with what was wrong.
//!
//! Invariants that are checked:
//! - a key is write-once; the same bytes again are no conflict; damaged payloads are refused;
//! - what was put is read back, in whole and in ranges; what was not is `NotFound`;
//! - a replaced shard is the new one; a deleted shard is gone from reads and lists;
//! - lists are ascending, complete, and continue where the page before ended;
//! - all of that holds for many calls at a time.
//!
//! Deliberately absent: crashes, full drives and scrubs, which implementations differ in.

mod memory;
mod reads;
mod writes;

use bytes::Bytes;

use crate::{ByteRange, ManifestId, ShardIndex, ShardKey, ShardRoot, ShardService, StripeSeq};

pub use memory::MemoryDevice;
pub use reads::{
    lists_are_ascending_and_continue_page_by_page, missing_shards_are_not_found,
    ranges_are_read_and_checked, verification_tells_the_root,
};
pub use writes::{
    concurrent_calls_do_not_disturb_each_other, deleted_shards_are_gone,
    other_bytes_under_a_key_conflict, payloads_that_do_not_match_their_root_are_refused,
    replaced_shards_are_the_new_ones, the_same_bytes_may_be_put_again,
};

/// Lengths of shards that are tried: empty ones are not stored; pages, chunks and frames end
/// around these.
const LENGTHS: [usize; 9] = [1, 100, 4095, 4096, 65_536, 65_552, 262_144, 262_145, 1_000_000];

/// Every check, one after the other.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn check_all(device: &dyn ShardService) {
    the_same_bytes_may_be_put_again(device).await;
    other_bytes_under_a_key_conflict(device).await;
    payloads_that_do_not_match_their_root_are_refused(device).await;
    ranges_are_read_and_checked(device).await;
    missing_shards_are_not_found(device).await;
    verification_tells_the_root(device).await;
    replaced_shards_are_the_new_ones(device).await;
    deleted_shards_are_gone(device).await;
    lists_are_ascending_and_continue_page_by_page(device).await;
    concurrent_calls_do_not_disturb_each_other(device).await;
}

/// A key of one check.
#[must_use]
pub fn key(check: u64, number: u32) -> ShardKey {
    let index = ShardIndex(u8::try_from(number % 6).expect("less than six"));
    ShardKey { manifest: ManifestId(0xc0_0000 + check), stripe: StripeSeq(number), index }
}

/// Bytes that differ by seed and do not compress.
#[must_use]
pub fn payload(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    (0..len).map(byte).collect()
}

/// The root of a payload.
#[must_use]
pub fn root_of(payload: &[u8]) -> ShardRoot {
    ShardRoot(*blake3::hash(payload).as_bytes())
}

/// All of a payload of a length.
#[must_use]
pub fn whole(len: usize) -> ByteRange {
    ByteRange { offset_bytes: 0, len_bytes: len as u64 }
}

async fn put(device: &dyn ShardService, key: ShardKey, payload: &Bytes) {
    let stored = device.put(key, root_of(payload), payload.clone()).await;
    assert_eq!(stored, Ok(()), "putting {key} of {} bytes", payload.len());
}

async fn expect(device: &dyn ShardService, key: ShardKey, payload: &Bytes) {
    let read = device.get(key, whole(payload.len())).await;
    // Not `assert_eq`, which would print megabytes.
    assert!(read.as_ref() == Ok(payload), "{key} reads {:?}", read.map(|bytes| bytes.len()));
}
