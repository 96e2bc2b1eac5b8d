//! A cluster in memory: devices with faults, a metadata store, and a data path on top whose
//! workers are stepped by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use gateway_meta::{
    AccountId, BucketId, MemoryMetaStore, Table, TxIds, key,
    record::{AccountKeyRecord, Acknowledge, Body},
};
use gateway_seal::{AccountKeyPair, RootKey};
use node_proto::{
    ByteRange, ClusterId, Continuity, CopyShardError, DeleteShardsError, DeviceHealth, DeviceId,
    DeviceStatus, DeviceUuid, GetShardError, Layout, LayoutDevice, LayoutNode, ListShardsError,
    ManualClock, NodeId, NodeState, OpeningId, PutShardError, ScrubProgress, ShardEntry, ShardKey,
    ShardRoot, ShardService, UnixMillis,
};
use node_stripe::{Profile, shard_root};
use parking_lot::Mutex;

use super::config::{DataConfig, Random, WorkerConfig};
use super::rows::{Rows, put};
use super::{DataPath, WriteTarget, WrittenBody};
use crate::encryption::Sealing;
use crate::worker::Workers;
use crate::{BodyError, ExpectedDigests, Fault, IncomingBody, ObjectDeps, ResolvedRange};

pub(crate) const OWNER: AccountId = AccountId(7);
pub(crate) const BUCKET: BucketId = BucketId(3);
pub(crate) const TARGET: WriteTarget = WriteTarget {
    bucket: BUCKET,
    owner: OWNER,
    key_epoch: 1,
    acknowledge: Acknowledge::All,
    sealing: Sealing::MANAGED,
};
pub(crate) const LIMIT: u64 = 5 << 30;

/// What goes wrong on a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) offline: bool,
    pub(crate) full: bool,
    pub(crate) busy: bool,
    /// Looks at the device from now on after which it is full.
    pub(crate) full_after_looks: Option<usize>,
    /// Puts from now on that fail although the device says that it is online.
    pub(crate) failing_puts: usize,
    pub(crate) put_delay: Duration,
    pub(crate) get_delay: Duration,
}

/// A device in memory.
pub(crate) struct SimDevice {
    id: DeviceId,
    state: Mutex<SimState>,
}

#[derive(Default)]
struct SimState {
    uuid: u8,
    capacity_bytes: u64,
    open_count: u64,
    /// Openings so far, whatever copy of the drive they found.
    openings: u64,
    opening: u64,
    previous: Option<u64>,
    found_mark: u64,
    /// Changes that are durable.
    mark: u64,
    content_lost: bool,
    scrub_passes: u64,
    faults: Faults,
    shards: BTreeMap<ShardKey, (ShardRoot, Vec<u8>)>,
    damaged: Vec<ShardKey>,
    /// Shards whose records are damaged around their content.
    frayed: BTreeSet<ShardKey>,
    gets: usize,
    puts: usize,
    /// Devices that it can copy from by itself.
    sources: Vec<Arc<SimDevice>>,
    copies: usize,
}

/// A copy of a drive.
pub(crate) struct SimImage {
    uuid: u8,
    open_count: u64,
    opening: u64,
    mark: u64,
    shards: BTreeMap<ShardKey, (ShardRoot, Vec<u8>)>,
}

impl SimState {
    fn used_bytes(&self) -> u64 {
        self.shards.values().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Opens the drive anew, with what is on it.
    fn open(&mut self, previous: Option<u64>, content_lost: bool) {
        self.openings += 1;
        self.opening = self.openings;
        self.previous = previous;
        self.open_count += 1;
        self.found_mark = self.mark;
        self.content_lost = content_lost;
    }
}

fn opening_id(opening: u64) -> OpeningId {
    OpeningId(u128::from(opening).to_le_bytes())
}

impl SimDevice {
    fn new(id: u32) -> Self {
        let mut state = SimState { uuid: 1, capacity_bytes: 1 << 40, ..SimState::default() };
        state.open(None, false);
        Self { id: DeviceId(id), state: Mutex::new(state) }
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.lock().faults);
    }

    pub(crate) fn set_capacity(&self, capacity_bytes: u64) {
        self.state.lock().capacity_bytes = capacity_bytes;
    }

