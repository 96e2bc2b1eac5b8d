//! Request bodies: from the connection to what the object service takes.
//!
//! The S3 adapter verifies signatures but is kept away from the bytes wherever that is possible: a
//! body is taken aside before the adapter sees the request, so that hashing happens where the
//! service hashes, and a client is told to go on (`100 Continue`) only after it was let in. Only
//! bodies whose chunks are signed, and browsers' forms, pass through the adapter.
//!
//! | `x-amz-content-sha256` | decoded by | verified by |
//! | --- | --- | --- |
//! | a digest, or `UNSIGNED-PAYLOAD`, or none | — | the service (digest) |
//! | `STREAMING-UNSIGNED-PAYLOAD-TRAILER` | [`chunked`] | the service (checksum trailer) |
//! | `STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER]` | the adapter | the adapter, the service |

pub(crate) mod chunked;
mod declared;
mod digest;
mod document;
mod incoming;
mod payload;

pub(crate) use declared::{declared_algorithm, promises_checksum};
pub(crate) use document::{Document, read_bytes, read_document};
pub(crate) use incoming::{BodySlot, Incoming};
pub(crate) use payload::{Payload, is_signed_stream};
