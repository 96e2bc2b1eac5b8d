//! The layout document: which devices exist and which of them fail together.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{ClusterId, DeviceId, Epoch};

/// One device slot of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutDevice {
    /// The slot.
    pub id: DeviceId,
    /// Devices with equal domains may fail together; a placement group holds at most one of them.
    pub failure_domain: String,
    /// Where the device is reached: a directory for an embedded drive.
    pub address: String,
    /// The address was a mount point when the device was last seen there: an empty directory that
    /// is none is then a drive that is not mounted, not an empty drive.
    pub mount_point: bool,
}

/// Every device of a cluster. Changed only as a whole, by compare-and-set on its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The cluster this layout belongs to.
    pub cluster: ClusterId,
    /// Grows by one with each change.
    pub epoch: Epoch,
    /// The devices, ascending by id.
    pub devices: Vec<LayoutDevice>,
}

/// Why a layout is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Ids repeat or are not ascending.
    #[error("device {id:?} is listed twice or out of order")]
    Unordered {
        /// The offending device.
        id: DeviceId,
    },
    /// Too few failure domains to keep `m` losses survivable.
    #[error("{domains} failure domains cannot survive the loss of {tolerated}")]
    TooFewDomains {
        /// Distinct failure domains present.
        domains: usize,
        /// Losses that must be survivable.
        tolerated: usize,
    },
}

impl Layout {
    /// Checks the document on its own.
    ///
    /// # Errors
    /// [`LayoutError`] when ids repeat, or when fewer than `tolerated + 1` failure domains exist:
    /// then not even one data shard plus full parity can be placed apart.
    pub fn validate(&self, tolerated: usize) -> Result<(), LayoutError> {
        for pair in self.devices.windows(2) {
            if pair[0].id >= pair[1].id {
                return Err(LayoutError::Unordered { id: pair[1].id });
            }
        }
        let domains: BTreeSet<_> = self.devices.iter().map(|d| &d.failure_domain).collect();
        if domains.len() <= tolerated {
            return Err(LayoutError::TooFewDomains { domains: domains.len(), tolerated });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(domains: &[&str]) -> Layout {
        let device = |(id, domain): (usize, &&str)| LayoutDevice {
            id: DeviceId(u32::try_from(id).expect("few devices")),
            failure_domain: (*domain).to_owned(),
            address: String::new(),
            mount_point: false,
        };
        Layout {
            cluster: ClusterId([0; 16]),
            epoch: Epoch(1),
            devices: domains.iter().enumerate().map(device).collect(),
        }
    }

    #[test]
    fn two_losses_need_three_domains() {
        assert_eq!(layout(&["a", "b", "c"]).validate(2), Ok(()));
        assert_eq!(
            layout(&["a", "b", "b"]).validate(2),
            Err(LayoutError::TooFewDomains { domains: 2, tolerated: 2 })
        );
    }

    #[test]
    fn repeated_ids_are_refused() {
        let mut twice = layout(&["a", "b", "c"]);
        twice.devices[1].id = DeviceId(0);
        assert_eq!(twice.validate(2), Err(LayoutError::Unordered { id: DeviceId(0) }));
    }
}
