//! Metrics of the mesh.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::{Answer, CallError, Progress};
use crate::stream::LaneClass;
use node_proto::wire::Response;

/// Counts the bytes that a lane moves: whenever it is told to, and when it is dropped.
pub(crate) struct Meter<'a> {
    class: LaneClass,
    progress: &'a Progress,
    counted: (u64, u64),
}

impl<'a> Meter<'a> {
    pub(crate) fn new(class: LaneClass, progress: &'a Progress) -> Self {
        Self { class, progress, counted: (0, 0) }
    }

    pub(crate) fn count(&mut self) {
        let now = self.progress.bytes();
        let class = self.class.name();
        counter!("datamesh_mesh_bytes_total", "class" => class, "direction" => "sent")
            .increment(now.0 - self.counted.0);
        counter!("datamesh_mesh_bytes_total", "class" => class, "direction" => "received")
            .increment(now.1 - self.counted.1);
        self.counted = now;
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

/// Counts what lanes do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Telemetry;

impl Telemetry {
    /// A request of ours ended.
    pub(crate) fn asked(self, kind: &'static str, result: &Result<Answer, CallError>) {
        let outcome = match result {
            Ok(answer) => outcome(&answer.response),
            Err(CallError::TimedOut { .. }) => "timed_out",
            Err(CallError::Busy { .. }) => "busy",
            Err(CallError::Lost { .. }) => "lost",
            Err(_) => "unreachable",
        };
        counter!("datamesh_mesh_requests_total", "kind" => kind, "outcome" => outcome).increment(1);
    }

    /// A request of somebody else was answered.
    pub(crate) fn served(self, kind: &'static str, response: &Response) {
        let outcome = outcome(response);
        counter!("datamesh_mesh_served_total", "kind" => kind, "outcome" => outcome).increment(1);
    }

    /// A lane of ours began or ended.
    pub(crate) fn lanes(self, class: LaneClass, change: f64) {
        gauge!("datamesh_mesh_lanes", "class" => class.name()).increment(change);
    }

    /// A lane of ours was given up because nothing moved on it.
    pub(crate) fn reset(self, class: LaneClass) {
        counter!("datamesh_mesh_lane_resets_total", "class" => class.name()).increment(1);
    }

    pub(crate) fn round_trip(self, elapsed: Duration) {
        histogram!("datamesh_mesh_round_trip_seconds").record(elapsed.as_secs_f64());
    }
}

fn outcome(response: &Response) -> &'static str {
    match response {
        Response::Done
        | Response::Payload { .. }
        | Response::Entry(_)
        | Response::Entries(_)
        | Response::Status(_)
        | Response::Layout(_) => "ok",
        Response::Busy => "busy",
        Response::TimedOut => "timed_out",
        Response::Refused(_) => "refused",
        Response::PutFailed(_)
        | Response::GetFailed(_)
        | Response::DeleteFailed(_)
        | Response::ListFailed(_)
        | Response::CopyFailed(_)
        | Response::LayoutInvalid { .. }
        | Response::LayoutStale { .. }
        | Response::LayoutNotStored { .. } => "failed",
    }
}
