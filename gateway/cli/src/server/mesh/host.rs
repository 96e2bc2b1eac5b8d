//! What a gateway is to its peers: it lets nodes join and serves no devices.

use std::sync::Arc;

use async_trait::async_trait;
use gateway_layout::Cluster;
use node_mesh::{Host, LayoutRefused};
use node_proto::{
    Clock, ClusterId, ClusterPublicKey, CopyOrder, DeviceId, Epoch, JoinAnswer, JoinRequest,
    Layout, PeerKey, ShardService, SignedCopyOrder, SignedLayout, UnixMillis,
};

pub(super) struct GatewayHost {
    pub(super) cluster: Cluster,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Host for GatewayHost {
    fn device(&self, _id: DeviceId) -> Option<Arc<dyn ShardService>> {
        None
    }

    fn devices(&self) -> Vec<DeviceId> {
        Vec::new()
    }

    fn cluster(&self) -> Option<(ClusterId, ClusterPublicKey)> {
        Some((self.cluster.id(), self.cluster.public_key()))
    }

    fn epoch(&self) -> Epoch {
        self.cluster.layout().epoch
    }

    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    async fn accept_layout(&self, _layout: SignedLayout) -> Result<Epoch, LayoutRefused> {
        Err(LayoutRefused::Invalid { reason: "a gateway makes layouts and takes none".to_owned() })
    }

    async fn join(&self, peer: PeerKey, request: JoinRequest) -> JoinAnswer {
        self.cluster.join(peer, request).await
    }

    fn sign_copy(&self, order: &CopyOrder) -> Option<SignedCopyOrder> {
        is_within(&self.cluster.layout(), order).then(|| self.cluster.sign_copy(order))
    }
}

/// Whether an order is one between two nodes of the layout.
fn is_within(layout: &Layout, order: &CopyOrder) -> bool {
    order.cluster == layout.cluster
        && order.epoch == layout.epoch
        && layout.node_of_peer(order.reader).is_some()
        && layout.peer_of(order.source_device) == Some(order.source)
}

#[cfg(test)]
mod tests {
    use node_proto::{
        LayoutDevice, LayoutNode, ManifestId, NodeId, NodeState, ShardIndex, ShardKey, ShardRoot,
        StripeSeq,
    };

    use super::*;

    fn layout() -> Layout {
        let node = |id: u32| LayoutNode {
            id: NodeId(id),
            name: id.to_string(),
            peer: Some(PeerKey([u8::try_from(id).expect("small"); 32])),
            zone: id.to_string(),
            state: NodeState::Active,
        };
        let device = |id: u32| LayoutDevice {
            node: NodeId(id),
            ..LayoutDevice::local(DeviceId(id), String::new())
        };
        Layout {
            cluster: ClusterId([1; 16]),
            epoch: Epoch(4),
            gateways: Vec::new(),
            nodes: vec![node(1), node(2)],
            devices: vec![device(1), device(2)],
        }
    }

    fn order() -> CopyOrder {
        CopyOrder {
            cluster: ClusterId([1; 16]),
            nonce: [0; 16],
            epoch: Epoch(4),
            source: PeerKey([1; 32]),
            source_device: DeviceId(1),
            reader: PeerKey([2; 32]),
            key: ShardKey { manifest: ManifestId(1), stripe: StripeSeq(0), index: ShardIndex(0) },
            root: ShardRoot([0; 32]),
            len_bytes: 1,
            expires: UnixMillis(1),
        }
    }

    #[test]
    fn only_copies_between_members_are_signed() {
        let layout = layout();
        assert!(is_within(&layout, &order()));
        let wrong = [
            CopyOrder { cluster: ClusterId([2; 16]), ..order() },
            CopyOrder { epoch: Epoch(3), ..order() },
            CopyOrder { reader: PeerKey([9; 32]), ..order() },
            CopyOrder { source: PeerKey([2; 32]), ..order() },
            CopyOrder { source_device: DeviceId(9), ..order() },
        ];
        for order in wrong {
            assert!(!is_within(&layout, &order), "{order:?}");
        }
    }
}
