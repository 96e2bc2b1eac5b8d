//! Peers as the rest of the process sees them, and their devices behind `ShardService`.
//!
//! Invariants:
//! - a device whose peer has not said lately that it serves is `Offline`, with the reason;
//! - a request is repeated once when its lane was lost: every call is idempotent;
//! - damaged shards that a peer reported are kept until somebody takes them, and only then does the
//!   peer learn that it may forget them.
//!
//! *Limits:* [`DEADLINE`] per request; the damaged shards kept per device are bounded.

mod device;
mod heartbeat;
mod peer;

use std::{collections::HashMap, sync::Arc, time::Duration};

use node_proto::{DeviceId, PeerKey};
use parking_lot::Mutex;

use crate::lane::ClassSettings;
pub(crate) use device::{Orders, RemoteDevice};
pub(crate) use peer::{Peer, PeerFigures};

/// How long a request may take. Chosen: longer than a drive that is slow, shorter than a client's
/// patience; hedging reacts much earlier.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The peers that this process asks. At most as many as were ever in a layout.
pub(crate) struct Peers {
    me: PeerKey,
    settings: ClassSettings,
    peers: Mutex<HashMap<PeerKey, Arc<Peer>>>,
    devices: Mutex<HashMap<(PeerKey, DeviceId), Arc<RemoteDevice>>>,
}

impl Peers {
    pub(crate) fn new(me: PeerKey, settings: ClassSettings) -> Self {
        Self { me, settings, peers: Mutex::default(), devices: Mutex::default() }
    }

    pub(crate) fn me(&self) -> PeerKey {
        self.me
    }

    /// A peer to ask. Nothing is dialled before something is asked.
    pub(crate) fn peer(&self, key: PeerKey) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        Arc::clone(peers.entry(key).or_insert_with(|| Peer::new(key, &self.settings)))
    }

    /// A peer that was asked before.
    pub(crate) fn known(&self, key: PeerKey) -> Option<Arc<Peer>> {
        self.peers.lock().get(&key).cloned()
    }

    /// A device of a peer; the peer's state is asked for from now on.
    pub(crate) fn device(
        &self,
        peer: PeerKey,
        device: DeviceId,
        orders: &Arc<dyn Orders>,
    ) -> Arc<RemoteDevice> {
        let mut devices = self.devices.lock();
        let new = || {
            let peer = self.peer(peer);
            peer.watch();
            Arc::new(RemoteDevice::new(peer, device, Arc::clone(orders)))
        };
        Arc::clone(devices.entry((peer, device)).or_insert_with(new))
    }

    /// Lets go of every peer that is not wanted, and tries the others at once.
    pub(crate) fn retain(&self, is_wanted: impl Fn(PeerKey) -> bool) {
        self.devices.lock().retain(|(peer, _), _| is_wanted(*peer));
        self.peers.lock().retain(|key, peer| {
            if is_wanted(*key) {
                peer.retry_now();
                return true;
            }
            peer.close();
            false
        });
    }
}
