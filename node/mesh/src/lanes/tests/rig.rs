//! Processes that reach each other over TCP, and connections that can be frozen.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite};
use node_proto::{
    ClusterId, ClusterKey, ClusterPublicKey, CopyOrder, DeviceHealth, DeviceId, Epoch, JoinAnswer,
    JoinRequest, Layout, LayoutDevice, LayoutNode, ManualClock, NodeId, NodeState, PeerKey,
    ShardService, SignedCopyOrder, SignedLayout, UnixMillis, conformance::MemoryDevice,
};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::{
    compat::{Compat, TokioAsyncReadCompatExt},
    sync::CancellationToken,
};

use crate::{
    host::{Host, LayoutRefused},
    lanes::Lanes,
    stream::{InboundLane, LaneClass, LaneStream, OpenLaneError, OpenLanes},
};

pub(super) const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
pub(super) const GATEWAY: PeerKey = PeerKey([1; 32]);
pub(super) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

pub(super) fn node_key(number: u8) -> PeerKey {
    PeerKey([100 + number; 32])
}

pub(super) fn cluster_key() -> ClusterKey {
    ClusterKey::from_seed(&[7; 32])
}

/// A layout of one gateway and nodes with these devices.
pub(super) fn layout(epoch: u64, nodes: &[&[u32]]) -> Layout {
    let mut layout = Layout::local(CLUSTER, Vec::new());
    layout.epoch = Epoch(epoch);
    layout.gateways = vec![GATEWAY];
    for (number, devices) in (0u8..).zip(nodes) {
        let id = NodeId(u32::from(number) + 1);
        layout.nodes.push(LayoutNode {
            id,
            name: format!("n{number}"),
            peer: Some(node_key(number)),
            zone: String::new(),
            state: NodeState::Active,
        });
        for device in *devices {
            let device = LayoutDevice::local(DeviceId(*device), String::new());
            layout.devices.push(LayoutDevice { node: id, ..device });
        }
    }
    layout
}

/// What a process of a test is to its peers.
pub(super) struct TestHost {
    pub(super) devices: Mutex<BTreeMap<DeviceId, Arc<dyn ShardService>>>,
    pub(super) epoch: AtomicU64,
    pub(super) clock: ManualClock,
    pub(super) may_sign: bool,
    pub(super) refuse_layout: Mutex<Option<LayoutRefused>>,
}

#[async_trait]
impl Host for TestHost {
    fn device(&self, id: DeviceId) -> Option<Arc<dyn ShardService>> {
        self.devices.lock().get(&id).cloned()
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.devices.lock().keys().copied().collect()
    }

    fn cluster(&self) -> Option<(ClusterId, ClusterPublicKey)> {
        Some((CLUSTER, cluster_key().public()))
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(SeqCst))
    }

    fn now(&self) -> UnixMillis {
        node_proto::Clock::now(&self.clock)
    }

    async fn accept_layout(&self, layout: SignedLayout) -> Result<Epoch, LayoutRefused> {
        if let Some(refused) = self.refuse_layout.lock().clone() {
            return Err(refused);
        }
        let layout = layout.verify(&cluster_key().public());
        let layout = layout.map_err(|e| LayoutRefused::Invalid { reason: e.to_string() })?;
        self.epoch.store(layout.epoch.0, SeqCst);
        Ok(layout.epoch)
    }

    async fn join(&self, _peer: PeerKey, _request: JoinRequest) -> JoinAnswer {
        JoinAnswer::Busy
    }

    fn sign_copy(&self, order: &CopyOrder) -> Option<SignedCopyOrder> {
        self.may_sign.then(|| cluster_key().sign(order))
    }
}

/// One process.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) lanes: Lanes,
    pub(super) host: Arc<TestHost>,
}

/// Processes and the connections between them.
pub(super) struct Net {
    processes: Mutex<HashMap<PeerKey, Process>>,
    connections: Mutex<HashMap<(PeerKey, PeerKey, LaneClass), Arc<Connection>>>,
    serving: Mutex<JoinSet<()>>,
    /// Peers that do not answer.
    pub(super) unreachable: Mutex<Vec<PeerKey>>,
    pub(super) opened: AtomicUsize,
    pub(super) abandoned: AtomicUsize,
}

#[derive(Default)]
struct Connection {
    is_frozen: Arc<AtomicBool>,
    gone: CancellationToken,
}

