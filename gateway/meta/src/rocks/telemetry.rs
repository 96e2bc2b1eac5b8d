//! What the engine tells about itself. Names are part of the operator's interface.

use std::time::Duration;

use crate::{CommitError, CommitOutcome};

const COMMITS: &str = "datamesh_meta_commits_total";
const COMMIT_SECONDS: &str = "datamesh_meta_commit_seconds";
const GROUP_BATCHES: &str = "datamesh_meta_group_batches";
const QUEUE_DEPTH: &str = "datamesh_meta_queue_depth";
const POISONED: &str = "datamesh_meta_poisoned";

/// Says what the metrics mean, and that the store is sound.
pub(super) fn opened() {
    metrics::describe_counter!(COMMITS, "Metadata commits answered, by outcome.");
    metrics::describe_histogram!(
        COMMIT_SECONDS,
        metrics::Unit::Seconds,
        "Time from the submission of a metadata commit to its answer."
    );
    metrics::describe_histogram!(GROUP_BATCHES, "Metadata commits that shared one synced write.");
    metrics::describe_gauge!(QUEUE_DEPTH, "Metadata commits that wait for the next write.");
    metrics::describe_gauge!(
        POISONED,
        "1 while the metadata store takes no commits because a write failed."
    );
    metrics::gauge!(POISONED).set(0.0);
    metrics::gauge!(QUEUE_DEPTH).set(0.0);
}

pub(super) fn poisoned() {
    metrics::gauge!(POISONED).set(1.0);
}

/// A group of `batches` was taken, and `waiting` others were left.
pub(super) fn gathered(batches: usize, waiting: usize) {
    metrics::histogram!(GROUP_BATCHES).record(batches as f64);
    metrics::gauge!(QUEUE_DEPTH).set(waiting as f64);
}

/// A commit was refused at the door, or judged.
pub(super) fn answered(result: &Result<CommitOutcome, CommitError>) {
    metrics::counter!(COMMITS, "outcome" => label(result)).increment(1);
}

/// How long a judged commit took.
pub(super) fn took(duration: Duration) {
    metrics::histogram!(COMMIT_SECONDS).record(duration.as_secs_f64());
}

fn label(result: &Result<CommitOutcome, CommitError>) -> &'static str {
    match result {
        Ok(CommitOutcome::Applied) => "applied",
        Ok(CommitOutcome::GuardFailed { .. }) => "guard_failed",
        Err(CommitError::Indeterminate { .. }) => "indeterminate",
        Err(CommitError::Busy) => "busy",
        Err(CommitError::Full) => "full",
        Err(CommitError::Malformed { .. }) => "malformed",
        Err(CommitError::Unavailable { .. }) => "unavailable",
    }
}
