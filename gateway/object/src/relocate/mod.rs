//! Moving shards to other devices: away from nodes that are drained, apart where they share a
//! failure domain, and from devices that are fuller than others.
//!
//! Owns the long jobs that do so and their book. What needs moving follows from the layout as it is
//! now, the state of the devices and the placement groups that stripes name; there is no stored
//! plan, so a job can be stopped, resumed and started anew at any point.
//!
//! Invariants:
//! - a stripe names a new group only after its moved shards are durable there, by one commit that
//!   holds only if the page is still the one that was read;
//! - shards go to failure domains that no other shard of their stripe is in, and parity is never
//!   given up;
//! - nothing is deleted that the page as it is now names.
//!
//! Deliberately absent: which node may go. The layout says so, and who changes it asks
//! [`held_shards`] first.

mod balance;
mod carry;
mod census;
mod jobs;
mod left_behind;
mod moves;
mod plan;
mod rewrite;
mod scene;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use census::held_shards;
pub(crate) use jobs::Jobs;
pub(crate) use moves::{Judged, Moves};
pub(crate) use worker::Relocate;
