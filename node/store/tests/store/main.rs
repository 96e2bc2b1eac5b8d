//! The drive from outside: through `ShardService`, on faulty and on real files.

#![expect(clippy::unwrap_used, reason = "a test helper that unwraps fails its test")]

mod conformance;
mod continuity;
mod faults;
mod fixture;
mod lifecycle;
mod model;
mod scrub;
mod shards;
mod space;