    /// Bytes of all shards.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    pub(crate) fn set_offline(&self, offline: bool) {
        self.faults(|faults| faults.offline = offline);
    }

    /// Replaces the drive with an empty one.
    pub(crate) fn wipe(&self) {
        let mut state = self.state.lock();
        state.uuid += 1;
        (state.open_count, state.mark) = (0, 0);
        state.shards.clear();
        state.open(None, false);
    }

    /// Closes the drive and opens it again.
    pub(crate) fn reopen(&self) {
        let mut state = self.state.lock();
        let previous = state.opening;
        state.open(Some(previous), false);
    }

    /// Opens the drive again without shards whose segments were cut off.
    pub(crate) fn reopen_without(&self, lost: &[ShardKey]) {
        let mut state = self.state.lock();
        lost.iter().for_each(|key| drop(state.shards.remove(key)));
        let previous = state.opening;
        state.open(Some(previous), true);
    }

    /// Copies the drive while it runs.
    pub(crate) fn image(&self) -> SimImage {
        let state = self.state.lock();
        let SimState { uuid, open_count, opening, mark, .. } = *state;
        SimImage { uuid, open_count, opening, mark, shards: state.shards.clone() }
    }

    /// Puts a copy in place of the drive and opens it `times` times.
    pub(crate) fn restore(&self, image: SimImage, times: u64) {
        let mut state = self.state.lock();
        (state.uuid, state.open_count) = (image.uuid, image.open_count);
        (state.mark, state.shards) = (image.mark, image.shards);
        let mut previous = image.opening;
        for _ in 0..times {
            state.open(Some(previous), false);
            previous = state.opening;
        }
    }

    /// Restores an older copy of the drive: `kept` shards survive.
    pub(crate) fn restore_old_copy(&self, kept: usize) {
        let mut state = self.state.lock();
        state.open_count = 0;
        let keep: Vec<ShardKey> = state.shards.keys().take(kept).copied().collect();
        state.shards.retain(|key, _| keep.contains(key));
    }

    pub(crate) fn keys(&self) -> Vec<ShardKey> {
        self.state.lock().shards.keys().copied().collect()
    }

    pub(crate) fn shard(&self, key: ShardKey) -> Option<Vec<u8>> {
        self.state.lock().shards.get(&key).map(|(_, bytes)| bytes.clone())
    }

    pub(crate) fn lose(&self, key: ShardKey) {
        self.state.lock().shards.remove(&key);
    }

    pub(crate) fn plant(&self, key: ShardKey, bytes: Vec<u8>) {
        let root = shard_root(&bytes);
        self.state.lock().shards.insert(key, (root, bytes));
    }

    /// Flips one bit of a shard; the stored root stays.
    pub(crate) fn flip(&self, key: ShardKey, bit: usize) {
        let mut state = self.state.lock();
        let (_, bytes) = state.shards.get_mut(&key).unwrap();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }

    /// Damages what the device keeps of a shard besides its content.
    pub(crate) fn fray(&self, key: ShardKey) {
        self.state.lock().frayed.insert(key);
    }

    /// Whether [`Self::fray`] was mended for all shards.
    pub(crate) fn is_unfrayed(&self) -> bool {
        self.state.lock().frayed.is_empty()
    }

    /// What a scrub of the device would report.
    pub(crate) fn report_damaged(&self, key: ShardKey) {
        self.state.lock().damaged.push(key);
    }

    /// Lets the device copy from others by itself.
    pub(crate) fn connect(&self, sources: &[Arc<Self>]) {
        self.state.lock().sources = sources.to_vec();
    }

    /// Shards that it copied by itself.
    pub(crate) fn copies(&self) -> usize {
        self.state.lock().copies
    }

    /// Reads and writes so far.
    pub(crate) fn traffic(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.gets, state.puts)
    }

    fn offline(&self) -> String {
        format!("device {} was unplugged", self.id.0)
    }

    fn read(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        let mut state = self.state.lock();
        state.gets += 1;
        let device = self.id;
        if state.faults.offline {
            return Err(GetShardError::Offline { device, reason: self.offline() });
        }
        let (_, bytes) = state.shards.get(&key).ok_or(GetShardError::NotFound { key, device })?;
        let start = usize::try_from(range.offset_bytes).unwrap();
        let end = start + usize::try_from(range.len_bytes).unwrap();
        let bytes = bytes.get(start..end).ok_or_else(|| GetShardError::Damaged {
            key,
            device,
            reason: "range outside of the shard".to_owned(),
        })?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn store(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: &Bytes,
        replacing: bool,
    ) -> Result<(), PutShardError> {
        let device = self.id;
        let mut state = self.state.lock();
        state.puts += 1;
        let faults = &mut state.faults;
        if faults.offline || faults.failing_puts > 0 {
            faults.failing_puts = faults.failing_puts.saturating_sub(1);
            return Err(PutShardError::Offline { device, reason: self.offline() });
        }
        if faults.busy {
            return Err(PutShardError::Busy { device });
        }
        if faults.full {
            return Err(PutShardError::Full { device });
        }
        if shard_root(payload) != root {
            return Err(PutShardError::RootMismatch { key });
        }
        match state.shards.get(&key) {
            Some((old, _)) if *old != root && !replacing => Err(PutShardError::Conflict { key }),
            _ => {
                state.mark += 1;
                state.frayed.remove(&key);
                state.shards.insert(key, (root, payload.to_vec()));
                Ok(())
            }
        }
    }
}

