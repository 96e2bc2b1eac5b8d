//! What no SDK shows: raw requests and the exact answers to them.
//!
//! A test's path, for example `wire::signatures::a_skewed_clock_is_refused`, is its row id in
//! `docs/s3-compatibility.md`.
//!
//! - Expectations are what AWS documents; where AWS documents nothing, what RFC 9110 says.
//! - Tests share one server and keep apart by bucket name.

mod bodies;
mod errors;
mod listings;
mod operations;
mod ranges;
mod signatures;

use compat_tests::server::Server;
use compat_tests::wire::Wire;

/// The shared server, a client signed as root, and a bucket of the test's own.
struct Fixture {
    server: Server,
    wire: Wire,
    bucket: String,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::shared();
        let bucket = server.new_bucket("wire");
        let wire = server.wire();
        Self { server, wire, bucket }
    }

    /// The target of `rest` in the bucket: `/BUCKET` followed by `rest`.
    fn at(&self, rest: &str) -> String {
        format!("/{}{rest}", self.bucket)
    }

    /// Stores `data` under `key`, which is taken as it is.
    fn put(&self, key: &str, data: impl Into<bytes::Bytes>) {
        self.wire.put(&self.at(&format!("/{key}"))).body(data).send().expect_status(200);
    }

    /// Checks that `key` holds `data`.
    fn expect_body(&self, key: &str, data: impl AsRef<[u8]>) {
        let answer = self.wire.get(&self.at(&format!("/{key}"))).send().status_is(200);
        assert!(answer.body == data.as_ref(), "{key} holds {} other bytes", answer.body.len());
    }

    /// Checks that there is no object `key`.
    fn expect_absent(&self, key: &str) {
        self.wire.get(&self.at(&format!("/{key}"))).send().expect_error(404, "NoSuchKey");
    }
}
