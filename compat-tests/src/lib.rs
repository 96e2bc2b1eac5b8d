//! Real S3 clients driven against a real `datamesh server`.
//!
//! Owns the harness the tests stand on: a server process in a directory of its own
//! ([`server`]), a gateway process with storage node processes ([`mesh`]), the installed clients
//! ([`clients`]), programs with a deadline ([`program`]), a client that sends exactly the bytes a
//! test asks for ([`wire`], [`encoding`]), and clients that write while something fails and know
//! afterwards what every key may hold ([`load`], [`ledger`]).
//!
//! - Black box: nothing here or in the tests depends on another crate of this workspace; the
//!   server is known by its command line, its `endpoints.json` and the wire.
//! - Nothing is skipped: a missing server binary or a missing or stale client fails the test with
//!   the command that puts it right.
//! - Every process started here is ended here, by its own process id.
//! - Loopback only.
//!
//! The harness panics where a library would return an error: its only callers are tests, and a
//! panic is how a test fails.

pub mod clients;
pub mod encoding;
pub mod ledger;
pub mod load;
pub mod mesh;
pub mod payload;
pub mod program;
pub mod server;
pub mod tree;
pub mod wire;

mod blocking;
