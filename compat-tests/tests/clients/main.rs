//! The client matrix: one module per client, each test drives the real program or SDK.
//!
//! A test's path, for example `clients::boto3::ranges_read_exactly_what_they_name`, is its row id
//! in `docs/s3-compatibility.md`: the name of this binary, the module, the test.
//!
//! - The programs are the ones `compat-tests/clients/install` pins.
//! - Every test reads back what it wrote and compares the bytes.
//! - Tests share one server and keep apart by bucket name.
//! - `clients_mesh` runs the same modules against a gateway whose shards are on nodes.

mod access_logs;
mod addressing;
mod aws_cli;
mod aws_cli_features;
mod boto3;
mod go_sdk;
mod java_sdk;
mod javascript_sdk;
mod lake;
mod lifecycle_days;
mod minio_py;
mod object_store;
mod rclone;
mod restic;
mod rust_sdk;
mod s3cmd;
mod s3fs_fuse;
mod s3s_e2e;
mod s5cmd;
mod scenario;
mod tls;

/// The server that the tests share.
fn shared() -> compat_tests::server::Server {
    compat_tests::server::Server::shared()
}
