//! Accounts, access keys, and the decision who may do what.
//!
//! Owns [`Directory`], the accounts and access keys kept in the metadata store, [`Policy`], the
//! policies of buckets, and [`authorize()`], a pure function.
//!
//! Invariants:
//! - deny by default: what nothing allows is refused;
//! - a secret access key is stored sealed under the root key, bound to its access key id;
//! - the root credentials are never stored here: they are given at start;
//! - an account that owns buckets cannot be deleted.
//!
//! Deliberately absent: HTTP, signatures (edges verify them with the secrets given out here),
//! policies of users, groups and roles (not built yet).

mod action;
mod authorize;
mod directory;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod names;
mod policy;
mod record;

pub use action::{Action, Level};
pub use authorize::{Decision, Principal, Resource, Verdict, authorize};
pub use directory::{
    AccessKey, Account, CreateAccessKeyError, CreateAccountError, Credentials, DeleteAccountError,
    Directory, DirectoryDeps, ImportedKey, ListError, NewAccessKey, OpenDirectoryError,
    ResolveError, RevokeAccessKeyError, RootCredentials, Secret, canonical_id,
};
pub use names::{InvalidName, validate_access_key_id, validate_secret, validate_user_name};
pub use policy::{
    Budget, Malformed, POLICY_LEN_BYTES_MAX, Policy, PolicyContext, PolicyPrincipal, PolicyRequest,
};
