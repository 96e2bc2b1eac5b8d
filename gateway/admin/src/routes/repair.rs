//! `/repair`.

use std::sync::Arc;

use axum::{Json, extract};

use super::wire;
use crate::{error::ApiError, server::State};

pub(crate) async fn status(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::Repair>, ApiError> {
    let status = state.objects.repair_status().await?;
    let rebuild = |(device, done): (node_proto::DeviceId, u16)| wire::Rebuild {
        device: device.0,
        done_per_mille: done,
    };
    let offline_devices: Vec<u32> =
        status.offline_devices.into_iter().map(|device| device.0).collect();
    let rebuilding: Vec<_> = status.rebuilding.into_iter().map(rebuild).collect();
    Ok(Json(wire::Repair {
        idle: status.queued_stripes == 0 && rebuilding.is_empty() && offline_devices.is_empty(),
        queued_stripes: status.queued_stripes,
        least_margin: status.least_margin,
        repaired_shards: status.repaired_shards,
        failed_attempts: status.failed_attempts,
        rebuilding,
        offline_devices,
        reclaim_queue: status.reclaim_queue,
    }))
}
