//! The layout document, under `ctl layout`.
//!
//! | field | type |
//! | --- | --- |
//! | cluster | 16 bytes |
//! | epoch | u64 |
//! | gateways | sequence of 32 bytes |
//! | nodes | sequence of id u32, name string, peer option of 32 bytes, zone string, state |
//! | devices | sequence of id u32, node u32, failure domain string, address string, mount point bool, capacity u64 |
//!
//! State is 0, active, or 1, draining. Version 1 had neither gateways nor nodes, and of devices
//! neither node nor capacity: all were drives of the gateway.

use node_proto::{ClusterId, DeviceId, Epoch, Layout, LayoutDevice};
use serde::{Deserialize, Serialize};

use super::{DecodeRecordError, Record, decode_version};

impl Record for Layout {
    const NAME: &'static str = "layout document";
    const VERSION: u8 = 2;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeRecordError> {
        match bytes.first() {
            Some(&LayoutV1::VERSION) => LayoutV1::decode(bytes).map(Self::from),
            _ => decode_version(bytes),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LayoutV1 {
    cluster: ClusterId,
    epoch: Epoch,
    devices: Vec<DeviceV1>,
}

#[derive(Serialize, Deserialize)]
struct DeviceV1 {
    id: DeviceId,
    failure_domain: String,
    address: String,
    mount_point: bool,
}

impl Record for LayoutV1 {
    const NAME: &'static str = "layout document";
}

impl From<LayoutV1> for Layout {
    fn from(old: LayoutV1) -> Self {
        let device = |old: DeviceV1| LayoutDevice {
            failure_domain: old.failure_domain,
            mount_point: old.mount_point,
            ..LayoutDevice::local(old.id, old.address)
        };
        let devices = old.devices.into_iter().map(device).collect();
        Self { epoch: old.epoch, ..Self::local(old.cluster, devices) }
    }
}

#[cfg(test)]
mod tests {
    use node_proto::{LayoutNode, NodeId, NodeState, PeerKey};

    use super::*;

    #[test]
    fn layout_has_golden_bytes() {
        let layout = Layout {
            cluster: ClusterId([7; 16]),
            epoch: Epoch(300),
            gateways: vec![PeerKey([8; 32])],
            nodes: vec![LayoutNode {
                id: NodeId(3),
                name: "n".to_owned(),
                peer: Some(PeerKey([9; 32])),
                zone: "z".to_owned(),
                state: NodeState::Draining,
            }],
            devices: vec![LayoutDevice {
                node: NodeId(3),
                failure_domain: "d".to_owned(),
                capacity_bytes: 128,
                ..LayoutDevice::local(DeviceId(2), "p".to_owned())
            }],
        };
        let mut golden = vec![2];
        golden.extend_from_slice(&[7; 16]);
        golden.extend_from_slice(&[0xac, 0x02, 1]);
        golden.extend_from_slice(&[8; 32]);
        golden.extend_from_slice(&[1, 3, 1, b'n', 1]);
        golden.extend_from_slice(&[9; 32]);
        golden.extend_from_slice(&[1, b'z', 1]);
        golden.extend_from_slice(&[1, 2, 3, 1, b'd', 1, b'p', 0, 0x80, 1]);
        assert_eq!(layout.encode()[..], golden);
        assert_eq!(Layout::decode(&golden), Ok(layout));
    }

    #[test]
    fn layouts_of_the_first_version_are_read() {
        let mut golden = vec![1];
        golden.extend_from_slice(&[7; 16]);
        golden.extend_from_slice(&[0xac, 0x02, 1, 2, 1, b'd', 1, b'p', 1]);
        let device = LayoutDevice {
            failure_domain: "d".to_owned(),
            mount_point: true,
            ..LayoutDevice::local(DeviceId(2), "p".to_owned())
        };
        let layout =
            Layout { epoch: Epoch(300), ..Layout::local(ClusterId([7; 16]), vec![device]) };
        assert_eq!(Layout::decode(&golden), Ok(layout));
    }
}
