//! The layout of the cluster as this process knows it, and how it is changed.
//!
//! Invariants:
//! - what was published came from the store: a change is told to watchers when it is durable;
//! - epochs told to watchers only grow.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use gateway_meta::{
    Guard, KeyRange, MetaStore, Op, Table, TxIds,
    key::ctl,
    record::{LayoutIdsRecord, LayoutRevisionRecord, Membership, NodeRecord, Record},
};
use node_proto::{
    Clock, ClusterId, ClusterKey, ClusterPublicKey, CopyOrder, DeviceId, Epoch, Layout, NodeId,
    PeerKey, SignedCopyOrder, SignedLayout, UnixMillis, signed::DOCUMENT_LEN_BYTES_MAX,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    availability::Watched,
    error::{CommitLayoutError, OpenClusterError, StoreError},
    limits::{REVISIONS_MAX, TOKEN_ADDRESSES_LEN_BYTES_MAX},
    rows::{put, unchanged},
};

/// Attempts to put this gateway into the layout. Chosen: each failure is another's success.
const OPEN_ATTEMPTS_MAX: usize = 16;

/// What a cluster is built from.
pub struct ClusterDeps {
    /// The metadata store.
    pub meta: Arc<dyn MetaStore>,
    /// Transaction ids of this process.
    pub txids: Arc<TxIds>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The operating system's random generator, or a predictable one in tests.
    pub random: fn(&mut [u8]),
    /// Which cluster.
    pub cluster: ClusterId,
    /// Signs layouts and copy orders.
    pub signing: ClusterKey,
    /// This gateway's peer id; `None` when the mesh is off.
    pub gateway: Option<PeerKey>,
    /// What the operator chose.
    pub settings: Settings,
}

/// What the operator chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Data shards of a full stripe where there are domains enough. Default 4.
    pub data_shards: usize,
    /// Losses that must stay survivable: parity shards of every stripe. Default 2.
    pub tolerated_losses: usize,
    /// How likely an object must at least be readable for a layout change to be applied without
    /// force, from 0 to 1. Default 0.999.
    pub availability_floor: f64,
    /// How fast shards are moved, in bytes per second, for forecasts. Default 100 MB/s.
    pub move_bytes_per_second: u64,
    /// After how long an observation of a device counts half. Default 30 days.
    pub availability_half_life: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_shards: 4,
            tolerated_losses: 2,
            availability_floor: 0.999,
            move_bytes_per_second: 100_000_000,
            availability_half_life: Duration::from_secs(30 * 24 * 3_600),
        }
    }
}

/// Who belongs to the cluster. Clones share it.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    deps: ClusterDeps,
    current: RwLock<Current>,
    published: watch::Sender<Arc<Layout>>,
    /// Held while something is decided on what was read, so that this process does not conflict
    /// with itself.
    changing: tokio::sync::Mutex<()>,
    own_addresses: RwLock<Vec<String>>,
    /// Last announced by each member.
    addresses: RwLock<HashMap<PeerKey, Vec<String>>>,
    contacts: RwLock<HashMap<PeerKey, Contact>>,
    watched: Mutex<Watched>,
}

/// When a peer was heard of, since this process started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Contact {
    pub(crate) seen: Option<UnixMillis>,
    pub(crate) epoch: Option<Epoch>,
}

/// The layout as it was read.
#[derive(Clone)]
pub(crate) struct Current {
    /// `None` before the first one.
    pub(crate) row: Option<Bytes>,
    pub(crate) layout: Arc<Layout>,
    signed: SignedLayout,
}

/// A layout to commit, and what else is committed with it.
pub(crate) struct NextLayout {
    /// Its epoch is set when it is committed.
    pub(crate) layout: Layout,
    /// What changes, in words.
    pub(crate) what: String,
    pub(crate) guards: Vec<Guard>,
    pub(crate) ops: Vec<Op>,
}

impl Cluster {
    /// Reads the cluster, and puts this gateway into its layout where it is not yet.
    ///
    /// # Errors
    /// [`OpenClusterError`]; nothing was changed then, unless the store does not know.
    pub async fn open(deps: ClusterDeps) -> Result<Self, OpenClusterError> {
        let layout =
            Arc::new(Layout { epoch: Epoch(0), ..Layout::local(deps.cluster, Vec::new()) });
        let signed = deps.signing.sign(&*layout);
        let (published, _) = watch::channel(Arc::clone(&layout));
        let inner = Inner {
            current: RwLock::new(Current { row: None, layout, signed }),
            published,
            changing: tokio::sync::Mutex::new(()),
            own_addresses: RwLock::default(),
            addresses: RwLock::default(),
            contacts: RwLock::default(),
            watched: Mutex::default(),
            deps,
        };
        let cluster = Self { inner: Arc::new(inner) };
        let stored = cluster.refresh()?.layout.cluster;
        if stored != cluster.deps().cluster {
            return Err(OpenClusterError::OtherCluster { stored });
        }
        cluster.load_availability()?;
        for (peer, stored) in cluster.node_records().await? {
            if let Membership::Member { .. } = stored.record.membership {
                cluster.note_addresses(peer, &stored.record);
            }
        }
        cluster.ensure_gateway().await?;
        Ok(cluster)
    }

