//! The key hierarchy of a gateway and the encryption of object bodies.
//!
//! ```text
//! root key            32 bytes, from a file; the only key that is not stored sealed
//!  ├─ secrets         S3 secret keys, the token signing key: sealed under the root key
//!  └─ account key     X25519; the private half is sealed under the root key
//!      └─ bucket key  32 random bytes per bucket and key epoch, wrapped to the public half (HPKE)
//!          └─ data key  32 random bytes per uploaded body, wrapped under the bucket key, or under
//!              │         bucket key and version key together
//!              └─ chunks  AES-256-GCM, one nonce per position
//!
//! version key         32 bytes, the client's (SSE-C) or random (SSE-KMS): sealed under a service key
//! service key         32 bytes of the built-in key service: sealed under the root key as a secret
//! ```
//!
//! Invariants:
//! - a (key, nonce) pair is never used for two plaintexts: every wrap derives its own key from a
//!   random salt, and a data key encrypts one body whose chunk positions are its nonces;
//! - every sealed value is bound to what it belongs to (account, bucket, key epoch, manifest,
//!   purpose), so that none can stand in for another, also when metadata is rewritten;
//! - plaintext is handed out only after its tag was verified; a refused buffer holds no plaintext;
//! - keys are zeroed when dropped, are not printed by `Debug`, and are not compared;
//! - persisted forms start with a version byte; decoding never panics.
//!
//! Not protected: which bodies exist, how long they are, and a body against being replaced by an
//! older one of the same manifest id (ids are never reused). Whoever holds the root key and the
//! metadata can read everything.
//!
//! Deliberately absent: I/O (root keys come as bytes), clocks, a source of randomness (it is
//! passed in as [`RandomSource`]), and the ids of metadata (they come as numbers in the context
//! structs).

mod account;
mod bucket;
mod chunk;
mod data;
mod envelope;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hpke_base;
mod random;
mod root;
mod secret;
mod service;
mod version;

pub use account::{AccountKeyPair, AccountPublicKey, OpenAccountKeyError, SealedAccountKey};
pub use bucket::{
    BucketKey, BucketKeyContext, UnwrapBucketKeyError, WrapBucketKeyError, WrappedBucketKey,
};
pub use chunk::{
    BodyContext, ChunkIndex, ChunkPosition, ChunkSealer, OpenChunkError, SealChunkError,
    TAG_LEN_BYTES,
};
pub use data::{DataKey, UnwrapDataKeyError, WrappedDataKey};
pub use envelope::DecodeSealedError;
pub use random::RandomSource;
pub use root::{InvalidRootKey, RootKey};
pub use secret::{
    OpenSecretError, OpenedSecret, SECRET_LEN_BYTES_MAX, SealSecretError, SealedSecret,
    open_secret, seal_secret,
};
pub use service::{InvalidServiceKey, OpenVersionKeyError, SealedVersionKey, ServiceKey};
pub use version::VersionKey;
