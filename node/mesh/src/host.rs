//! What this process is to its peers: the devices it serves and the layout it obeys.

use std::sync::Arc;

use async_trait::async_trait;
use node_proto::{
    ClusterId, ClusterPublicKey, CopyOrder, DeviceId, Epoch, JoinAnswer, JoinRequest, PeerKey,
    ShardService, SignedCopyOrder, SignedLayout, UnixMillis,
};

/// Why a node does not take a layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutRefused {
    /// Another cluster's, altered, or not to be understood. Do not send it again.
    #[error("the layout is not acceptable: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The node has a newer one.
    #[error("the layout is older than epoch {epoch:?}")]
    Stale {
        /// The epoch that the node has.
        epoch: Epoch,
    },
    /// The node could not keep it. Send it again later.
    #[error("the layout was not stored: {reason}")]
    Storage {
        /// What happened, for the log.
        reason: String,
    },
}

/// What the mesh asks the process that it runs in.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// A device served here.
    fn device(&self, id: DeviceId) -> Option<Arc<dyn ShardService>>;

    /// Every device served here.
    fn devices(&self) -> Vec<DeviceId>;

    /// The cluster and the key that verifies its layouts; `None` before a node is admitted.
    fn cluster(&self) -> Option<(ClusterId, ClusterPublicKey)>;

    /// The epoch of the layout in force here; zero before there is one.
    fn epoch(&self) -> Epoch;

    /// The time.
    fn now(&self) -> UnixMillis;

    /// Verifies, persists and adopts a layout; answers the epoch then in force.
    ///
    /// # Errors
    /// [`LayoutRefused`].
    async fn accept_layout(&self, layout: SignedLayout) -> Result<Epoch, LayoutRefused>;

    /// Decides about a peer that asks to join. Nodes refuse.
    async fn join(&self, peer: PeerKey, request: JoinRequest) -> JoinAnswer;

    /// Signs a copy order; `None` where this process has no cluster key.
    fn sign_copy(&self, order: &CopyOrder) -> Option<SignedCopyOrder>;
}
