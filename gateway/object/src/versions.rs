//! The versions of a key: where they are, and how they come, change and go.
//!
//! Invariants:
//! - `cur` holds the newest version exactly if that is an object; `ver` holds everything older, and
//!   every delete marker, from the newest on;
//! - `nul` says which row of `ver` is the key's `null` version, and is absent while none is;
//! - the newest version's sequence number is greater than all others' of the key, and a version's id
//!   is its sequence number, so a version is found without a search;
//! - a body leaves in the commit that removes its version for good, and in no other;
//! - what a commit changes about a key was read from one snapshot, and the commit holds only while
//!   all of that is unchanged ([`KeyEdit`]).
//!
//! Every commit that makes or removes versions also guards the bucket and its mode, so a write that
//! races with a change of the mode is done anew in the new one.

mod change;
mod edit;
mod list;
mod remove;

pub(crate) use edit::{EditOutcome, Finished, KeyEdit, Place, edit_outcome, standing_guards};
