//! A join token, under `ctl join-token` and its id.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `proof_key` | 32 bytes |
//! | `zone` | option of string |
//! | `name` | option of string |
//! | `is_approved` | bool |
//! | `is_revoked` | bool |
//! | `created` | varint, Unix milliseconds |
//! | `expires` | varint, Unix milliseconds |
//! | `used_by` | option of 32 bytes |

use node_proto::{PeerKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Record;

/// One token. Its secret is known to the node's operator only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// `node_proto::join::proof_key` of the secret.
    pub proof_key: [u8; 32],
    /// The zone of the node that comes with it.
    pub zone: Option<String>,
    /// What the node will be called, whatever it calls itself.
    pub name: Option<String>,
    /// The node needs no approval by an operator.
    pub is_approved: bool,
    /// An operator took it back.
    pub is_revoked: bool,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
    /// The one node that it is good for, once one has come.
    pub used_by: Option<PeerKey>,
}

impl std::fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRecord")
            .field("zone", &self.zone)
            .field("expires", &self.expires)
            .field("used_by", &self.used_by)
            .finish_non_exhaustive()
    }
}

impl Record for TokenRecord {
    const NAME: &'static str = "join token record";
}
