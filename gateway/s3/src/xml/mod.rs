//! XML in and out: a writer for answers and a bounded reader for request documents.
//!
//! The S3 adapter's own serializer refuses keys with control characters and its deserializer drops
//! CDATA and refuses elements it does not know, so documents are read and written here.

mod read;
mod write;

pub(crate) use read::{Element, Malformed, parse};
pub(crate) use write::{Writer, has_place_for};