    async fn ensure_gateway(&self) -> Result<(), OpenClusterError> {
        let Some(gateway) = self.deps().gateway else { return Ok(()) };
        for _ in 0..OPEN_ATTEMPTS_MAX {
            let before = self.refresh()?;
            if before.layout.gateways == [gateway] {
                return Ok(());
            }
            // A cluster has one gateway: an earlier identity was lost or stolen, and must not be
            // obeyed any more.
            let mut layout = (*before.layout).clone();
            layout.gateways = vec![gateway];
            let what = format!("the gateway is {gateway}");
            let next = NextLayout { layout, what, guards: Vec::new(), ops: Vec::new() };
            match self.commit_layout(&before, next).await {
                Err(CommitLayoutError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(()),
            }
        }
        Err(CommitLayoutError::Conflict { current: self.layout().epoch }.into())
    }

    pub(crate) fn deps(&self) -> &ClusterDeps {
        &self.inner.deps
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.deps().clock.now()
    }

    /// The layout known last. Epoch 0 before there is one: without nodes and devices.
    #[must_use]
    pub fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.inner.current.read().layout)
    }

    /// [`Self::layout`] as nodes accept it.
    #[must_use]
    pub fn signed(&self) -> SignedLayout {
        self.inner.current.read().signed.clone()
    }

    /// Follows the layout; holds the one known last. Changes, too, when [`Self::addresses`] do.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Layout>> {
        self.inner.published.subscribe()
    }

    /// Which cluster this is.
    #[must_use]
    pub fn id(&self) -> ClusterId {
        self.deps().cluster
    }

    /// What verifies the cluster's signatures.
    #[must_use]
    pub fn public_key(&self) -> ClusterPublicKey {
        self.deps().signing.public()
    }

    /// Signs leave to copy a shard.
    #[must_use]
    pub fn sign_copy(&self, order: &CopyOrder) -> SignedCopyOrder {
        self.deps().signing.sign(order)
    }

    /// Tells where nodes can dial this gateway: multiaddresses, put into tokens as far as there is
    /// room.
    pub fn set_addresses(&self, addresses: Vec<String>) {
        let mut len_bytes = 0;
        let fits = |address: &String| {
            len_bytes += address.len();
            len_bytes <= TOKEN_ADDRESSES_LEN_BYTES_MAX
        };
        *self.inner.own_addresses.write() = addresses.into_iter().take_while(fits).collect();
    }

    pub(crate) fn own_addresses(&self) -> Vec<String> {
        self.inner.own_addresses.read().clone()
    }

    /// Where each member can be dialled, as it told last.
    #[must_use]
    pub fn addresses(&self) -> HashMap<PeerKey, Vec<String>> {
        self.inner.addresses.read().clone()
    }

    pub(crate) fn note_addresses(&self, peer: PeerKey, record: &NodeRecord) {
        let mut addresses = self.inner.addresses.write();
        let old = addresses.insert(peer, record.addresses.clone());
        drop(addresses);
        if old.as_ref() != Some(&record.addresses) {
            // The layout is the same; who follows it dials by the addresses.
            self.inner.published.send_modify(|_| {});
        }
    }

    /// Remembers which layout a node confirmed to have. Peers outside the layout are ignored.
    pub fn acknowledged(&self, peer: PeerKey, epoch: Epoch) {
        if self.layout().node_of_peer(peer).is_some() {
            let mut contacts = self.inner.contacts.write();
            let contact = contacts.entry(peer).or_default();
            contact.epoch = contact.epoch.max(Some(epoch));
            contact.seen = Some(self.now());
        }
    }

    /// Remembers that a node of the layout, or one that waits for approval, was heard of.
    pub(crate) fn note_seen(&self, peer: PeerKey) {
        self.inner.contacts.write().entry(peer).or_default().seen = Some(self.now());
    }

    pub(crate) fn contact(&self, peer: PeerKey) -> Contact {
        self.inner.contacts.read().get(&peer).copied().unwrap_or_default()
    }

    /// Forgets what is kept in memory of a peer that is no longer known.
    pub(crate) fn forget(&self, peer: PeerKey) {
        self.inner.contacts.write().remove(&peer);
        self.inner.addresses.write().remove(&peer);
    }

    pub(crate) fn watched(&self) -> &Mutex<Watched> {
        &self.inner.watched
    }

    /// One at a time: whoever reads, decides and commits.
    pub(crate) async fn exclusive(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.changing.lock().await
    }

    /// Reads the layout again, and publishes it if it is newer.
    pub(crate) fn refresh(&self) -> Result<Current, StoreError> {
        let row = self.deps().meta.get(Table::Ctl, &ctl::layout())?;
        let known = self.inner.current.read().clone();
        if row == known.row {
            return Ok(known);
        }
        let Some(row) = row else {
            return Err(StoreError::Corrupt { reason: "the layout is gone".to_owned() });
        };
        let layout = Layout::decode(&row)?;
        let signed = self.deps().signing.sign(&layout);
        let read = Current { row: Some(row), layout: Arc::new(layout), signed };
        self.publish(&read);
        Ok(read)
    }

    fn publish(&self, new: &Current) {
        let mut current = self.inner.current.write();
        if current.row.is_none() || new.layout.epoch >= current.layout.epoch {
            *current = new.clone();
            self.inner.published.send_replace(Arc::clone(&new.layout));
        }
    }

    /// Commits the layout that follows `before`, and publishes it.
    pub(crate) async fn commit_layout(
        &self,
        before: &Current,
        next: NextLayout,
    ) -> Result<Arc<Layout>, CommitLayoutError> {
        let NextLayout { mut layout, what, mut guards, mut ops } = next;
        layout.epoch = Epoch(before.layout.epoch.0 + 1);
        layout.check()?;
        let signed = self.deps().signing.sign(&layout);
        let len_bytes = signed.body.len();
        if len_bytes > DOCUMENT_LEN_BYTES_MAX {
            return Err(CommitLayoutError::TooLarge { len_bytes });
        }
        guards.push(unchanged(ctl::layout(), before.row.as_ref()));
        let row = layout.encode();
        ops.push(Op::Put { table: Table::Ctl, key: ctl::layout(), value: row.clone() });
        ops.push(put(ctl::layout_ids(), &self.unused_ids(&before.layout)?.beyond(&layout)));
        ops.extend(self.revision_ops(before, layout.epoch, &row, &what)?);
        if !self.commit(guards, ops).await? {
            let current = self.refresh()?.layout.epoch;
            return Err(CommitLayoutError::Conflict { current });
        }
        tracing::info!(epoch = layout.epoch.0, what, "the layout changed");
        let new = Current { row: Some(row), layout: Arc::new(layout), signed };
        self.publish(&new);
        Ok(new.layout)
    }

    /// Keeps the new layout and what made it; forgets the oldest. A layout of a time before history
    /// was kept gets a row too, so that it can be reverted to.
    fn revision_ops(
        &self,
        before: &Current,
        epoch: Epoch,
        row: &Bytes,
        what: &str,
    ) -> Result<Vec<Op>, StoreError> {
        let revision = |what: &str, row: &Bytes| LayoutRevisionRecord {
            changed_at: self.now(),
            what: what.to_owned(),
            layout: row.to_vec(),
        };
        let mut ops = Vec::new();
        let old_key = ctl::layout_revision(before.layout.epoch);
        if let Some(old) = &before.row
            && self.deps().meta.get(Table::Ctl, &old_key)?.is_none()
        {
            ops.push(put(old_key, &revision("as it was found", old)));
        }
        ops.push(put(ctl::layout_revision(epoch), &revision(what, row)));
        let range = KeyRange {
            start: ctl::layout_revision_prefix(),
            end: Some(ctl::layout_revision(Epoch((epoch.0 + 1).saturating_sub(REVISIONS_MAX)))),
        };
        if !range.is_void() {
            ops.push(Op::DeleteRange { table: Table::Ctl, range });
        }
        Ok(ops)
    }

    /// Ids that neither `layout` nor an earlier one has.
    pub(crate) fn unused_ids(&self, layout: &Layout) -> Result<UnusedIds, StoreError> {
        let stored = self.read::<LayoutIdsRecord>(&ctl::layout_ids())?;
        Ok(UnusedIds(stored.map_or(
            LayoutIdsRecord { next_node: NodeId::LOCAL.0 + 1, next_device: 0 },
            |stored| stored.record,
        ))
        .past(layout))
    }

    /// The first id for new devices of the gateway itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_device_id(&self) -> Result<DeviceId, StoreError> {
        let ids = self.unused_ids(&self.refresh()?.layout)?;
        Ok(DeviceId(ids.0.next_device))
    }
}

/// From which on ids were never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnusedIds(pub(crate) LayoutIdsRecord);

impl UnusedIds {
    /// Beyond those of `layout` as well.
    pub(crate) fn past(self, layout: &Layout) -> Self {
        let node = layout.nodes.last().map_or(0, |node| node.id.0.saturating_add(1));
        let device = layout.devices.last().map_or(0, |device| device.id.0.saturating_add(1));
        Self(LayoutIdsRecord {
            next_node: self.0.next_node.max(node),
            next_device: self.0.next_device.max(device),
        })
    }

    fn beyond(self, layout: &Layout) -> LayoutIdsRecord {
        self.past(layout).0
    }
}
