//! What S3 means, without HTTP: buckets, objects, multipart uploads, listings, conditions, and the
//! background work that keeps bytes safe and gives space back.
//!
//! Owns [`ObjectService`]. An edge (S3, admin) turns its requests into calls and the typed errors
//! into answers.
//!
//! Invariants:
//! - an object exists when one metadata commit says so, and every shard it names was durable
//!   before;
//! - conditions are guards of that commit, so no write slips between a check and its effect;
//! - counters and meters move in the commit that changes what they count;
//! - plaintext and keys never leave this process: devices get ciphertext;
//! - memory is bounded by configuration however many requests run.
//!
//! Deliberately absent: HTTP, XML, who may do what.

mod access_log;
mod accounting;
mod api;
mod attributes;
mod bucket;
mod checksum;
mod commit;
mod conditions;
mod config;
mod copy;
mod data;
mod delete;
mod encryption;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod get;
mod key_locks;
mod lifecycle;
mod limits;
mod list;
mod listed_config;
mod lock;
mod multipart;
mod names;
mod publish;
mod put;
mod range;
mod relocate;
mod rename;
mod rollup;
mod sequence;
mod service;
mod tagging;
mod versions;
mod worker;

pub use accounting::{UsageCounter, UsageDrift};
pub use api::*;
pub use attributes::check_bucket_tags;
pub use bucket::{Bucket, BucketConfig, BucketConfigs};
pub use conditions::etag_text;
pub use config::{ObjectConfig, ReadStrategy};
pub use lifecycle::LifecycleDue;
pub use listed_config::{ListedConfig, ListedConfigPage};
pub use service::{ObjectDeps, ObjectService};
