//! The layout document, under `ctl layout`.
//!
//! | field | type |
//! | --- | --- |
//! | cluster | 16 bytes |
//! | epoch | u64 |
//! | devices | list of id u32, failure domain string, address string, mount point byte |

use node_proto::Layout;

use super::Record;

impl Record for Layout {
    const NAME: &'static str = "layout document";
}

#[cfg(test)]
mod tests {
    use node_proto::{ClusterId, DeviceId, Epoch, LayoutDevice};

    use super::*;

    #[test]
    fn layout_has_golden_bytes() {
        let layout = Layout {
            cluster: ClusterId([7; 16]),
            epoch: Epoch(300),
            devices: vec![LayoutDevice {
                id: DeviceId(2),
                failure_domain: "d".to_owned(),
                address: "p".to_owned(),
                mount_point: false,
            }],
        };
        let mut golden = vec![1];
        golden.extend_from_slice(&[7; 16]);
        golden.extend_from_slice(&[0xac, 0x02, 1, 2, 1, b'd', 1, b'p', 0]);
        assert_eq!(layout.encode()[..], golden);
        assert_eq!(Layout::decode(&golden), Ok(layout));
    }
}