#[async_trait]
impl ShardService for SimDevice {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let delay = self.state.lock().faults.put_delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.store(key, root, &payload, false)
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        let delay = self.state.lock().faults.get_delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.read(key, range)
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let state = self.state.lock();
        let device = self.id;
        if state.frayed.contains(&key) {
            let reason = "its trailer is damaged".to_owned();
            return Err(GetShardError::Damaged { key, device, reason });
        }
        let (root, bytes) =
            state.shards.get(&key).ok_or(GetShardError::NotFound { key, device })?;
        Ok(ShardEntry { key, len_bytes: bytes.len() as u64, root: *root })
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let delay = self.state.lock().faults.put_delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.store(key, root, &payload, true)
    }

    async fn copy_from(
        &self,
        source: DeviceId,
        key: ShardKey,
        root: ShardRoot,
        len_bytes: u64,
    ) -> Result<(), CopyShardError> {
        let device = self.id;
        let found = self.state.lock().sources.iter().find(|sim| sim.id == source).cloned();
        let Some(from) = found else { return Err(CopyShardError::Unsupported { device }) };
        let range = ByteRange { offset_bytes: 0, len_bytes };
        let payload = from.get(key, range).await.map_err(|error| CopyShardError::Source {
            key,
            device,
            source_device: source,
            reason: error.to_string(),
        })?;
        self.put(key, root, payload).await?;
        self.state.lock().copies += 1;
        Ok(())
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        let mut state = self.state.lock();
        if state.faults.offline {
            return Err(DeleteShardsError::Offline { device: self.id, reason: self.offline() });
        }
        for key in keys {
            state.mark += 1;
            state.shards.remove(&key);
        }
        Ok(())
    }

    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        let state = self.state.lock();
        if state.faults.offline {
            return Err(ListShardsError::Offline { device: self.id, reason: self.offline() });
        }
        let entry = |(key, (root, bytes)): (&ShardKey, &(ShardRoot, Vec<u8>))| ShardEntry {
            key: *key,
            len_bytes: bytes.len() as u64,
            root: *root,
        };
        let behind = |key: &ShardKey| after.is_none_or(|after| *key > after);
        Ok(state.shards.iter().filter(|(key, _)| behind(key)).take(limit).map(entry).collect())
    }

    fn status(&self) -> DeviceStatus {
        let mut state = self.state.lock();
        match &mut state.faults.full_after_looks {
            Some(0) => state.faults.full = true,
            Some(looks) => *looks -= 1,
            None => {}
        }
        let Faults { offline, full, .. } = state.faults;
        DeviceStatus {
            device: self.id,
            uuid: (!offline).then_some(DeviceUuid([state.uuid; 16])),
            open_count: if offline { 0 } else { state.open_count },
            continuity: if offline {
                Continuity::default()
            } else {
                Continuity {
                    opening: opening_id(state.opening),
                    previous: state.previous.map(opening_id),
                    found_mark: state.found_mark,
                    mark: state.mark,
                    content_lost: state.content_lost,
                }
            },
            health: match (offline, full) {
                (true, _) => DeviceHealth::Offline,
                (false, true) => DeviceHealth::Full,
                (false, false) => DeviceHealth::Online,
            },
            reason: None,
            capacity_bytes: state.capacity_bytes,
            free_bytes: state.capacity_bytes.saturating_sub(state.used_bytes()),
            shard_count: state.shards.len() as u64,
        }
    }

    /// Passes end as soon as they begin, and find nothing.
    fn start_scrub(&self) {
        self.state.lock().scrub_passes += 1;
    }

    fn scrub_progress(&self) -> ScrubProgress {
        let completed_passes = self.state.lock().scrub_passes;
        ScrubProgress { completed_passes, ..ScrubProgress::default() }
    }

    fn take_damaged(&self, limit: usize) -> Vec<ShardKey> {
        let damaged = &mut self.state.lock().damaged;
        let taken = limit.min(damaged.len());
        damaged.drain(..taken).collect()
    }
}

