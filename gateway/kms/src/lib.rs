//! Keys of object versions that a key service keeps: SSE-KMS.
//!
//! Owns [`KeyService`], the contract between the gateway and whatever keeps such keys, and
//! [`BuiltInKeyService`], which keeps them in the metadata, sealed under the root key.
//!
//! A service has keys of its own, which never leave it. It makes *version keys*, hands each out once
//! in the clear and sealed, and opens the sealed form again for the same context. The gateway stores
//! the sealed form with the version and forgets the other.
//!
//! Invariants:
//! - a sealed version key opens under the key that sealed it and for its context, or not at all;
//! - rotating a key leaves everything that older versions of it sealed readable;
//! - a disabled key neither seals nor opens, from the next request on;
//! - keys are neither logged nor printed; who did what to which key is.
//!
//! Deliberately absent: who may use a key (bucket policies say who may write and read), deletion of
//! keys (a key that is gone takes its objects with it; disabling can be taken back), the encryption
//! of bodies (`gateway-seal`, through `gateway-object`).

mod built_in;
#[cfg(feature = "conformance")]
pub mod conformance;
mod context;
mod name;
mod service;

pub use built_in::{BuiltInDeps, BuiltInKeyService, ChangeKeyError, CreateKeyError, NewKey};
pub use context::{KeyContext, MalformedContext};
pub use name::{InvalidKeyName, KeyName};
pub use service::{GeneratedKey, KeyError, KeyInfo, KeyService};
