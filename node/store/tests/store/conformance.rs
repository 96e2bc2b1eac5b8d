//! The drive against what every shard service must do.

use node_proto::conformance::check_all;

use crate::fixture::Bench;

#[tokio::test]
async fn a_drive_conforms() {
    let bench = Bench::new(1);
    check_all(&bench.open()).await;
}