/// A cluster whose metadata and devices outlive the data paths opened on it.
pub(crate) struct Cluster {
    pub(crate) meta: Arc<MemoryMetaStore>,
    pub(crate) devices: Vec<Arc<SimDevice>>,
    pub(crate) clock: Arc<ManualClock>,
    /// What data paths are opened with, and given by [`Self::apply`].
    pub(crate) layout: Layout,
    root_key: Arc<RootKey>,
    starts: AtomicU32,
}

impl Cluster {
    pub(crate) fn new(device_count: u32) -> Self {
        let mut random = xorshift(42);
        let layout_device = |id| LayoutDevice::local(DeviceId(id), String::new());
        Self {
            meta: Arc::new(MemoryMetaStore::new()),
            devices: (0..device_count).map(|id| Arc::new(SimDevice::new(id))).collect(),
            layout: Layout::local(
                ClusterId([9; 16]),
                (0..device_count).map(layout_device).collect(),
            ),
            clock: Arc::new(ManualClock::new(UnixMillis(1_700_000_000_000))),
            root_key: Arc::new(RootKey::generate(&mut random)),
            starts: AtomicU32::new(0),
        }
    }

    fn deps(&self) -> ObjectDeps {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        ObjectDeps {
            meta: Arc::clone(&self.meta) as _,
            txids: Arc::new(TxIds::new(UnixMillis(1), start)),
            layout: self.layout.clone(),
            devices: self.services(),
            root_key: Arc::clone(&self.root_key),
            clock: Arc::clone(&self.clock) as _,
            key_service: None,
        }
    }

    fn services(&self) -> Vec<Arc<dyn ShardService>> {
        let service = |device: &LayoutDevice| {
            let found = self.devices.iter().find(|sim| sim.id == device.id);
            Arc::clone(found.expect("every device of the layout was made")) as _
        };
        self.layout.devices.iter().map(service).collect()
    }

    /// A cluster of nodes with one device each, node `i + 1` with device `i`, in zones of their own.
    pub(crate) fn of_nodes(count: u32) -> Self {
        let mut cluster = Self::new(0);
        (0..count).for_each(|id| cluster.join(&format!("zone-{id}")));
        cluster
    }

    /// Adds a node with one device to the layout.
    pub(crate) fn join(&mut self, zone: &str) {
        let id = u32::try_from(self.devices.len()).unwrap();
        let node = NodeId(id + 1);
        self.devices.push(Arc::new(SimDevice::new(id)));
        self.layout.epoch.0 += 1;
        self.layout.nodes.push(LayoutNode {
            id: node,
            name: format!("node-{id}"),
            peer: None,
            zone: zone.to_owned(),
            state: NodeState::Active,
        });
        let failure_domain = zone.to_owned();
        let local = LayoutDevice::local(DeviceId(id), String::new());
        self.layout.devices.push(LayoutDevice { node, failure_domain, ..local });
    }

    /// Changes the node of device `index` in the layout.
    pub(crate) fn set_state(&mut self, index: usize, state: NodeState) {
        self.layout.epoch.0 += 1;
        self.layout.nodes[index].state = state;
    }

    /// Takes the node of device `index`, and the device, out of the layout.
    pub(crate) fn retire(&mut self, index: usize) {
        let id = self.devices[index].id;
        self.layout.epoch.0 += 1;
        self.layout.devices.retain(|device| device.id != id);
        self.layout.nodes.retain(|node| node.id != NodeId(id.0 + 1));
    }

    /// Puts the layout as it is now in place.
    pub(crate) async fn apply(&self, data: &DataPath) {
        data.apply_layout(self.layout.clone(), &self.services()).await.unwrap();
    }

    /// Starts a data path whose workers do not run by themselves.
    pub(crate) async fn open(&self, config: DataConfig) -> DataPath {
        let deps = self.deps();
        let rows = Rows::new(Arc::clone(&deps.meta), Arc::clone(&deps.txids));
        let account = key::ctl::account_key(OWNER);
        if rows.get(Table::Ctl, &account).unwrap().is_none() {
            let mut random = xorshift(1);
            let pair = AccountKeyPair::generate(OWNER.0, &mut random);
            let sealed = pair.seal(&self.root_key, &mut random).encode().to_vec();
            let record = AccountKeyRecord { sealed };
            rows.commit(Vec::new(), vec![put(Table::Ctl, account, &record)]).await.unwrap();
        }
        let data = DataPath::open(&deps, config).await.unwrap();
        let bucket = key::ctl::bucket_key(BUCKET, TARGET.key_epoch);
        if rows.get(Table::Ctl, &bucket).unwrap().is_none() {
            let record = data.new_bucket_key(OWNER, BUCKET, TARGET.key_epoch).unwrap();
            rows.commit(Vec::new(), vec![put(Table::Ctl, bucket, &record)]).await.unwrap();
        }
        data
    }

