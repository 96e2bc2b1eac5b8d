//! Where the bytes of a body are.
//!
//! Manifest page:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `bucket` | varint |
//! | `len_bytes` | varint |
//! | `chunk_len_bytes` | varint |
//! | `stripe_len_bytes` | varint |
//! | `key_epoch` | varint |
//! | `data_key` | bytes |
//! | `first_stripe` | varint |
//! | `stripe_count` | varint |
//! | `stripes` | sequence of: `seq` varint, `group` varint, `k` `m` `codec` one byte each, `roots` sequence of 32 bytes |
//!
//! Inline record:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `bucket` | varint |
//! | `key_epoch` | varint |
//! | `data_key` | bytes |
//! | `ciphertext` | bytes |
//!
//! Part table page:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `part_count` | varint |
//! | `parts` | sequence of: `number` varint, `offset_bytes` varint, `len_bytes` varint, `body` as in an object record, `checksum` bytes |

use node_proto::{ManifestId, PlacementGroupId, ShardRoot, StripeSeq};
use serde::{Deserialize, Serialize};

use super::Record;
use crate::BucketId;

/// One page of a body's stripe list, under `manifest · page`. Every page carries the header, so
/// that any page can be read, repaired and deleted alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPage {
    /// Bucket that the body was sealed for.
    pub bucket: BucketId,
    /// Plaintext length of the whole body in bytes.
    pub len_bytes: u64,
    /// Plaintext bytes per sealed chunk.
    pub chunk_len_bytes: u32,
    /// Plaintext bytes per full stripe; stripe `i` starts at `i * stripe_len_bytes`.
    pub stripe_len_bytes: u32,
    /// Epoch of the bucket key that wraps the data key.
    pub key_epoch: u32,
    /// `gateway_seal::WrappedDataKey`, encoded.
    #[serde(with = "serde_bytes")]
    pub data_key: Vec<u8>,
    /// Index of this page's first stripe.
    pub first_stripe: u32,
    /// Stripes of the whole body.
    pub stripe_count: u32,
    /// This page's stripes, ascending.
    pub stripes: Vec<StripeRecord>,
}

impl ManifestPage {
    /// Stripes per page. 4+2 roots take about 200 bytes a stripe, so a page is about 26 KiB and
    /// describes 1 GiB. Chosen; revisit with other stripe lengths.
    pub const STRIPES_PER_PAGE: u32 = 128;
}

/// One stripe: its code and where its shards are. Shard `i` is on member `i` of the placement
/// group, under `manifest · seq · i`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeRecord {
    /// The attempt that succeeded.
    pub seq: StripeSeq,
    /// The devices.
    pub group: PlacementGroupId,
    /// Data shards.
    pub k: u8,
    /// Parity shards.
    pub m: u8,
    /// `node_stripe::Codec` id.
    pub codec: u8,
    /// BLAKE3 of each shard, `k + m` of them.
    pub roots: Vec<ShardRoot>,
}

/// A small body kept in the metadata store: one sealed chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineRecord {
    /// Bucket that the body was sealed for.
    pub bucket: BucketId,
    /// Epoch of the bucket key that wraps the data key.
    pub key_epoch: u32,
    /// `gateway_seal::WrappedDataKey`, encoded.
    #[serde(with = "serde_bytes")]
    pub data_key: Vec<u8>,
    /// The sealed chunk.
    #[serde(with = "serde_bytes")]
    pub ciphertext: Vec<u8>,
}

/// One page of a completed multipart object's part list, under `manifest · page` like a stripe
/// list; the object's [`super::Body`] says which of the two it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartTablePage {
    /// Parts of the whole object.
    pub part_count: u32,
    /// This page's parts, ascending.
    pub parts: Vec<PartTableEntry>,
}

impl PartTablePage {
    /// Parts per page. Chosen: a page stays below 128 KiB.
    pub const PARTS_PER_PAGE: u32 = 1000;
}

/// One part of a completed multipart object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartTableEntry {
    /// The client's part number.
    pub number: u16,
    /// First byte of the part within the object.
    pub offset_bytes: u64,
    /// Plaintext length in bytes.
    pub len_bytes: u64,
    /// Where the part's bytes are. Never [`super::Body::Parts`].
    pub body: super::Body,
    /// The part's checksum, raw bytes, in the object's algorithm; empty if none was kept.
    pub checksum: Vec<u8>,
}

impl Record for ManifestPage {
    const NAME: &'static str = "manifest page";
}

impl Record for InlineRecord {
    const NAME: &'static str = "inline record";
}

impl Record for PartTablePage {
    const NAME: &'static str = "part table page";
}

impl super::Body {
    /// The id whose rows and shards the body owns, if any.
    #[must_use]
    pub fn manifest(&self) -> Option<ManifestId> {
        match *self {
            Self::Empty => None,
            Self::Inline(id) | Self::Stripes(id) | Self::Parts(id) => Some(id),
        }
    }
}
