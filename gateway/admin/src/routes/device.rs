//! `/devices`.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract};
use gateway_layout::DeviceUsage;
use gateway_object::{BreakerState, DeviceReport};
use node_proto::{DeviceHealth, DeviceStatus, Layout, NodeId};

use super::wire;
use crate::server::State;

/// As documents call it.
pub(crate) fn health(health: DeviceHealth) -> &'static str {
    match health {
        DeviceHealth::Online => "online",
        DeviceHealth::Full => "full",
        DeviceHealth::Offline => "offline",
    }
}

/// How full the devices are, for forecasts. One that is away tells nothing of its space.
pub(crate) fn usage(state: &State) -> Vec<DeviceUsage> {
    state.objects.devices().iter().map(|report| used(&report.status)).collect()
}

/// What is not free is taken by shards or kept in reserve, which only the drive can tell apart; one
/// without shards holds nothing.
fn used(status: &DeviceStatus) -> DeviceUsage {
    let taken = status.capacity_bytes.saturating_sub(status.free_bytes);
    DeviceUsage {
        device: status.device,
        capacity_bytes: status.capacity_bytes,
        used_bytes: if status.shard_count == 0 { 0 } else { taken },
        is_up: status.health != DeviceHealth::Offline,
    }
}

/// What a node is called; the gateway's own drives have no name before something is said of them.
pub(crate) fn node_name(layout: &Layout, node: NodeId) -> String {
    match layout.node(node) {
        Some(known) => known.name.clone(),
        None if node == NodeId::LOCAL => "gateway".to_owned(),
        None => format!("node {}", node.0),
    }
}

fn breaker(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half-open",
    }
}

/// Microseconds, as documents carry short times.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn device(report: DeviceReport, layout: &Layout) -> wire::Device {
    wire::Device {
        device: report.status.device.0,
        health: health(report.status.health).to_owned(),
        reason: report.status.reason,
        address: report.address,
        node: report.node.0,
        node_name: node_name(layout, report.node),
        failure_domain: report.failure_domain,
        draining: report.draining,
        capacity_bytes: report.status.capacity_bytes,
        free_bytes: report.status.free_bytes,
        shard_count: report.status.shard_count,
        breaker: breaker(report.breaker).to_owned(),
        get_p95_us: report.get_p95.map(micros),
        put_p95_us: report.put_p95.map(micros),
        requests_in_flight: report.requests_in_flight,
        rebuilding: report.rebuilding,
    }
}

pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
) -> Json<wire::DeviceList> {
    let layout = state.cluster.layout();
    let devices = state.objects.devices().into_iter().map(|report| device(report, &layout));
    Json(wire::DeviceList { devices: devices.collect() })
}

#[cfg(test)]
mod tests {
    use node_proto::{Continuity, DeviceId};

    use super::*;

    #[test]
    fn a_drive_without_shards_holds_nothing() {
        let mut status = DeviceStatus {
            device: DeviceId(3),
            uuid: None,
            open_count: 1,
            continuity: Continuity::default(),
            health: DeviceHealth::Full,
            reason: None,
            capacity_bytes: 100,
            free_bytes: 90,
            shard_count: 0,
        };
        assert_eq!((used(&status).used_bytes, used(&status).is_up), (0, true));
        status.shard_count = 1;
        status.health = DeviceHealth::Offline;
        assert_eq!((used(&status).used_bytes, used(&status).is_up), (10, false));
    }
}
