//! Asks a peer once a second how it and its devices are.

use std::{sync::Arc, time::Duration};

use node_proto::wire::{Priority, Request, Response};
use tokio::time::Instant;

use super::peer::Peer;
use crate::lane::CallError;

/// Time between two heartbeats. Chosen.
const EVERY: Duration = Duration::from_secs(1);

/// Longest wait for an answer. Chosen: shorter than what makes a peer count as gone.
const WAIT: Duration = Duration::from_secs(3);

/// Most damaged shards asked for at a time. Chosen.
const DAMAGED_MAX: usize = 1024;

/// Asks until the peer is let go of.
pub(super) async fn run(peer: Arc<Peer>) {
    let stop = peer.stop.clone();
    let beating = async {
        loop {
            let started = Instant::now();
            match beat(&peer).await {
                Ok(()) => start_scrubs(&peer).await,
                Err(error) => peer.failed(&error),
            }
            tokio::time::sleep_until(started + EVERY).await;
        }
    };
    tokio::select! {
        () = beating => {}
        () = stop.cancelled() => {}
    }
}

async fn beat(peer: &Peer) -> Result<(), CallError> {
    let room = peer.mailboxes().iter().map(|(_, mailbox)| mailbox.room()).min();
    let damaged_max = room.unwrap_or(0).min(DAMAGED_MAX);
    let request = Request::Status {
        damaged_seen: peer.damaged_seen(),
        damaged_max: u32::try_from(damaged_max).expect("at most a thousand"),
    };
    let started = Instant::now();
    match peer.ask(request, Priority::Urgent, WAIT).await? {
        Response::Status(status) => {
            peer.answered(status, started.elapsed());
            Ok(())
        }
        response => Err(CallError::senseless(peer.key(), &response)),
    }
}

/// Passes on the scrubs that were asked for since the last heartbeat.
async fn start_scrubs(peer: &Peer) {
    for (device, mailbox) in peer.mailboxes() {
        if !mailbox.wants_scrub() {
            continue;
        }
        // Asked for again with the next heartbeat when it fails.
        if let Ok(Response::Done) =
            peer.ask(Request::StartScrub { device }, Priority::Normal, WAIT).await
        {
            mailbox.scrub_started();
        }
    }
}
