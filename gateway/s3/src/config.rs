//! What an operator may set.

use std::time::Duration;

use crate::stall::PaceLimits;

/// Settings of the S3 edge. [`Default`] is meant for production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3EdgeConfig {
    /// Base domains under which `bucket.domain` names a bucket; path style works regardless.
    /// Default: none.
    pub domains: Vec<String>,
    /// The region this server is. Default: `us-east-1`. Signatures and location constraints of any
    /// other are refused.
    pub region: String,
    /// Whether signatures of version 2 are taken, too. Default: no. They cover neither bodies nor
    /// every part of a request, and a key's secret is tried against them as it is.
    pub allow_signature_v2: bool,
    /// Whether clients' own keys (SSE-C) are taken from other machines without TLS, because
    /// something in between encrypts. Default: no.
    pub customer_keys_over_http: bool,
    /// Most connections at a time; further ones wait in the kernel's backlog. Default: 4,096.
    pub connections_max: usize,
    /// Most bytes of a request's headers and path together. Default: 32 KiB, four times what S3
    /// allows for a request, so that long presigned URLs fit.
    pub header_len_bytes_max: usize,
    /// How long a client may take to send a request's headers, and to be idle between requests.
    /// Default: 60 s.
    pub header_read_timeout: Duration,
    /// How long a request's body may make no progress, and how long a client may take nothing of
    /// an answer. Default: 60 s.
    pub body_progress_timeout: Duration,
    /// Least average rate, in bytes per second, at which a request's body must arrive and an answer
    /// must be taken, over every [`Self::body_progress_timeout`] spent waiting for the client; 0
    /// for none. Default: 1,024, a hundredth of a slow mobile connection.
    pub body_bytes_per_second_min: u64,
    /// How long requests under way may take to finish once shutdown was asked for. Default: 30 s.
    pub drain_timeout: Duration,
    /// Most bytes of a request document. Default: 4 MiB, which holds a completion of 10,000 parts
    /// with every checksum, and a deletion of 1,000 of the longest keys.
    pub document_len_bytes_max: usize,
    /// Most bytes of a signed chunk, which is held until its signature is verified. Default:
    /// 2 MiB; SDKs send 64 KiB to 1 MiB.
    pub signed_chunk_len_bytes_max: usize,
}

impl S3EdgeConfig {
    /// How slow a client may be.
    pub(crate) fn pace(&self) -> PaceLimits {
        PaceLimits {
            timeout: self.body_progress_timeout,
            bytes_per_second_min: self.body_bytes_per_second_min,
        }
    }
}

impl Default for S3EdgeConfig {
    fn default() -> Self {
        // All chosen; revisit when clients are seen to need more.
        Self {
            domains: Vec::new(),
            region: "us-east-1".to_owned(),
            allow_signature_v2: false,
            customer_keys_over_http: false,
            connections_max: 4096,
            header_len_bytes_max: 32 << 10,
            header_read_timeout: Duration::from_secs(60),
            body_progress_timeout: Duration::from_secs(60),
            body_bytes_per_second_min: 1 << 10,
            drain_timeout: Duration::from_secs(30),
            document_len_bytes_max: 4 << 20,
            signed_chunk_len_bytes_max: 2 << 20,
        }
    }
}
