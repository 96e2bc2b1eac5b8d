//! Bodies on their way in and out.

use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;
use gateway_meta::record::ChecksumAlgorithm;

/// Plaintext bytes in order. An error ends the stream.
pub type ByteStream = BoxStream<'static, Result<Bytes, BodyError>>;

/// Why a body stream ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client stopped before the declared length.
    #[error("the body ended before its declared length")]
    Truncated,
    /// The client sent nothing for too long.
    #[error("the body made no progress in time")]
    TimedOut,
    /// The edge refused the bytes (a chunk signature, the framing). It gets its own error back.
    #[error("the body was refused")]
    Rejected {
        /// What the edge put in.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Stored bytes could not be read; outgoing bodies only.
    #[error("stored bytes cannot be read")]
    Unreadable {
        /// What failed.
        #[source]
        source: super::Fault,
    },
}

/// A body to store, with everything the client said about it.
pub struct IncomingBody {
    /// The decoded bytes.
    pub stream: ByteStream,
    /// The decoded length that the client declared, in bytes. The service enforces it.
    pub len_bytes: Option<u64>,
    /// What the bytes must hash to. The service computes and compares.
    pub expected: ExpectedDigests,
}

/// Digests that the client declared.
#[derive(Default)]
pub struct ExpectedDigests {
    /// `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// `x-amz-content-sha256`, where it is a digest of the whole body.
    pub sha256: Option<[u8; 32]>,
    /// The additional checksum. Without one the service computes CRC-64/NVME, as S3 does.
    pub checksum: Option<ChecksumRequest>,
}

/// An additional checksum to compute, keep, and compare where a value was declared.
pub struct ChecksumRequest {
    /// Which one.
    pub algorithm: ChecksumAlgorithm,
    /// What the client says it is, if it does.
    pub expected: Option<ExpectedChecksum>,
}

/// Where the declared value of a checksum is found.
pub enum ExpectedChecksum {
    /// In a header: raw bytes.
    Value(Vec<u8>),
    /// In a trailer: asked for once the stream has ended, raw bytes; `Ok(None)` when the client
    /// left it out.
    Trailer(Box<dyn FnOnce() -> Result<Option<Vec<u8>>, MalformedTrailer> + Send>),
}

/// The trailer that should carry the checksum cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checksum trailer is malformed")]
pub struct MalformedTrailer;

impl fmt::Debug for IncomingBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingBody").field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}
