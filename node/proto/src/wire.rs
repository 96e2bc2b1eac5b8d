//! Frames of the shard protocol, `/datamesh/shard/1`: bytes in, typed frames out, and back.
//!
//! `docs/mesh-protocol.md` is the protocol; this is its encoding. Integers outside postcard bodies
//! are big-endian.
//!
//! Invariants:
//! - every length is checked before anything of that length is allocated;
//! - a frame is decoded completely or refused: unknown kinds, flags and versions, and trailing
//!   bytes are errors;
//! - bytes from a peer never panic;
//! - enumerations only grow at their end: the position of a variant is what travels.
//!
//! Deliberately absent: reading and writing streams, and deciding who may ask for what.

mod header;
mod hello;
mod request;
mod response;

pub use header::{
    DATA_LEN_BYTES_MAX, FRAME_LEN_BYTES_MAX, FrameHeader, FrameKind, HEADER_LEN_BYTES,
    InvalidHeader, RequestId,
};
pub use hello::{Goodbye, GoodbyeCode, Hello, InvalidHello, LaneKind, VERSION, Welcome};
pub use request::{
    DELETE_KEYS_MAX, DamagedMark, InvalidRequest, LIST_ENTRIES_MAX, PAYLOAD_LEN_BYTES_MAX,
    Priority, Request, RequestFrame, RequestHead,
};
pub use response::{
    DEVICES_MAX, DamagedShard, DeviceReport, InvalidResponse, PeerStatus, REASON_LEN_BYTES_MAX,
    Refusal, Response,
};
