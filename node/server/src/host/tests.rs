//! Which layouts a node follows, and what it does about its drives then.

use std::path::Path;

use node_proto::{
    ClusterKey, DeviceHealth, LayoutNode, ManualClock, NodeId, NodeState,
    signed::SIGNATURE_LEN_BYTES,
};

use super::*;

const PEER: PeerKey = PeerKey([5; 32]);
const CLUSTER: ClusterId = ClusterId([1; 16]);

fn key() -> ClusterKey {
    ClusterKey::from_seed(&[3; 32])
}

fn membership() -> Membership {
    Membership { cluster: CLUSTER, cluster_key: key().public(), gateways: Vec::new() }
}

/// A layout in which this node has a device for each of `drives`.
fn layout(epoch: u64, drives: &[&Path]) -> Layout {
    let node = LayoutNode {
        id: NodeId(1),
        name: "one".to_owned(),
        peer: Some(PEER),
        zone: "one".to_owned(),
        state: NodeState::Active,
    };
    let device = |(id, path): (u32, &&Path)| LayoutDevice {
        node: NodeId(1),
        ..LayoutDevice::local(DeviceId(id), path.to_str().expect("UTF-8").to_owned())
    };
    Layout {
        cluster: CLUSTER,
        epoch: Epoch(epoch),
        gateways: vec![PeerKey([9; 32])],
        nodes: vec![node],
        devices: (10..).zip(drives).map(device).collect(),
    }
}

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temporary directory") }
    }

    fn drive(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().canonicalize().expect("exists").join(name)
    }

    fn open(&self, drives: &[&Path]) -> Arc<NodeHost> {
        let directory = NodeDirectory::open(&self.dir.path().join("data")).expect("opens");
        let spec =
            |path: &&Path| DriveSpec { path: path.to_path_buf(), capacity_bytes: Some(64 << 20) };
        let specs = drives.iter().map(spec).collect();
        let clock = Arc::new(ManualClock::default());
        Arc::new(NodeHost::open(PEER, directory, specs, clock).expect("opens"))
    }
}

async fn accept(host: &Arc<NodeHost>, signed: SignedLayout) -> Result<Epoch, LayoutRefused> {
    Served(Arc::clone(host)).accept_layout(signed).await
}

fn devices(host: &Arc<NodeHost>) -> Vec<u32> {
    Served(Arc::clone(host)).devices().iter().map(|device| device.0).collect()
}

#[tokio::test]
async fn nothing_is_followed_before_the_node_is_admitted() {
    let fixture = Fixture::new();
    let host = fixture.open(&[]);
    let refused = accept(&host, key().sign(&layout(1, &[]))).await;
    assert!(matches!(refused, Err(LayoutRefused::Invalid { .. })), "{refused:?}");
    assert!(Served(Arc::clone(&host)).cluster().is_none());
}

#[tokio::test]
async fn drives_open_and_close_as_layouts_say_and_stay_after_a_restart() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.drive("a"), fixture.drive("b"));
    let host = fixture.open(&[&a, &b]);
    assert_eq!(host.offer(CLUSTER).await.len(), 2);
    assert_eq!(devices(&host), Vec::<u32>::new());
    let first = layout(1, &[&a]);
    host.admit(membership(), key().sign(&first)).await.expect("admitted");
    assert_eq!(devices(&host), [10]);
    assert_eq!(host.membership().expect("kept").gateways[0].peer, PeerKey([9; 32]));
    let elsewhere = fixture.drive("not-configured");
    let second = layout(2, &[&a, &b, &elsewhere]);
    assert_eq!(accept(&host, key().sign(&second)).await, Ok(Epoch(2)));
    assert_eq!(devices(&host), [10, 11]);
    assert!(host.lacks_drives());
    assert!(!elsewhere.exists());
    host.close().await;
    drop(host);

    let again = fixture.open(&[&a, &b]);
    again.follow_drives().await;
    assert_eq!(devices(&again), [10, 11]);
    assert_eq!(Served(Arc::clone(&again)).epoch(), Epoch(2));
    let third = layout(3, &[&a]);
    assert_eq!(accept(&again, key().sign(&third)).await, Ok(Epoch(3)));
    assert_eq!(devices(&again), [10]);
    again.close().await;
}

