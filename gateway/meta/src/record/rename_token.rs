//! A rename that its client may repeat.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `token` | string |
//! | `source` | string |
//! | `target` | string |
//! | `renamed` | varint, Unix milliseconds |

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Record;

/// A rename that was done under a token of its client's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameTokenRecord {
    /// The token.
    pub token: String,
    /// The key before.
    pub source: String,
    /// The key since.
    pub target: String,
    /// When it was done.
    pub renamed: UnixMillis,
}

impl Record for RenameTokenRecord {
    const NAME: &'static str = "rename token record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rename_token_has_golden_bytes() {
        let record = RenameTokenRecord {
            token: "t".into(),
            source: "a".into(),
            target: "b".into(),
            renamed: UnixMillis(300),
        };
        let golden = [1, 1, b't', 1, b'a', 1, b'b', 0xac, 2];
        assert_eq!(record.encode()[..], golden);
        assert_eq!(RenameTokenRecord::decode(&golden), Ok(record));
        for cut in 0..golden.len() {
            RenameTokenRecord::decode(&golden[..cut]).unwrap_err();
        }
    }
}
