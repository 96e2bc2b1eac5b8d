//! MD5 (RFC 1321), of one stream or of many at once.
//!
//! MD5 cannot be spread over the bytes of one stream: every 64 bytes wait for the 64 before them.
//! It can be spread over streams: a vector register holds one word of each, so that the same
//! instructions advance all of them. S3 wants MD5s of all bodies, and servers receive many at once.
//!
//! Invariants:
//! - a stream's digest does not depend on how its bytes were divided into updates, on which kernel
//!   advanced it, nor on which other streams went along;
//! - a lane whose bytes have run out drops out; nothing beyond a stream's bytes is read;
//! - a [`Kernel`] exists only on a processor that has its instructions.
//!
//! A *step* is what the compression function takes at once: 64 bytes, sixteen words.
//!
//! Deliberately absent: threads, queues and decisions about who goes with whom; they belong to the
//! caller.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod kernel;
mod rounds;
mod scalar;
mod stream;
mod together;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use kernel::Kernel;
pub use stream::{DIGEST_LEN_BYTES, Md5};
pub use together::{Update, update_together};
