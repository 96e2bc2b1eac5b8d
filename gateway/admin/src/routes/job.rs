//! `/jobs`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{self, Path, rejection::PathRejection},
};
use gateway_object::{JobError, JobKind, JobReport, JobState};
use node_proto::Layout;

use super::{device::node_name, rfc3339, wire};
use crate::{error::ApiError, server::State};

fn job(report: JobReport, layout: &Layout) -> wire::Job {
    let name = |id| node_name(layout, id);
    let what = match report.kind {
        JobKind::Drain(node) => format!("empties {}", name(node)),
        JobKind::Departed => "recreates what was on nodes that left".to_owned(),
        JobKind::Respread => "moves shards apart that share a zone".to_owned(),
        JobKind::Rebalance => "moves shards from fuller to emptier drives".to_owned(),
    };
    let (state, reason) = match report.state {
        JobState::Running => ("running", None),
        JobState::Paused => ("paused", None),
        JobState::Blocked { reason } => ("blocked", Some(reason)),
        JobState::Done => ("done", None),
        JobState::Cancelled => ("cancelled", None),
    };
    wire::Job {
        id: report.id,
        what,
        state: state.to_owned(),
        reason,
        started: rfc3339(report.started),
        ended: report.ended.map(rfc3339),
        moved_shards: report.moved_shards,
        moved_bytes: report.moved_bytes,
        remaining_bytes: report.remaining_bytes,
        bytes_per_second: report.bytes_per_second,
        eta_seconds: report.eta.map(|eta| eta.as_secs()),
    }
}

pub(crate) async fn list(extract::State(state): extract::State<Arc<State>>) -> Json<wire::JobList> {
    let layout = state.cluster.layout();
    let jobs = state.objects.jobs().into_iter().map(|report| job(report, &layout)).collect();
    Json(wire::JobList { jobs })
}

pub(crate) async fn pause(
    extract::State(state): extract::State<Arc<State>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<wire::Job>, ApiError> {
    let Path(id) = id?;
    state.objects.pause_job(&id).await?;
    tracing::info!(job = %id, "job paused");
    now(&state, &id)
}

pub(crate) async fn resume(
    extract::State(state): extract::State<Arc<State>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<wire::Job>, ApiError> {
    let Path(id) = id?;
    state.objects.resume_job(&id).await?;
    tracing::info!(job = %id, "job resumed");
    now(&state, &id)
}

fn now(state: &State, id: &str) -> Result<Json<wire::Job>, ApiError> {
    let found = state.objects.jobs().into_iter().find(|report| report.id == id);
    let report = found.ok_or_else(|| JobError::NoSuchJob { id: id.to_owned() })?;
    Ok(Json(job(report, &state.cluster.layout())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use node_proto::{ClusterId, LayoutNode, NodeId, NodeState, UnixMillis};

    use super::*;

    #[test]
    fn jobs_name_their_node_and_why_they_are_blocked() {
        let mut layout = Layout::local(ClusterId([1; 16]), Vec::new());
        layout.nodes.push(LayoutNode {
            id: NodeId(3),
            name: "bravo".to_owned(),
            peer: None,
            zone: "z".to_owned(),
            state: NodeState::Draining,
        });
        let report = |node: u32| JobReport {
            id: format!("drain:{node}"),
            kind: JobKind::Drain(NodeId(node)),
            state: JobState::Blocked { reason: "no space".to_owned() },
            started: UnixMillis(0),
            ended: None,
            moved_bytes: 1,
            moved_shards: 2,
            total_bytes_at_start: 4,
            remaining_bytes: 3,
            bytes_per_second: 1,
            eta: Some(Duration::from_secs(3)),
        };
        let shown = job(report(3), &layout);
        assert_eq!((shown.what.as_str(), shown.state.as_str()), ("empties bravo", "blocked"));
        assert_eq!((shown.reason.as_deref(), shown.eta_seconds), (Some("no space"), Some(3)));
        assert_eq!(job(report(4), &layout).what, "empties node 4");
    }
}
