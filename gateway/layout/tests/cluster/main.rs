//! The cluster over the in-memory metadata store: joining, changing, staging, two processes at once.

mod changing;
mod joining;
mod staging;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use gateway_layout::{Approval, Cluster, ClusterDeps, NewToken, Settings};
use gateway_meta::{
    Batch, CommitError, CommitOutcome, KeyRange, MemoryMetaStore, MetaSnapshot, MetaStore,
    ReadError, Row, Table, TxIds,
};
use node_proto::{
    ClusterId, ClusterKey, DeviceId, JoinAnswer, JoinRequest, JoinToken, Layout, LayoutDevice,
    ManualClock, PeerKey, UnixMillis, join, join::OfferedDrive,
};

const CLUSTER: ClusterId = ClusterId([3; 16]);
const GATEWAY: PeerKey = PeerKey([200; 32]);
const START: UnixMillis = UnixMillis(1_000_000_000);
const TIB: u64 = 1 << 40;

/// A store that lets others run before each commit, so that two who read the same both commit.
#[derive(Default)]
struct Yielding(MemoryMetaStore);

#[async_trait]
impl MetaStore for Yielding {
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, CommitError> {
        tokio::task::yield_now().await;
        self.0.commit(batch).await
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.0.get(table, key)
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.0.scan(table, range, limit).await
    }

    fn snapshot(&self) -> Box<dyn MetaSnapshot> {
        self.0.snapshot()
    }
}

/// Predictable bytes that differ from call to call.
fn counting(out: &mut [u8]) {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    for (index, byte) in (0..).zip(out.iter_mut()) {
        *byte = call.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index % 64) as u8;
    }
}

/// A store and a clock that processes are started on.
struct Machine {
    meta: Arc<Yielding>,
    clock: Arc<ManualClock>,
}

impl Machine {
    fn new() -> Self {
        Self { meta: Arc::default(), clock: Arc::new(ManualClock::new(START)) }
    }

    fn deps(&self) -> ClusterDeps {
        static INCARNATIONS: AtomicU64 = AtomicU64::new(1);
        let incarnation = INCARNATIONS.fetch_add(1, Ordering::Relaxed);
        ClusterDeps {
            meta: self.meta.clone(),
            txids: Arc::new(TxIds::new(UnixMillis(incarnation), 0)),
            clock: self.clock.clone(),
            random: counting,
            cluster: CLUSTER,
            signing: ClusterKey::from_seed(&[4; 32]),
            gateway: Some(GATEWAY),
            settings: Settings::default(),
        }
    }

    /// A process; the machine can have several at once, and one after the other.
    async fn start(&self) -> Cluster {
        let cluster = Cluster::open(self.deps()).await.expect("opens");
        cluster.set_addresses(vec!["/ip4/10.0.0.1/tcp/9002".to_owned()]);
        cluster
    }

    /// A process with six drives of its own.
    async fn start_with_drives(&self) -> Cluster {
        let cluster = self.start().await;
        cluster.set_local_devices(local_devices(0..6)).await.expect("taken over");
        cluster
    }
}

fn local_devices(ids: std::ops::Range<u32>) -> Vec<LayoutDevice> {
    ids.map(|id| LayoutDevice {
        capacity_bytes: TIB,
        ..LayoutDevice::local(DeviceId(id), format!("devices/{id}"))
    })
    .collect()
}

fn peer(byte: u8) -> PeerKey {
    PeerKey([byte; 32])
}

fn request(name: &str, drives: usize) -> JoinRequest {
    let drive =
        |i| OfferedDrive { path: format!("/srv/{i}"), mount_point: true, capacity_bytes: TIB };
    JoinRequest {
        proof: None,
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        addresses: vec!["/ip4/10.0.0.7/tcp/9100".to_owned()],
        drives: (0..drives).map(drive).collect(),
    }
}

/// `request` with the proof that `peer` has `token`.
fn with_token(request: JoinRequest, token: &JoinToken, peer: PeerKey) -> JoinRequest {
    let key = join::proof_key(&token.secret);
    let proof = join::proof(&key, token.cluster, token.id, peer, token.gateway);
    JoinRequest { proof: Some((token.id, proof)), ..request }
}

async fn token(cluster: &Cluster, new: NewToken) -> JoinToken {
    cluster.create_token(new).await.expect("made").token
}

/// Joins and is approved.
async fn admit(cluster: &Cluster, name: &str, byte: u8) -> Arc<Layout> {
    let token = token(cluster, NewToken::default()).await;
    let asked = with_token(request(name, 2), &token, peer(byte));
    assert_eq!(cluster.join(peer(byte), asked).await, JoinAnswer::Pending);
    cluster.approve(name, Approval::default()).await.expect("approved")
}

/// Why a request was refused.
fn reason(answer: JoinAnswer) -> String {
    match answer {
        JoinAnswer::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}
