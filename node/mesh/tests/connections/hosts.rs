//! Processes as the mesh sees them, and meshes of them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use node_mesh::{Host, Identity, LayoutRefused, Mesh, MeshConfig};
use node_proto::{
    ClusterId, ClusterKey, ClusterPublicKey, CopyOrder, DeviceId, Epoch, JoinAnswer, JoinRequest,
    Layout, LayoutNode, NodeId, NodeState, PeerKey, ShardService, SignedCopyOrder, SignedLayout,
    UnixMillis,
};
use parking_lot::Mutex;

/// The cluster of every test.
pub(crate) const CLUSTER: ClusterId = ClusterId([7; 16]);

/// Signs the layouts of every test.
pub(crate) fn cluster_key() -> ClusterKey {
    ClusterKey::from_seed(&[9; 32])
}

/// A process without devices of its own unless told.
#[derive(Default)]
pub(crate) struct TestHost {
    pub(crate) devices: HashMap<DeviceId, Arc<dyn ShardService>>,
    pub(crate) layout: Mutex<Option<Layout>>,
    pub(crate) is_gateway: bool,
    pub(crate) asked: Mutex<Vec<(PeerKey, JoinRequest)>>,
}

#[async_trait]
impl Host for TestHost {
    fn device(&self, id: DeviceId) -> Option<Arc<dyn ShardService>> {
        self.devices.get(&id).cloned()
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.devices.keys().copied().collect()
    }

    fn cluster(&self) -> Option<(ClusterId, ClusterPublicKey)> {
        Some((CLUSTER, cluster_key().public()))
    }

    fn epoch(&self) -> Epoch {
        self.layout.lock().as_ref().map_or(Epoch(0), |layout| layout.epoch)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(1_000_000)
    }

    async fn accept_layout(&self, layout: SignedLayout) -> Result<Epoch, LayoutRefused> {
        let verified = layout.verify(&cluster_key().public());
        let verified = verified.map_err(|e| LayoutRefused::Invalid { reason: e.to_string() })?;
        let epoch = verified.epoch;
        *self.layout.lock() = Some(verified);
        Ok(epoch)
    }

    async fn join(&self, peer: PeerKey, request: JoinRequest) -> JoinAnswer {
        if !self.is_gateway {
            return JoinAnswer::Refused { reason: "not a gateway".to_owned() };
        }
        self.asked.lock().push((peer, request));
        match &*self.layout.lock() {
            Some(layout) if layout.node_of_peer(peer).is_some() => {
                let signed = cluster_key().sign(layout);
                JoinAnswer::Admitted { body: signed.body, signature: signed.signature }
            }
            _ => JoinAnswer::Pending,
        }
    }

    fn sign_copy(&self, order: &CopyOrder) -> Option<SignedCopyOrder> {
        self.is_gateway.then(|| cluster_key().sign(order))
    }
}

/// A process of the mesh.
pub(crate) struct Member {
    pub(crate) mesh: Mesh,
    pub(crate) host: Arc<TestHost>,
}

/// The configuration of the process with the seed `seed`, listening on loopback.
pub(crate) fn config(seed: u8) -> MeshConfig {
    let mut config = MeshConfig::new(Identity::from_seed([seed; 32]));
    config.listen = vec!["127.0.0.1:0".to_owned()];
    config
}

/// A gateway.
pub(crate) async fn gateway(seed: u8) -> Member {
    let mut config = config(seed);
    config.is_gateway = true;
    start(config, TestHost { is_gateway: true, ..TestHost::default() }).await
}

/// A node.
pub(crate) async fn node(seed: u8) -> Member {
    start(config(seed), TestHost::default()).await
}

/// Starts a process.
pub(crate) async fn start(config: MeshConfig, host: TestHost) -> Member {
    let host = Arc::new(host);
    let mesh = Mesh::start(config, Arc::clone(&host) as Arc<dyn Host>).await;
    let mesh = mesh.expect("loopback can be listened on");
    Member { mesh, host }
}

/// A layout of one gateway and some nodes.
pub(crate) fn layout(epoch: u64, gateway: PeerKey, nodes: &[PeerKey]) -> Layout {
    let node = |(id, peer): (u32, &PeerKey)| LayoutNode {
        id: NodeId(id),
        name: format!("node-{id}"),
        peer: Some(*peer),
        zone: format!("zone-{id}"),
        state: NodeState::Active,
    };
    Layout {
        cluster: CLUSTER,
        epoch: Epoch(epoch),
        gateways: vec![gateway],
        nodes: (1..).zip(nodes).map(node).collect(),
        devices: Vec::new(),
    }
}

/// Tells every process of a layout and where the others are.
pub(crate) fn introduce(layout: &Layout, members: &[&Member]) {
    let addresses: HashMap<_, _> =
        members.iter().map(|m| (m.mesh.peer(), m.mesh.addresses())).collect();
    for member in members {
        *member.host.layout.lock() = Some(layout.clone());
        member.mesh.set_layout(layout, &addresses);
    }
}

/// A question to join.
pub(crate) fn question(name: &str) -> JoinRequest {
    JoinRequest {
        proof: None,
        name: name.to_owned(),
        version: "test".to_owned(),
        addresses: Vec::new(),
        drives: Vec::new(),
    }
}

/// Waits until something holds; fails after ten seconds.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
