//! The rules of the tree that rustfmt, clippy and rustdoc cannot check.
//!
//! Owns the checks marked "(checked)" in the house style: sizes, names, suppressions, dependency
//! arrows, licences, machine paths, and the claims of `docs/s3-compatibility.md`. Each check is a
//! pure function from text to [`Violation`]s and has unit tests that feed it bad samples;
//! `tests/tidy.rs` applies them to the checkout.
//!
//! Invariants:
//! - a check never repairs and never writes;
//! - an exception names one check, one path and a reason, and an exception that excuses nothing is
//!   itself a violation, so the list only shrinks;
//! - a check that finds nothing to look at fails, so that a moved document is not a passed check.
//!
//! Deliberately absent: a Rust parser (tokens are enough), formatting, security advisories (they
//! change without a commit and would make yesterday's green build red).

pub mod arrows;
pub mod compatibility;
pub mod exceptions;
pub mod fuzzing;
pub mod licence;
pub mod machine;
pub mod metadata;
pub mod naming;
pub mod purity;
pub mod size;
pub mod suppression;
pub mod tokens;
pub mod tree;

pub use exceptions::{Check, Exception, unexcused};
pub use tree::{SourceFile, Violation};