impl Net {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            processes: Mutex::default(),
            connections: Mutex::default(),
            serving: Mutex::default(),
            unreachable: Mutex::default(),
            opened: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
        })
    }

    /// Starts a process that serves `devices`.
    pub(super) fn start(
        self: &Arc<Self>,
        key: PeerKey,
        devices: Vec<Arc<dyn ShardService>>,
        budget_bytes: u64,
    ) -> Process {
        let devices = devices.into_iter().map(|device| (device.status().device, device));
        let host = Arc::new(TestHost {
            devices: Mutex::new(devices.collect()),
            epoch: AtomicU64::new(1),
            clock: ManualClock::new(NOW),
            may_sign: key == GATEWAY,
            refuse_layout: Mutex::new(None),
        });
        let opener = Arc::new(TestOpener { me: key, net: Arc::downgrade(self) });
        let lanes = Lanes::new(key, opener, Arc::clone(&host) as Arc<dyn Host>, budget_bytes);
        let process = Process { lanes, host };
        self.processes.lock().insert(key, process.clone());
        process
    }

    /// A gateway, and nodes that hold these devices, all in one layout.
    pub(super) fn cluster(
        self: &Arc<Self>,
        nodes: Vec<Vec<Arc<dyn ShardService>>>,
    ) -> (Process, Vec<Process>) {
        let ids: Vec<Vec<u32>> = nodes
            .iter()
            .map(|devices| devices.iter().map(|device| device.status().device.0).collect())
            .collect();
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let layout = layout(1, &ids);
        let gateway = self.start(GATEWAY, Vec::new(), 64 << 20);
        gateway.lanes.set_layout(&layout);
        let start = |(number, devices)| {
            let node = self.start(node_key(number), devices, 64 << 20);
            node.lanes.set_layout(&layout);
            node
        };
        (gateway, (0u8..).zip(nodes).map(start).collect())
    }

    /// From now on nothing moves on the connection, and nobody is told.
    pub(super) fn freeze(&self, from: PeerKey, to: PeerKey, class: LaneClass) {
        let connections = self.connections.lock();
        connections[&(from, to, class)].is_frozen.store(true, SeqCst);
    }

    /// Ends every connection to a process.
    pub(super) fn cut(&self, to: PeerKey) {
        let mut connections = self.connections.lock();
        connections.retain(|key, connection| {
            if key.1 == to {
                connection.gone.cancel();
            }
            key.1 != to
        });
    }

    /// A stream to a process, as `from` would open it.
    pub(super) async fn connect(
        &self,
        from: PeerKey,
        to: PeerKey,
        class: LaneClass,
    ) -> Result<LaneStream, OpenLaneError> {
        let unreachable =
            |reason: &str| OpenLaneError::Unreachable { peer: to, reason: reason.to_owned() };
        if self.unreachable.lock().contains(&to) {
            return Err(unreachable("switched off"));
        }
        let process = self.processes.lock().get(&to).cloned();
        let process = process.ok_or(OpenLaneError::NoAddress { peer: to })?;
        let connection = {
            let mut connections = self.connections.lock();
            Arc::clone(connections.entry((from, to, class)).or_default())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (ours, (theirs, _)) = (ours.unwrap(), theirs.unwrap());
        ours.set_nodelay(true).unwrap();
        theirs.set_nodelay(true).unwrap();
        let wire = |stream: TcpStream| -> LaneStream {
            let is_frozen = Arc::clone(&connection.is_frozen);
            Box::new(Wire { stream: stream.compat(), is_frozen })
        };
        let serving = process.lanes.serve(InboundLane { peer: from, stream: wire(theirs) });
        let gone = connection.gone.clone();
        self.serving.lock().spawn(async move {
            tokio::select! {
                () = serving => {}
                () = gone.cancelled() => {}
            }
        });
        self.opened.fetch_add(1, SeqCst);
        Ok(wire(ours))
    }
}

/// A stream that can be frozen.
struct Wire {
    stream: Compat<TcpStream>,
    is_frozen: Arc<AtomicBool>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.is_frozen.load(SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, out)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.is_frozen.load(SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

struct TestOpener {
    me: PeerKey,
    net: Weak<Net>,
}

#[async_trait]
impl OpenLanes for TestOpener {
    async fn open(&self, peer: PeerKey, class: LaneClass) -> Result<LaneStream, OpenLaneError> {
        let net = self.net.upgrade().ok_or(OpenLaneError::Closed)?;
        net.connect(self.me, peer, class).await
    }

    fn abandon(&self, peer: PeerKey, class: LaneClass) {
        let Some(net) = self.net.upgrade() else { return };
        net.abandoned.fetch_add(1, SeqCst);
        if let Some(connection) = net.connections.lock().remove(&(self.me, peer, class)) {
            connection.gone.cancel();
        }
    }
}

pub(super) fn memory(device: u32) -> Arc<dyn ShardService> {
    Arc::new(MemoryDevice::new(DeviceId(device)))
}

/// A device of a node as the gateway sees it, once it is online.
pub(super) async fn online(gateway: &Process, node: u8, device: u32) -> Arc<dyn ShardService> {
    let device = gateway.lanes.device(node_key(node), DeviceId(device));
    eventually("the device is online", || device.status().health == DeviceHealth::Online).await;
    device
}

/// Waits until `holds`; the test fails when it takes longer than twenty seconds.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not happen within twenty seconds: {what}");
}
