//! How a node joins its cluster, and how it stays in touch with the gateways.
//!
//! A node that knows its cluster tells a gateway its addresses and drives whenever it starts, when
//! they change, when a gateway comes back, and from time to time; the answer is the newest layout.
//! It serves meanwhile with the layout it has. A node without a cluster proves that it has a token
//! and asks until an operator decides.
//!
//! *Retries:* for ever, with growing pauses, except that a node without a cluster ends when it is
//! refused.
//! *Cancellation:* may be dropped at any point.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use node_mesh::Mesh;
use node_proto::{
    JoinAnswer, JoinRequest, JoinToken, PeerKey, SignedLayout,
    join::{self, ADDRESSES_MAX, DRIVES_MAX, OfferedDrive},
};
use tokio::{sync::watch, time::Instant};

use crate::{
    config::NodeName,
    host::NodeHost,
    membership::{GatewayAddress, Membership},
    node::{RunNodeError, Standing},
};

/// First pause after an attempt that reached no gateway. Chosen: a gateway restarts in seconds.
const RETRY_MIN: Duration = Duration::from_millis(500);

/// Longest pause between attempts. Chosen: how long a node may stay unknown once a gateway is back.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Pause between questions while an operator has not decided.
const PENDING_PAUSE: Duration = Duration::from_secs(2);

/// How often addresses and drives are compared with what was announced last.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Longest time between announcements, which also bounds how long a lost layout stays unknown.
/// Chosen; revisit when a thousand nodes are one cluster.
const REPEAT_INTERVAL: Duration = Duration::from_secs(300);

/// What a gateway is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Announcement {
    addresses: Vec<String>,
    drives: Vec<OfferedDrive>,
}

/// What came of one round over the gateways.
enum Outcome {
    Admitted,
    Pending { gateway: PeerKey },
    Refused { reason: String },
    Unreachable,
}

/// Keeps a node known to its gateways.
pub(crate) struct Announcer {
    pub(crate) host: Arc<NodeHost>,
    pub(crate) mesh: Mesh,
    pub(crate) name: NodeName,
    pub(crate) version: String,
    pub(crate) token: Option<JoinToken>,
    pub(crate) standing: watch::Sender<Standing>,
}

