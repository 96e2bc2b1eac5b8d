//! Commits, seen to their end.
//!
//! Invariants:
//! - each commit has a transaction id of its own;
//! - a body counts as in flight until the outcome of its commit is known, also when the request
//!   that asked for the commit was dropped meanwhile: a commit that lands late never names shards
//!   that were taken for garbage.
//!
//! *Cancellation:* a commit with a body goes on without its request. *Limits:* as many at once as
//! requests are let in, and those abandoned within the time of a commit.

use std::sync::Arc;

use gateway_meta::{Batch, CommitError, CommitOutcome, Guard, MetaStore, Op, TxIds};
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::JoinSet};

use crate::{Fault, data::InFlight};

/// Hands batches to the metadata store.
pub(crate) struct Commits {
    meta: Arc<dyn MetaStore>,
    txids: Arc<TxIds>,
    under_way: Mutex<JoinSet<()>>,
}

/// An outcome, and the body's protection if the outcome is known.
type Answer = (Result<CommitOutcome, CommitError>, Option<InFlight>);

impl Commits {
    pub(crate) fn new(meta: Arc<dyn MetaStore>, txids: Arc<TxIds>) -> Self {
        Self { meta, txids, under_way: Mutex::default() }
    }

    /// Commits what names no new body.
    pub(crate) async fn commit(
        &self,
        guards: Vec<Guard>,
        ops: Vec<Op>,
    ) -> Result<CommitOutcome, Fault> {
        let batch = Batch { txid: self.txids.next(), guards, ops };
        self.meta.commit(batch).await.map_err(commit_fault)
    }

    /// Commits what names a new body. `in_flight` is left for another attempt, unless the outcome is
    /// unknown.
    pub(crate) async fn commit_body(
        &self,
        guards: Vec<Guard>,
        ops: Vec<Op>,
        in_flight: &mut Option<InFlight>,
    ) -> Result<CommitOutcome, Fault> {
        let Some(protection) = in_flight.take() else {
            // The body has no bytes.
            return self.commit(guards, ops).await;
        };
        let batch = Batch { txid: self.txids.next(), guards, ops };
        let (answer, answered) = oneshot::channel();
        let task = see_to_its_end(Arc::clone(&self.meta), batch, protection, answer);
        {
            let mut under_way = self.under_way.lock();
            while under_way.try_join_next().is_some() {}
            under_way.spawn(task);
        }
        let Ok((outcome, protection)) = answered.await else {
            return Err(Fault::Indeterminate { reason: "the commit was abandoned".to_owned() });
        };
        *in_flight = protection;
        outcome.map_err(commit_fault)
    }

    /// Waits for all commits that were handed over.
    pub(crate) async fn drain(&self) {
        let mut under_way = std::mem::take(&mut *self.under_way.lock());
        while under_way.join_next().await.is_some() {}
    }
}

async fn see_to_its_end(
    meta: Arc<dyn MetaStore>,
    batch: Batch,
    in_flight: InFlight,
    answer: oneshot::Sender<Answer>,
) {
    let outcome = meta.commit(batch).await;
    let protection = match &outcome {
        Err(CommitError::Indeterminate { .. }) => {
            in_flight.keep();
            None
        }
        Ok(CommitOutcome::Applied | CommitOutcome::GuardFailed { .. }) | Err(_) => Some(in_flight),
    };
    // Without a receiver the protection ends here; the outcome is known.
    drop(answer.send((outcome, protection)));
}

fn commit_fault(error: CommitError) -> Fault {
    match error {
        CommitError::Indeterminate { reason } => Fault::Indeterminate { reason },
        CommitError::Busy => Fault::Busy,
        CommitError::Full => Fault::StorageFull,
        CommitError::Malformed { reason } => Fault::Corrupt { reason },
        CommitError::Unavailable { reason } => Fault::MetadataUnavailable { reason },
    }
}
