//! Lanes: standing streams that carry many requests at a time.
//!
//! Owns what both ends of a lane share: reading and writing frames, the order in which they are
//! sent, the byte budget; and the asking end with its pool of lanes per peer and class. The wire
//! format is [`node_proto::wire`]'s, the answering end is [`crate::serve`].
//!
//! Invariants:
//! - whoever reads a lane never waits for anything but the lane itself, so that a lane whose two
//!   directions are both full still moves;
//! - every request ends: with an answer, by its deadline, by being dropped, or with its lane;
//! - what waits to be sent is bounded by the number of requests that a lane admits.
//!
//! Deliberately absent: libp2p, and what requests mean.

mod budget;
mod call;
mod class;
mod client;
mod frames;
mod outbox;
mod progress;
mod telemetry;

pub use call::CallError;

pub(crate) use budget::{Budget, Reservation};
pub(crate) use call::{Answer, Call};
pub(crate) use class::{ClassLanes, ClassSettings};
pub(crate) use frames::{FrameReader, FrameWriter, ReadFrameError};
pub(crate) use outbox::{Message, Outbox, Withdrawn, write_all};
pub(crate) use progress::Progress;
pub(crate) use telemetry::{Meter, Telemetry};
