//! How one contiguous slice of a sealed body becomes shards, and how shards become it again.
//!
//! Owns the geometry of a stripe (which chunk lies where in which shard), the erasure codecs with
//! their persisted ids, and the root hash of a shard.
//!
//! ```text
//! plaintext   chunk 0 │ chunk 1 │ … │ chunk n-1 (may be short)
//! sealed      chunk + 16-byte tag, back to back
//! data shard  a run of `chunks_per_shard` sealed chunks, then zeros up to `shard_len_bytes`
//! stripe      k data shards, then m parity shards, all of `shard_len_bytes`
//! ```
//!
//! Invariants:
//! - a geometry is a pure function of a [`StripeSpec`]: what is recorded with a version is enough
//!   to find every byte again, whatever the defaults are by then;
//! - every shard of a stripe has the same length, a multiple of [`COLUMN_LEN_BYTES`], and equal
//!   column-aligned sub-ranges of k shards decode on their own to the same sub-range of the others;
//! - no data shard is all padding: a short stripe uses fewer data shards, never less parity;
//! - with one data shard every parity shard is a copy of it;
//! - numbers that come from disk are refused with a typed error or used, never a panic; everything
//!   they can make us allocate is bounded by the constants of [`limits`].
//!
//! Deliberately absent: I/O, clocks, randomness, encryption (chunks arrive sealed), placement
//! (which device holds which shard) and buffer pools (callers bring the buffers).

mod cauchy;
mod codec;
mod coding;
mod geometry;
mod leopard;
pub mod limits;
mod profile;
mod restore;
mod root;

pub use codec::{Codec, UnknownCodec};
pub use coding::{EncodeError, encode};
pub use geometry::{
    COLUMN_LEN_BYTES, ChunkPlace, GeometryError, StripeChunk, StripeGeometry, StripeSpec,
};
pub use profile::{Profile, ProfileError};
pub use restore::{ReconstructError, Restorer, reconstruct};
pub use root::shard_root;
