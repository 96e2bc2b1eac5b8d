//! The client matrix once more, through a mesh: the modules of `clients` against a gateway whose
//! shards are on six storage nodes.
//!
//! Deliberately absent: `tls`, `lifecycle_days` and `access_logs`, which start servers of their own.

#[path = "../clients/addressing.rs"]
mod addressing;
#[path = "../clients/aws_cli.rs"]
mod aws_cli;
#[path = "../clients/aws_cli_features.rs"]
mod aws_cli_features;
#[path = "../clients/boto3.rs"]
mod boto3;
#[path = "../clients/go_sdk.rs"]
mod go_sdk;
#[path = "../clients/java_sdk.rs"]
mod java_sdk;
#[path = "../clients/javascript_sdk.rs"]
mod javascript_sdk;
#[path = "../clients/lake.rs"]
mod lake;
#[path = "../clients/minio_py.rs"]
mod minio_py;
#[path = "../clients/object_store.rs"]
mod object_store;
#[path = "../clients/rclone.rs"]
mod rclone;
#[path = "../clients/restic.rs"]
mod restic;
#[path = "../clients/rust_sdk.rs"]
mod rust_sdk;
#[path = "../clients/s3cmd.rs"]
mod s3cmd;
#[path = "../clients/s3fs_fuse.rs"]
mod s3fs_fuse;
#[path = "../clients/s3s_e2e.rs"]
mod s3s_e2e;
#[path = "../clients/s5cmd.rs"]
mod s5cmd;
#[path = "../clients/scenario.rs"]
mod scenario;

/// The gateway that the tests share, with its six nodes.
fn shared() -> compat_tests::server::Server {
    use compat_tests::mesh::{Mesh, MeshSetup};
    compat_tests::server::Server::shared_as(|| Mesh::as_server(MeshSetup::new(6)))
}
