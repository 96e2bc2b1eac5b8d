//! Bounds of what is kept.

use std::time::Duration;

/// Most tokens that have not ended. Chosen: far above the nodes joined in a day.
pub const TOKENS_MAX: usize = 1_000;

/// Most nodes that wait for approval. Chosen, as [`TOKENS_MAX`]: each of them used one up.
pub const PENDING_NODES_MAX: usize = 1_000;

/// Most nodes ever, retired ones included. Chosen: read at once where all are looked at.
pub const NODES_MAX: usize = 1 << 16;

/// How long a token is good when nobody says otherwise. Chosen: a working day and its night.
pub const TOKEN_TTL_DEFAULT: Duration = Duration::from_secs(24 * 3_600);

/// Longest time a token is good. Chosen: a month.
pub const TOKEN_TTL_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Epochs of which the layout is kept. Chosen: some years of changes.
pub const REVISIONS_MAX: u64 = 1_000;

/// Most changes staged at once. Chosen: more than anybody reads in a preview.
pub const STAGED_CHANGES_MAX: usize = 1_000;

/// Longest multiaddress of a node in bytes. Chosen: a DNS name of 253 bytes and a port.
pub const ADDRESS_LEN_BYTES_MAX: usize = 300;

/// Longest path of a drive in bytes. Chosen; longer ones make layouts unwieldy.
pub const PATH_LEN_BYTES_MAX: usize = 1_024;

/// Longest version text in bytes. Chosen.
pub const VERSION_LEN_BYTES_MAX: usize = 64;

/// Most space that a drive may claim, in bytes. Chosen: 1 EiB, so that sums of a layout's drives
/// stay far within `u128` and `f64`.
pub const CAPACITY_BYTES_MAX: u64 = 1 << 60;

/// Bytes of the gateway's own addresses that a token carries. Chosen: half of a token's text.
pub const TOKEN_ADDRESSES_LEN_BYTES_MAX: usize = 2_048;
