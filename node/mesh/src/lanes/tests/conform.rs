//! Devices of peers against what every shard service must do.

use std::sync::Arc;

use node_proto::{ClusterId, DeviceId, ManualClock, UnixMillis, conformance::check_all};
use node_store::{Drive, DriveConfig};

use super::{
    faulty::{Faulty, Patient},
    rig::{Net, memory, online},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_of_a_peer_conforms() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    check_all(&*online(&gateway, 0, 3).await).await;
    gateway.lanes.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_of_a_peer_conforms() {
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(UnixMillis(1_700_000_000_000)));
    let config =
        DriveConfig::new(DeviceId(3), ClusterId([1; 16]), root.path().join("drive"), clock);
    let net = Net::new();
    let (gateway, nodes) = net.cluster(vec![vec![Arc::new(Drive::open(config).unwrap())]]);
    check_all(&*online(&gateway, 0, 3).await).await;
    gateway.lanes.shutdown().await;
    drop(nodes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_device_of_a_peer_gives_no_wrong_answers() {
    for seed in [1, 22] {
        let net = Net::new();
        let device = Arc::new(Faulty::new(memory(3), seed));
        let (gateway, _nodes) = net.cluster(vec![vec![device]]);
        let device = Patient(online(&gateway, 0, 3).await);
        check_all(&device).await;
        gateway.lanes.shutdown().await;
    }
}
