//! Bounds on what a recorded geometry may ask for.

/// Most data shards of a stripe. Chosen; revisit when a layout has more than 48 failure domains.
pub const K_MAX: u8 = 32;

/// Most parity shards of a stripe. Chosen; revisit together with [`K_MAX`].
pub const M_MAX: u8 = 16;

/// Longest plaintext of one chunk in bytes. Chosen: sixteen times today's 64 KiB; a chunk is the
/// least that a read must fetch and verify.
pub const CHUNK_LEN_BYTES_MAX: u32 = 1 << 20;

/// Longest shard in bytes. Chosen: eight times the shard of today's stripe at `k = 1`; a node must
/// be able to buffer some shards per connection.
pub const SHARD_LEN_BYTES_MAX: usize = 64 << 20;
