//! `/lifecycle`.

use std::sync::Arc;

use axum::{Json, extract};

use super::{rfc3339, wire};
use crate::server::State;

pub(crate) async fn status(
    extract::State(state): extract::State<Arc<State>>,
) -> Json<wire::Lifecycle> {
    let status = state.objects.lifecycle_status();
    let pass = |pass: gateway_object::LifecyclePass| wire::LifecyclePass {
        bucket: pass.bucket,
        started: rfc3339(pass.started),
        examined: pass.examined,
    };
    Json(wire::Lifecycle {
        day_seconds: status.day.as_secs(),
        current: status.current.map(pass),
        last_round: status.last_round.map(rfc3339),
        passes: status.passes,
        examined: status.examined,
        expired: status.expired,
        older_removed: status.older_removed,
        markers_removed: status.markers_removed,
        uploads_aborted: status.uploads_aborted,
        locked: status.locked,
        errors: status.errors,
    })
}
