//! `/scrub`.

use std::sync::Arc;

use axum::{Json, extract, http::StatusCode};

use super::wire;
use crate::server::State;

fn progress(state: &State) -> wire::Scrub {
    let device =
        |(device, progress): (node_proto::DeviceId, node_proto::ScrubProgress)| wire::DeviceScrub {
            device: device.0,
            running: progress.running,
            verified_shards: progress.verified_shards,
            verified_bytes: progress.verified_bytes,
            damaged_shards: progress.damaged_shards,
            completed_passes: progress.completed_passes,
        };
    wire::Scrub { devices: state.objects.scrub_status().devices.into_iter().map(device).collect() }
}

pub(crate) async fn status(extract::State(state): extract::State<Arc<State>>) -> Json<wire::Scrub> {
    Json(progress(&state))
}

pub(crate) async fn start(
    extract::State(state): extract::State<Arc<State>>,
) -> (StatusCode, Json<wire::Scrub>) {
    state.objects.start_scrub();
    tracing::info!("scrub started");
    (StatusCode::ACCEPTED, Json(progress(&state)))
}
