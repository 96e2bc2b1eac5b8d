//! Metrics of one drive, labelled with its device id.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use node_proto::{DeviceHealth, DeviceId};

pub(crate) struct Telemetry {
    pub(crate) written_bytes: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) syncs: Counter,
    pub(crate) group_writes: Histogram,
    pub(crate) sync_seconds: Histogram,
    pub(crate) damaged: Counter,
    pub(crate) compaction_bytes: Counter,
    pub(crate) scrub_bytes: Counter,
    free_bytes: Gauge,
    used_shards: Gauge,
    state: Gauge,
}

impl Telemetry {
    pub(crate) fn new(device: DeviceId) -> Self {
        let id = device.0.to_string();
        Self {
            written_bytes: counter!("datamesh_drive_written_bytes_total", "device" => id.clone()),
            read_bytes: counter!("datamesh_drive_read_bytes_total", "device" => id.clone()),
            syncs: counter!("datamesh_drive_syncs_total", "device" => id.clone()),
            group_writes: histogram!("datamesh_drive_group_writes", "device" => id.clone()),
            sync_seconds: histogram!("datamesh_drive_sync_seconds", "device" => id.clone()),
            damaged: counter!("datamesh_drive_damaged_records_total", "device" => id.clone()),
            compaction_bytes: counter!(
                "datamesh_drive_compaction_bytes_total", "device" => id.clone()
            ),
            scrub_bytes: counter!("datamesh_drive_scrub_bytes_total", "device" => id.clone()),
            free_bytes: gauge!("datamesh_drive_free_bytes", "device" => id.clone()),
            used_shards: gauge!("datamesh_drive_shards", "device" => id.clone()),
            state: gauge!("datamesh_drive_state", "device" => id),
        }
    }

    /// State is 0 online, 1 full, 2 offline.
    pub(crate) fn set_state(&self, health: DeviceHealth) {
        self.state.set(match health {
            DeviceHealth::Online => 0.0,
            DeviceHealth::Full => 1.0,
            DeviceHealth::Offline => 2.0,
        });
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 53 bits")]
    pub(crate) fn set_levels(&self, free_bytes: u64, shards: u64) {
        self.free_bytes.set(free_bytes as f64);
        self.used_shards.set(shards as f64);
    }
}