#[tokio::test]
async fn stale_altered_and_foreign_layouts_are_refused() {
    let fixture = Fixture::new();
    let host = fixture.open(&[]);
    host.admit(membership(), key().sign(&layout(5, &[]))).await.expect("admitted");
    let stale = accept(&host, key().sign(&layout(4, &[]))).await;
    assert_eq!(stale, Err(LayoutRefused::Stale { epoch: Epoch(5) }));

    let newer = key().sign(&layout(6, &[]));
    let mut body = newer.body.to_vec();
    *body.last_mut().expect("not empty") ^= 1;
    let altered = SignedLayout::from_parts(body.into(), newer.signature.clone());
    let unsigned = vec![0; SIGNATURE_LEN_BYTES].into();
    let unsigned = SignedLayout::from_parts(newer.body.clone(), unsigned);
    let thief = ClusterKey::from_seed(&[4; 32]).sign(&layout(6, &[]));
    let other = key().sign(&Layout { cluster: ClusterId([2; 16]), ..layout(6, &[]) });
    let fork = key().sign(&Layout { gateways: Vec::new(), ..layout(5, &[]) });
    let mut twins = layout(6, &[]);
    twins.nodes.push(twins.nodes[0].clone());
    for refused in [altered, unsigned, thief, other, fork, key().sign(&twins)] {
        let answer = accept(&host, refused).await;
        assert!(matches!(answer, Err(LayoutRefused::Invalid { .. })), "{answer:?}");
    }
    assert_eq!(Served(Arc::clone(&host)).epoch(), Epoch(5));
    assert_eq!(accept(&host, key().sign(&layout(5, &[]))).await, Ok(Epoch(5)), "said again");
    assert_eq!(accept(&host, newer).await, Ok(Epoch(6)));
}

#[tokio::test]
async fn a_layout_that_cannot_be_stored_is_not_followed() {
    let fixture = Fixture::new();
    let host = fixture.open(&[]);
    host.admit(membership(), key().sign(&layout(1, &[]))).await.expect("admitted");
    // A directory in the way of the temporary file fails for root, too.
    std::fs::create_dir(fixture.dir.path().join("data/layout.tmp")).expect("makes");
    let answer = accept(&host, key().sign(&layout(2, &[]))).await;
    assert!(matches!(answer, Err(LayoutRefused::Storage { .. })), "{answer:?}");
    assert_eq!(Served(host).epoch(), Epoch(1));
}

#[tokio::test]
async fn a_damaged_layout_file_is_fetched_again() {
    let fixture = Fixture::new();
    let host = fixture.open(&[]);
    host.admit(membership(), key().sign(&layout(1, &[]))).await.expect("admitted");
    drop(host);
    let path = fixture.dir.path().join("data/layout");
    let mut bytes = std::fs::read(&path).expect("kept");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let again = fixture.open(&[]);
    assert_eq!(Served(Arc::clone(&again)).epoch(), Epoch(0));
    assert_eq!(accept(&again, key().sign(&layout(1, &[]))).await, Ok(Epoch(1)));
}

#[tokio::test]
async fn a_bad_drive_stops_no_other() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.drive("a"), fixture.drive("b"));
    std::fs::create_dir(&b).expect("makes");
    std::fs::write(b.join("superblock"), "junk").expect("writes");
    let host = fixture.open(&[&b, &a]);
    let offered = host.offer(CLUSTER).await;
    assert_eq!(offered.len(), 1);
    let both = layout(1, &[&a, &b]);
    host.admit(membership(), key().sign(&both)).await.expect("admitted");
    assert_eq!(devices(&host), [10, 11]);
    let health: Vec<_> = host.drives().iter().map(|drive| drive.status().health).collect();
    assert_eq!(health, [DeviceHealth::Online, DeviceHealth::Offline]);
    let refused = Served(Arc::clone(&host)).join(PEER, request()).await;
    assert!(matches!(refused, JoinAnswer::Refused { .. }), "{refused:?}");
    host.close().await;
}

fn request() -> JoinRequest {
    JoinRequest {
        proof: None,
        name: "x".to_owned(),
        version: "0".to_owned(),
        addresses: Vec::new(),
        drives: Vec::new(),
    }
}
