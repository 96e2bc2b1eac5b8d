//! What operators see: metrics and the access log.
//!
//! | metric | kind | labels |
//! | --- | --- | --- |
//! | `datamesh_s3_requests_total` | counter | `operation`, `status` |
//! | `datamesh_s3_request_duration_seconds` | histogram, to the last byte | `operation` |
//! | `datamesh_s3_received_bytes_total` | counter, request bodies as sent | `operation` |
//! | `datamesh_s3_sent_bytes_total` | counter, answer bodies | `operation` |
//! | `datamesh_s3_requests_in_flight` | gauge | |
//! | `datamesh_s3_connections` | gauge | |
//!
//! The access log is one event per request with the target `datamesh::access`. It never carries a
//! query or a header but the user agent: both can hold signatures.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use gateway_meta::AccountId;
use http::StatusCode;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use parking_lot::Mutex;

use crate::{
    access_line::{self, Answered, BatchDeletion},
    body::BodySlot,
};

const REQUESTS: &str = "datamesh_s3_requests_total";
const DURATION: &str = "datamesh_s3_request_duration_seconds";
const RECEIVED: &str = "datamesh_s3_received_bytes_total";
const SENT: &str = "datamesh_s3_sent_bytes_total";
const IN_FLIGHT: &str = "datamesh_s3_requests_in_flight";
const CONNECTIONS: &str = "datamesh_s3_connections";

/// Label of requests that ask for no operation there is.
const NO_OPERATION: &str = "none";

/// Tells the recorder what the metrics mean.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "S3 requests answered");
    describe_histogram!(DURATION, Unit::Seconds, "Time from a request's headers to its last byte");
    describe_counter!(RECEIVED, Unit::Bytes, "Bytes of request bodies");
    describe_counter!(SENT, Unit::Bytes, "Bytes of answer bodies");
    describe_gauge!(IN_FLIGHT, "S3 requests being answered");
    describe_gauge!(CONNECTIONS, "Open S3 connections");
}

/// Counts a connection while it lives.
pub(crate) struct ConnectionGauge(());

impl ConnectionGauge {
    /// One more.
    pub(crate) fn open() -> Self {
        gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1.0);
    }
}

/// What later layers find out about a request.
#[derive(Default)]
pub(crate) struct Findings {
    /// The operation's name.
    pub(crate) operation: OnceLock<&'static str>,
    /// The access key that signed.
    pub(crate) access_key_id: OnceLock<String>,
    /// The account it belongs to.
    pub(crate) account: OnceLock<AccountId>,
    /// The code of the error that was answered.
    pub(crate) error_code: OnceLock<String>,
    /// What became of the objects of one request that deletes many, where that is logged.
    pub(crate) batch_deletions: Mutex<Vec<BatchDeletion>>,
}

/// One request on its way through; reports itself when the last byte of its answer is gone, or the
/// client is.
pub(crate) struct Report {
    pub(crate) started: Instant,
    pub(crate) request_id: String,
    pub(crate) host_id: Arc<str>,
    pub(crate) peer: SocketAddr,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) user_agent: String,
    pub(crate) findings: Arc<Findings>,
    pub(crate) body: BodySlot,
    pub(crate) status: StatusCode,
    pub(crate) sent_bytes: u64,
    pub(crate) whole: bool,
    /// When the answer began.
    pub(crate) answered: Option<Instant>,
    /// How large the object in question is.
    pub(crate) object_len_bytes: Option<u64>,
    /// What the bucket's access log is told, where there is one.
    pub(crate) logged: Option<Box<access_line::Entry>>,
}

impl Report {
    /// Counts the request as under way.
    pub(crate) fn begin(self) -> Self {
        gauge!(IN_FLIGHT).increment(1.0);
        self
    }

    /// Adds to the bucket's access log.
    fn log(&self) {
        let Some(entry) = &self.logged else { return };
        entry.write(&Answered {
            peer: self.peer.ip(),
            request_id: &self.request_id,
            host_id: &self.host_id,
            status: self.status.as_u16(),
            sent_bytes: self.sent_bytes,
            object_len_bytes: self.object_len_bytes,
            started: self.started,
            received: self.body.last_received(),
            answered: self.answered,
            findings: &self.findings,
        });
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let operation = self.findings.operation.get().copied().unwrap_or(NO_OPERATION);
        let elapsed = self.started.elapsed();
        let received_bytes = self.body.received_bytes();
        self.log();
        let status = self.status.as_u16();
        gauge!(IN_FLIGHT).decrement(1.0);
        counter!(REQUESTS, "operation" => operation, "status" => status.to_string()).increment(1);
        histogram!(DURATION, "operation" => operation).record(elapsed.as_secs_f64());
        counter!(RECEIVED, "operation" => operation).increment(received_bytes);
        counter!(SENT, "operation" => operation).increment(self.sent_bytes);
        tracing::info!(
            target: "datamesh::access",
            request_id = %self.request_id,
            peer = %self.peer,
            access_key = self.findings.access_key_id.get().map_or("-", String::as_str),
            operation,
            method = %self.method,
            path = %self.path,
            status,
            received_bytes,
            sent_bytes = self.sent_bytes,
            whole = self.whole,
            duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            user_agent = %self.user_agent,
        );
    }
}
