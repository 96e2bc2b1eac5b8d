//! Both ends of this process's lanes, wired to its host.

use std::sync::Arc;

use node_proto::{
    CopyOrder, DeviceId, Epoch, Layout, PeerKey, ShardKey, ShardRoot, ShardService,
    SignedCopyOrder, SignedLayout, UnixMillis,
    wire::{Priority, Request, Response},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    host::{Host, LayoutRefused},
    lane::{Call, CallError, ClassSettings},
    remote::{DEADLINE, Orders, PeerFigures, Peers},
    serve::{LIFETIME_MS, Members, Serving, serve},
    stream::{InboundLane, LaneClass, OpenLanes},
};

/// Both ends of this process's lanes. Clones share them.
#[derive(Clone)]
pub(crate) struct Lanes {
    peers: Arc<Peers>,
    serving: Arc<Serving>,
    orders: Arc<dyn Orders>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Lanes {
    /// `me` is this process; `budget_bytes` bounds the payloads in memory, all peers together.
    pub(crate) fn new(
        me: PeerKey,
        opener: Arc<dyn OpenLanes>,
        host: Arc<dyn Host>,
        budget_bytes: u64,
    ) -> Self {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let settings = ClassSettings { opener, tasks: tasks.clone(), stop: stop.clone() };
        let peers = Arc::new(Peers::new(me, settings));
        let serving = Serving::new(host, budget_bytes, Arc::clone(&peers), stop.clone());
        let serving = Arc::new(serving);
        let orders = Arc::new(HostOrders { serving: Arc::clone(&serving) });
        Self { peers, serving, orders, tasks, stop }
    }

    /// Answers a lane that a peer opened, until it ends. Dropping the future ends the lane.
    pub(crate) fn serve(&self, lane: InboundLane) -> impl Future<Output = ()> + Send + 'static {
        serve(Arc::clone(&self.serving), lane)
    }

    /// Takes the layout in force: who may ask for what, and where devices are. Peers that are not
    /// in it are let go of; the others are dialled at once when something is asked.
    pub(crate) fn set_layout(&self, layout: &Layout) {
        let members = Arc::new(Members::new(layout));
        *self.serving.members.write() = Arc::clone(&members);
        self.peers.retain(|peer| members.is_node(peer));
    }

    /// Something about a peer has changed, as that it was just connected: do not wait before
    /// dialling it again.
    pub(crate) fn retry_now(&self, peer: PeerKey) {
        if let Some(peer) = self.peers.known(peer) {
            peer.retry_now();
        }
    }

    /// A device of a peer; the same for the same pair while the peer is in the layout.
    pub(crate) fn device(&self, peer: PeerKey, device: DeviceId) -> Arc<dyn ShardService> {
        self.peers.device(peer, device, &self.orders)
    }

    /// Sends a layout to a peer and waits until it is in force there.
    pub(crate) async fn push_layout(
        &self,
        peer: PeerKey,
        layout: &SignedLayout,
    ) -> Result<Epoch, CallError> {
        let remote = self.peers.peer(peer);
        remote.watch();
        let call = Call {
            request: Request::SetLayout { signature: layout.signature.clone() },
            payload: layout.body.clone(),
            priority: Priority::Urgent,
            deadline: Instant::now() + DEADLINE,
            answer_len_max: 0,
        };
        let refused = |refused| Err(CallError::Layout { peer, refused });
        match remote.call(LaneClass::Control, &call).await?.response {
            Response::Layout(epoch) => Ok(epoch),
            Response::LayoutInvalid { reason } => refused(LayoutRefused::Invalid { reason }),
            Response::LayoutStale { epoch } => refused(LayoutRefused::Stale { epoch }),
            Response::LayoutNotStored { reason } => refused(LayoutRefused::Storage { reason }),
            Response::Busy => Err(CallError::Busy { peer }),
            Response::Refused(refusal) => Err(CallError::Refused { peer, refusal }),
            response => Err(CallError::senseless(peer, &response)),
        }
    }

    /// What is known of a peer; empty when nothing was ever asked of it.
    pub(crate) fn figures(&self, peer: PeerKey) -> PeerFigures {
        self.peers.known(peer).map(|peer| peer.figures()).unwrap_or_default()
    }

    /// Ends every lane and waits for what this started.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.peers.retain(|_| false);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Makes copy orders in the host's name.
struct HostOrders {
    serving: Arc<Serving>,
}

impl Orders for HostOrders {
    fn order(
        &self,
        reader: PeerKey,
        source: DeviceId,
        key: ShardKey,
        root: ShardRoot,
        len_bytes: u64,
    ) -> Option<SignedCopyOrder> {
        let host = &self.serving.host;
        let (cluster, _) = host.cluster()?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).ok()?;
        host.sign_copy(&CopyOrder {
            cluster,
            nonce,
            epoch: host.epoch(),
            source: self.serving.members().peer_of(source)?,
            source_device: source,
            reader,
            key,
            root,
            len_bytes,
            expires: UnixMillis(host.now().0.saturating_add(LIFETIME_MS)),
        })
    }
}

#[cfg(test)]
mod tests;
