//! Bytes between two ends on this machine: raw TCP, and the lanes of the mesh.
//!
//! Both ends are in this process, so costs are those of both. The lanes carry shards to and from a
//! device that keeps nothing, over the same connections, encryption and frames as between a gateway
//! and a node.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use node_mesh::{Host, Identity, LayoutRefused, Mesh, MeshConfig};
use node_proto::{
    ByteRange, ClusterId, ClusterKey, ClusterPublicKey, CopyOrder, DeleteShardsError, DeviceHealth,
    DeviceId, DeviceStatus, Epoch, GetShardError, JoinAnswer, JoinRequest, Layout, LayoutDevice,
    LayoutNode, ListShardsError, ManifestId, NodeId, NodeState, PeerKey, PutShardError,
    ScrubProgress, ShardEntry, ShardIndex, ShardKey, ShardRoot, ShardService, SignedCopyOrder,
    SignedLayout, StripeSeq, UnixMillis,
};
use node_stripe::shard_root;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Budget, Wanted, composed::Throughput};
use crate::{measure::Process, row::Row};

/// Length of what lanes carry. Source: shards of a full stripe of 4+2.
const SHARD_LEN_BYTES: usize = 2 << 20;
/// Shards under way at once. Chosen: those of eight uploads with a stripe each.
const SHARDS_AT_ONCE: u64 = 48;
/// Bytes handed to a socket at once. Chosen: larger ones are no faster.
const WRITE_LEN_BYTES: usize = 256 << 10;
/// How long both ends may take to find each other.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// One TCP connection, nothing else.
    Tcp,
    /// Shards put over lanes.
    LanesUp,
    /// Shards got over lanes.
    LanesDown,
}

impl Carrier {
    const ALL: [Self; 3] = [Self::Tcp, Self::LanesUp, Self::LanesDown];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "raw TCP, one connection",
            Self::LanesUp => "lanes alone, shards put",
            Self::LanesDown => "lanes alone, shards got",
        }
    }

    /// Behind the name of a figure that is compared with it.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Tcp => " (limit: raw TCP)",
            Self::LanesUp | Self::LanesDown => " (limit: lanes alone)",
        }
    }
}

/// Measures everything that is asked for.
pub(super) async fn measure(budget: &Budget, is_wanted: &Wanted<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for carrier in Carrier::ALL {
        let name = carrier.name();
        if is_wanted(name) {
            let throughput = run(budget, carrier).await?;
            rows.push(Row::new(name, throughput.gigabytes_per_second(), "GB/s"));
            let cost = throughput.cpu_seconds / (throughput.bytes as f64 / 1e9);
            rows.push(Row::new(format!("{name}, cost"), cost, "CPU-s/GB"));
        }
    }
    Ok(rows)
}

/// Carries bytes as long as the budget allows.
///
/// # Errors
/// When the ends cannot connect, or bytes do not arrive.
pub(crate) async fn run(budget: &Budget, carrier: Carrier) -> Result<Throughput> {
    match carrier {
        Carrier::Tcp => tcp(budget).await,
        Carrier::LanesUp | Carrier::LanesDown => {
            let ends = Ends::connect().await?;
            let carried = lanes(budget, &ends.device, carrier).await;
            ends.close().await;
            carried
        }
    }
}

async fn tcp(budget: &Budget) -> Result<Throughput> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
    let address = listener.local_addr()?;
    let budget = budget.clone();
    let (before, started) = (Process::Own.usage()?, Instant::now());
    let mut sender = JoinSet::new();
    sender.spawn(async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let bytes = vec![0x5a; WRITE_LEN_BYTES];
        let deadline = budget.deadline();
        while budget.allows(deadline) {
            stream.write_all(&bytes).await?;
        }
        stream.shutdown().await
    });
    let (mut stream, _) = listener.accept().await?;
    let mut buffer = vec![0; WRITE_LEN_BYTES];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            len => bytes += len as u64,
        }
    }
    while let Some(sent) = sender.join_next().await {
        sent??;
    }
    throughput(bytes, started, before.cpu_seconds)
}

fn throughput(bytes: u64, started: Instant, cpu_seconds_before: f64) -> Result<Throughput> {
    ensure!(bytes > 0, "nothing was carried");
    let cpu_seconds = Process::Own.usage()?.cpu_seconds - cpu_seconds_before;
    Ok(Throughput { bytes, seconds: started.elapsed().as_secs_f64(), cpu_seconds })
}

async fn lanes(
    budget: &Budget,
    device: &Arc<dyn ShardService>,
    carrier: Carrier,
) -> Result<Throughput> {
    let payload = Bytes::from(vec![0xa5; SHARD_LEN_BYTES]);
    let root = shard_root(&payload);
    let deadline = budget.deadline();
    let (before, started) = (Process::Own.usage()?, Instant::now());
    let mut workers = JoinSet::new();
    for worker in 0..SHARDS_AT_ONCE {
        let (budget, device, payload) = (budget.clone(), Arc::clone(device), payload.clone());
        workers.spawn(async move {
            let mut bytes = 0;
            for stripe in 0.. {
                let (manifest, stripe) = (ManifestId(worker), StripeSeq(stripe));
                let key = ShardKey { manifest, stripe, index: ShardIndex(0) };
                if carrier == Carrier::LanesUp {
                    device.put(key, root, payload.clone()).await?;
                } else {
                    let len_bytes = SHARD_LEN_BYTES as u64;
                    let got = device.get(key, ByteRange { offset_bytes: 0, len_bytes }).await?;
                    ensure!(got.len() == SHARD_LEN_BYTES, "a shard is {} bytes long", got.len());
                }
                bytes += SHARD_LEN_BYTES as u64;
                if !budget.allows(deadline) {
                    break;
                }
            }
            Ok(bytes)
        });
    }
    let mut bytes = 0;
    while let Some(carried) = workers.join_next().await {
        bytes += carried??;
    }
    throughput(bytes, started, before.cpu_seconds)
}

