//! `/devices`.

use std::sync::Arc;

use axum::{Json, extract};
use gateway_object::DeviceReport;
use node_proto::DeviceHealth;

use super::wire;
use crate::server::State;

fn device(report: DeviceReport) -> wire::Device {
    let health = match report.status.health {
        DeviceHealth::Online => "online",
        DeviceHealth::Full => "full",
        DeviceHealth::Offline => "offline",
    };
    wire::Device {
        device: report.status.device.0,
        health: health.to_owned(),
        reason: report.status.reason,
        address: report.address,
        failure_domain: report.failure_domain,
        capacity_bytes: report.status.capacity_bytes,
        free_bytes: report.status.free_bytes,
        shard_count: report.status.shard_count,
        rebuilding: report.rebuilding,
    }
}

pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
) -> Json<wire::DeviceList> {
    let devices = state.objects.devices().into_iter().map(device).collect();
    Json(wire::DeviceList { devices })
}