impl Announcer {
    /// Announces for ever.
    ///
    /// # Errors
    /// [`RunNodeError`] when a node without a cluster is refused.
    pub(crate) async fn run(self) -> Result<(), RunNodeError> {
        let mut connected = self.mesh.connected();
        let mut retry = RETRY_MIN;
        loop {
            let announcement = self.announcement().await;
            match self.announce(&announcement).await {
                Outcome::Admitted => {
                    retry = RETRY_MIN;
                    self.standing.send_replace(Standing::Member);
                    self.until_news(&announcement, &mut connected).await;
                }
                Outcome::Pending { gateway } => {
                    self.standing.send_replace(Standing::Pending { gateway });
                    tokio::time::sleep(PENDING_PAUSE).await;
                }
                Outcome::Refused { reason } => {
                    if self.host.membership().is_none() {
                        return Err(RunNodeError::Refused { reason });
                    }
                    tracing::error!(reason, "the gateway does not know this node");
                    self.standing.send_replace(Standing::Refused { reason });
                    tokio::time::sleep(RETRY_MAX).await;
                }
                Outcome::Unreachable => {
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn announcement(&self) -> Announcement {
        let cluster = self.cluster().cluster;
        let mut drives = self.host.offer(cluster).await;
        drives.truncate(DRIVES_MAX);
        let mut addresses = self.mesh.addresses();
        addresses.truncate(ADDRESSES_MAX);
        Announcement { addresses, drives }
    }

    /// The cluster it belongs to or wants to join. The token's gateway is asked too: one that lost
    /// its identity comes back under another, which only a new token tells.
    fn cluster(&self) -> Membership {
        match (self.host.membership(), &self.token) {
            (Some(known), Some(token)) => known.with_gateway_of(token),
            (Some(known), None) => known,
            (None, Some(token)) => Membership::of_token(token),
            (None, None) => unreachable!("a node starts with a cluster or a token"),
        }
    }

    /// Asks one gateway after the other until one answers.
    async fn announce(&self, announcement: &Announcement) -> Outcome {
        let cluster = self.cluster();
        for gateway in &cluster.gateways {
            let is_member = self.host.membership().is_some();
            let outcome = self.ask(&cluster, gateway, announcement, !is_member).await;
            // One that was removed may come back with a new token.
            let outcome = match outcome {
                Some(Outcome::Refused { .. }) if is_member && self.token_fits(&cluster) => {
                    self.ask(&cluster, gateway, announcement, true).await
                }
                outcome => outcome,
            };
            match outcome {
                Some(outcome) => return outcome,
                None => continue,
            }
        }
        Outcome::Unreachable
    }

    fn token_fits(&self, cluster: &Membership) -> bool {
        self.token.as_ref().is_some_and(|token| token.cluster == cluster.cluster)
    }

    /// Asks one gateway; `None` when it does not answer or is busy.
    async fn ask(
        &self,
        cluster: &Membership,
        gateway: &GatewayAddress,
        announcement: &Announcement,
        with_proof: bool,
    ) -> Option<Outcome> {
        let prove = |token: &JoinToken| {
            let key = join::proof_key(&token.secret);
            let node = self.host.peer();
            (token.id, join::proof(&key, token.cluster, token.id, node, gateway.peer))
        };
        let request = JoinRequest {
            proof: self.token.as_ref().filter(|_| with_proof).map(prove),
            name: self.name.as_str().to_owned(),
            version: self.version.clone(),
            addresses: announcement.addresses.clone(),
            drives: announcement.drives.clone(),
        };
        let addresses = self.addresses_of(gateway).await;
        let answer = self.mesh.join(gateway.peer, &addresses, &request).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(gateway = %gateway.peer, %error, "no gateway answers here");
                return None;
            }
        };
        match answer {
            JoinAnswer::Busy => None,
            JoinAnswer::Pending => Some(Outcome::Pending { gateway: gateway.peer }),
            JoinAnswer::Refused { reason } => Some(Outcome::Refused { reason }),
            JoinAnswer::Admitted { body, signature } => {
                let layout = SignedLayout::from_parts(body, signature);
                self.admitted(cluster, gateway.peer, layout).await
            }
        }
    }

    async fn admitted(
        &self,
        cluster: &Membership,
        gateway: PeerKey,
        layout: SignedLayout,
    ) -> Option<Outcome> {
        if let Err(error) = self.host.admit(cluster.clone(), layout).await {
            tracing::error!(%gateway, %error, "the gateway's answer is not followed");
            return None;
        }
        let reports = self.mesh.peers();
        if let Some(report) = reports.iter().find(|report| report.peer == gateway) {
            self.host.note_gateway(gateway, &report.addresses).await;
        }
        Some(Outcome::Admitted)
    }

    /// Where a gateway was last, or where other members say it is.
    async fn addresses_of(&self, gateway: &GatewayAddress) -> Vec<String> {
        let is_connected = |peer: PeerKey| {
            self.mesh.peers().iter().any(|report| report.peer == peer && report.is_connected)
        };
        let mut addresses = gateway.addresses.clone();
        if !is_connected(gateway.peer)
            && self.host.membership().is_some()
            && let Ok(found) = self.mesh.find(gateway.peer).await
        {
            addresses.extend(found.into_iter().filter(|found| !gateway.addresses.contains(found)));
        }
        addresses
    }

    /// Waits until there is something to tell: other addresses or drives, a gateway that came back,
    /// or a long silence.
    async fn until_news(&self, told: &Announcement, connected: &mut watch::Receiver<u64>) {
        let deadline = Instant::now() + REPEAT_INTERVAL;
        let mut before = self.gateways_connected();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                // When the mesh is gone, so is this task soon.
                changed = connected.changed() => if changed.is_err() {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
            }
            let now = self.gateways_connected();
            let came_back = now.iter().any(|(peer, is_connected)| {
                *is_connected && before.get(peer).is_some_and(|was| !was)
            });
            if came_back || self.announcement().await != *told {
                return;
            }
            before = now;
        }
    }

    fn gateways_connected(&self) -> BTreeMap<PeerKey, bool> {
        let gateways = self.cluster().gateways;
        let reports = self.mesh.peers();
        let is_connected = |gateway: &GatewayAddress| {
            reports.iter().any(|report| report.peer == gateway.peer && report.is_connected)
        };
        gateways.iter().map(|gateway| (gateway.peer, is_connected(gateway))).collect()
    }
}