    /// Every shard on every device.
    pub(crate) fn shard_count(&self) -> usize {
        self.devices.iter().map(|device| device.keys().len()).sum()
    }

    pub(crate) fn row_count(&self, table: Table) -> usize {
        let snapshot = gateway_meta::MetaStore::snapshot(&*self.meta);
        let mut cursor = snapshot.cursor(table, gateway_meta::KeyRange::all());
        std::iter::from_fn(|| cursor.next().unwrap()).count()
    }
}

/// A config without background tasks, and with a fixed seed.
pub(crate) fn config() -> DataConfig {
    DataConfig {
        workers: WorkerConfig { enabled: false, ..WorkerConfig::default() },
        random: Random::new(xorshift(99)),
        ..DataConfig::default()
    }
}

/// Like [`config`], with stripes so short that many of them are quick.
pub(crate) fn small_stripes() -> DataConfig {
    let profile =
        Profile { stripe_len_bytes: 64 << 10, chunk_len_bytes: 4 << 10, ..Profile::default() };
    DataConfig { profile, inline_len_bytes_max: 1 << 10, ..config() }
}

/// Random bytes that repeat with the seed.
pub(crate) fn xorshift(seed: u64) -> impl FnMut(&mut [u8]) + Send + 'static {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |out: &mut [u8]| {
        for chunk in out.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bytes = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// A body of random bytes.
pub(crate) fn payload(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    xorshift(seed)(&mut bytes);
    bytes
}

/// A body that comes in frames of at most `frame_len` bytes.
pub(crate) fn incoming(bytes: &[u8], frame_len: usize) -> IncomingBody {
    let frames: Vec<Result<Bytes, BodyError>> =
        bytes.chunks(frame_len.max(1)).map(|frame| Ok(Bytes::copy_from_slice(frame))).collect();
    IncomingBody {
        stream: futures::stream::iter(frames).boxed(),
        len_bytes: Some(bytes.len() as u64),
        expected: ExpectedDigests::default(),
    }
}

impl DataPath {
    pub(crate) fn inner(&self) -> &Arc<super::Inner> {
        &self.inner
    }

    /// The workers, to be stepped by hand.
    pub(crate) fn workers(&self) -> Workers {
        Workers::new(&self.inner, self.supervisor.unpark().expect("taken once"))
    }

    /// Commits a written body as a service would; whether its guards held.
    pub(crate) async fn commit(&self, written: WrittenBody) -> bool {
        let WrittenBody { guards, ops, in_flight, .. } = written;
        let applied = self.inner.rows.commit(guards, ops).await.unwrap().is_none();
        drop(in_flight);
        applied
    }

    /// Writes and commits.
    pub(crate) async fn put_bytes(&self, bytes: &[u8]) -> Body {
        let written = self.write(TARGET, incoming(bytes, 100_000), LIMIT).await.unwrap();
        assert_eq!(written.len_bytes, bytes.len() as u64);
        let body = written.body;
        assert!(self.commit(written).await);
        body
    }

    pub(crate) async fn unlink(&self, body: &Body) {
        self.inner.rows.commit(Vec::new(), self.unlink_ops(body)).await.unwrap();
    }

    /// Reads a range as an edge would.
    pub(crate) async fn get_range(
        &self,
        body: Body,
        len: u64,
        offset_bytes: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, Fault> {
        let range = ResolvedRange { offset_bytes, len_bytes };
        let stream = self.read(OWNER, body, len, range).await?;
        let read: Result<Vec<Bytes>, BodyError> = stream.try_collect().await;
        match read {
            Ok(frames) => Ok(frames.concat()),
            Err(BodyError::Unreadable { source }) => Err(source),
            Err(error) => panic!("not an error of outgoing bodies: {error}"),
        }
    }

    pub(crate) async fn get_bytes(&self, body: Body, len: usize) -> Result<Vec<u8>, Fault> {
        self.get_range(body, len as u64, 0, len as u64).await
    }
}
