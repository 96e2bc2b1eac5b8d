//! The contract of key services.

use std::sync::Arc;

use async_trait::async_trait;
use gateway_seal::VersionKey;
use node_proto::UnixMillis;

use crate::{KeyContext, KeyName};

/// A new version key.
#[derive(Debug)]
pub struct GeneratedKey {
    /// The id of the key that sealed it, whatever name it was asked for by.
    pub key_id: String,
    /// The version key itself.
    pub plain: Arc<VersionKey>,
    /// Its sealed form; opaque to everybody else, at most a few hundred bytes.
    pub sealed: Vec<u8>,
}

/// What can be told of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id.
    pub id: String,
    /// Names it goes by, without `alias/`.
    pub aliases: Vec<String>,
    /// What the administrator says of it.
    pub description: String,
    /// Whether it seals and opens.
    pub enabled: bool,
    /// When it was made.
    pub created: UnixMillis,
    /// When its newest version was made.
    pub rotated: UnixMillis,
    /// How many versions it has.
    pub version_count: u32,
}

/// Why a key service did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no such key. Name another.
    #[error("there is no key {key}")]
    NotFound {
        /// As it was asked for.
        key: String,
    },
    /// The key is disabled. Wait until it is enabled.
    #[error("the key {key} is disabled")]
    Disabled {
        /// Its id.
        key: String,
    },
    /// The sealed key was not made by this key for this context, or is damaged.
    #[error("the sealed key does not open with the key {key}")]
    Refused {
        /// The key's id.
        key: String,
    },
    /// The service cannot be reached, or its store does not answer. Retry.
    #[error("the key service is unavailable: {reason}")]
    Unavailable {
        /// What happened, for the log.
        reason: String,
    },
    /// What the service has stored cannot be understood.
    #[error("stored keys are damaged: {reason}")]
    Corrupt {
        /// What was found, for the log.
        reason: String,
    },
}

/// Somebody who keeps keys. The conformance suite says what every implementation must do.
///
/// *Consistency:* disabling a key is seen by every call that starts after it was answered. An
/// implementation that keeps opened keys says for how long. *Cancellation:* dropping a call
/// abandons its answer. *Retries:* every call may be repeated; each `generate` makes another key.
#[async_trait]
pub trait KeyService: Send + Sync + 'static {
    /// Makes a version key, sealed for `context` under the newest version of a key.
    async fn generate(&self, key: &KeyName, context: &KeyContext)
    -> Result<GeneratedKey, KeyError>;

    /// Opens a version key that the key of this id sealed for `context`.
    async fn open(
        &self,
        key_id: &str,
        sealed: &[u8],
        context: &KeyContext,
    ) -> Result<Arc<VersionKey>, KeyError>;

    /// Tells of a key.
    async fn describe(&self, key: &KeyName) -> Result<KeyInfo, KeyError>;
}
