//! The service as edges see it, over the in-memory metadata store and six devices in memory.

#![expect(clippy::unwrap_used, reason = "a test helper that unwraps fails its test")]

mod access_log;
mod buckets;
mod encryption;
mod harness;
mod lifecycle;
mod listing;
mod lock;
mod model;
mod multipart;
mod objects;
mod races;
mod reference;
mod rename;
mod version_model;
mod version_races;
mod versions;