/// A gateway's end and a node's, connected.
struct Ends {
    gateway: Mesh,
    node: Mesh,
    device: Arc<dyn ShardService>,
}

impl Ends {
    async fn connect() -> Result<Self> {
        let start = |is_gateway| async move {
            let mut config = MeshConfig::new(Identity::generate(crate::clock::system_random));
            config.listen = vec!["127.0.0.1:0".to_owned()];
            config.discovery = false;
            config.is_gateway = is_gateway;
            let host: Arc<dyn Host> = Arc::new(End { has_device: !is_gateway });
            Mesh::start(config, host).await.context("cannot start an end of the mesh")
        };
        let (gateway, node) = (start(true).await?, start(false).await?);
        let layout = layout(gateway.peer(), node.peer());
        let addresses: HashMap<PeerKey, Vec<String>> =
            [&gateway, &node].map(|end| (end.peer(), end.addresses())).into();
        gateway.set_layout(&layout, &addresses);
        node.set_layout(&layout, &addresses);
        let device = gateway.device(node.peer(), DEVICE);
        let ends = Self { gateway, node, device };
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while ends.device.status().health != DeviceHealth::Online {
            ensure!(Instant::now() < deadline, "the ends do not find each other");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(ends)
    }

    async fn close(self) {
        self.gateway.shutdown().await;
        self.node.shutdown().await;
    }
}

const CLUSTER: ClusterId = ClusterId([1; 16]);
const DEVICE: DeviceId = DeviceId(0);
const NODE: NodeId = NodeId(1);

fn layout(gateway: PeerKey, node: PeerKey) -> Layout {
    let node = LayoutNode {
        id: NODE,
        name: "node".to_owned(),
        peer: Some(node),
        zone: "zone".to_owned(),
        state: NodeState::Active,
    };
    let device = LayoutDevice { node: NODE, ..LayoutDevice::local(DEVICE, String::new()) };
    let (gateways, nodes) = (vec![gateway], vec![node]);
    Layout { gateways, nodes, ..Layout::local(CLUSTER, vec![device]) }
}

/// One end; the node's has a device that keeps nothing.
struct End {
    has_device: bool,
}

#[async_trait]
impl Host for End {
    fn device(&self, id: DeviceId) -> Option<Arc<dyn ShardService>> {
        let is_here = self.has_device && id == DEVICE;
        is_here.then(|| Arc::new(Nothing) as Arc<dyn ShardService>)
    }

    fn devices(&self) -> Vec<DeviceId> {
        if self.has_device { vec![DEVICE] } else { Vec::new() }
    }

    fn cluster(&self) -> Option<(ClusterId, ClusterPublicKey)> {
        Some((CLUSTER, ClusterKey::from_seed(&[1; 32]).public()))
    }

    fn epoch(&self) -> Epoch {
        Epoch(1)
    }

    fn now(&self) -> UnixMillis {
        node_proto::Clock::now(&crate::clock::SystemClock)
    }

    async fn accept_layout(&self, _layout: SignedLayout) -> Result<Epoch, LayoutRefused> {
        Err(LayoutRefused::Stale { epoch: Epoch(1) })
    }

    async fn join(&self, _peer: PeerKey, _request: JoinRequest) -> JoinAnswer {
        JoinAnswer::Busy
    }

    fn sign_copy(&self, _order: &CopyOrder) -> Option<SignedCopyOrder> {
        None
    }
}

/// A device that takes everything and gives zeros.
struct Nothing;

/// What every shard of [`Nothing`] starts with; none is longer.
static ZEROS: [u8; SHARD_LEN_BYTES] = [0; SHARD_LEN_BYTES];

#[async_trait]
impl ShardService for Nothing {
    async fn put(
        &self,
        _key: ShardKey,
        _root: ShardRoot,
        _payload: Bytes,
    ) -> Result<(), PutShardError> {
        Ok(())
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        match usize::try_from(range.len_bytes) {
            Ok(len) if len <= ZEROS.len() => Ok(Bytes::from_static(&ZEROS[..len])),
            _ => Err(GetShardError::NotFound { key, device: DEVICE }),
        }
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        Err(GetShardError::NotFound { key, device: DEVICE })
    }

    async fn replace(
        &self,
        _key: ShardKey,
        _root: ShardRoot,
        _payload: Bytes,
    ) -> Result<(), PutShardError> {
        Ok(())
    }

    async fn delete(&self, _keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        Ok(())
    }

    async fn list(
        &self,
        _after: Option<ShardKey>,
        _limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        Ok(Vec::new())
    }

    fn status(&self) -> DeviceStatus {
        DeviceStatus {
            device: DEVICE,
            uuid: None,
            open_count: 1,
            continuity: node_proto::Continuity::default(),
            health: DeviceHealth::Online,
            reason: None,
            capacity_bytes: 1 << 40,
            free_bytes: 1 << 40,
            shard_count: 0,
        }
    }

    fn start_scrub(&self) {}

    fn scrub_progress(&self) -> ScrubProgress {
        ScrubProgress::default()
    }

    fn take_damaged(&self, _limit: usize) -> Vec<ShardKey> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_carrier_carries() {
        let interrupt = Interrupt::listen();
        for carrier in Carrier::ALL {
            let budget = Budget::new(Duration::from_millis(50), interrupt.stop());
            let carried = run(&budget, carrier).await.unwrap();
            assert!(carried.bytes > 0, "{}", carrier.name());
        }
    }
}
