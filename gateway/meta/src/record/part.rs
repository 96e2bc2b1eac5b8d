//! An uploaded part of a multipart upload.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `len_bytes` | varint |
//! | `md5` | 16 bytes |
//! | `checksum` | option of: algorithm as in an object record, bytes |
//! | `modified` | varint, Unix milliseconds |
//! | `body` | as in an object record |

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{Body, Record};

/// One part, under `upload · part number`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Plaintext length in bytes.
    pub len_bytes: u64,
    /// MD5 of the part.
    pub md5: [u8; 16],
    /// The part's checksum in the upload's algorithm, raw bytes.
    pub checksum: Option<(super::ChecksumAlgorithm, Vec<u8>)>,
    /// When the part arrived.
    pub modified: UnixMillis,
    /// Where its bytes are. Never [`Body::Parts`].
    pub body: Body,
}

impl Record for PartRecord {
    const NAME: &'static str = "part record";
}
