//! Metrics of connections. Described in docs/metrics.md.

use metrics::{counter, gauge};

/// A stream that a peer opened and that was reset because there was no room for it.
pub(crate) fn refused_stream(reason: &'static str) {
    counter!("datamesh_mesh_refused_streams_total", "reason" => reason).increment(1);
}

/// A connection that was closed because its peer is not admitted here.
pub(crate) fn refused_stranger() {
    counter!("datamesh_mesh_refused_strangers_total").increment(1);
}

/// A peer that was not reached.
pub(crate) fn dial_failed() {
    counter!("datamesh_mesh_dial_failures_total").increment(1);
}

/// A connection was made or went.
pub(crate) fn connection(class: &'static str, difference: f64) {
    gauge!("datamesh_mesh_connections", "class" => class).increment(difference);
}

/// A join that was answered.
pub(crate) fn joined(answer: &'static str) {
    counter!("datamesh_mesh_joins_total", "answer" => answer).increment(1);
}
