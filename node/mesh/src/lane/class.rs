//! The lanes of one class to one peer: opened when needed, replaced when lost.
//!
//! Invariants:
//! - at most one lane is being opened at a time, and after a failure not before a pause that grows
//!   with each further one, to a bound;
//! - while there is a pause and no lane, requests fail at once and say why;
//! - a stalled lane takes the connection with it: every lane of the class ends.

use std::{sync::Arc, time::Duration};

use node_proto::PeerKey;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    Answer, Call, CallError, Telemetry,
    client::{Driver, Lane, LaneEnd, drive},
};
use crate::stream::{LaneClass, OpenLanes};

/// First pause after a failed attempt. Chosen.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// Longest pause between attempts. Chosen: a peer that is back is found within seconds.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Longest time to open a stream, over whatever bound its opener has. Chosen.
const OPEN_WAIT: Duration = Duration::from_secs(15);

/// Most lanes of a class. Chosen: one lane's requests share the windows of one stream; a second one
/// keeps the connection busy while the first waits.
fn lanes_max(class: LaneClass) -> usize {
    match class {
        LaneClass::Control => 1,
        LaneClass::Upload | LaneClass::Download => 2,
    }
}

/// What the lanes of all classes and peers share.
#[derive(Clone)]
pub(crate) struct ClassSettings {
    pub(crate) opener: Arc<dyn OpenLanes>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// The lanes of one class to one peer.
pub(crate) struct ClassLanes {
    peer: PeerKey,
    class: LaneClass,
    settings: ClassSettings,
    state: Mutex<State>,
    /// Changes when an attempt to open a lane has ended.
    attempts: watch::Sender<u64>,
}

struct State {
    lanes: Vec<Arc<Lane>>,
    is_opening: bool,
    failures: u32,
    retry_at: Instant,
    last_error: Option<CallError>,
    /// Bytes of lanes that ended.
    past_bytes: (u64, u64),
    /// The peer is no longer wanted.
    is_closed: bool,
}

impl ClassLanes {
    pub(crate) fn new(peer: PeerKey, class: LaneClass, settings: ClassSettings) -> Arc<Self> {
        let state = State {
            lanes: Vec::new(),
            is_opening: false,
            failures: 0,
            retry_at: Instant::now(),
            last_error: None,
            past_bytes: (0, 0),
            is_closed: false,
        };
        let attempts = watch::Sender::new(0);
        Arc::new(Self { peer, class, settings, state: Mutex::new(state), attempts })
    }

    /// Makes a request on the least loaded lane. Cancel-safe.
    pub(crate) async fn call(self: &Arc<Self>, call: &Call) -> Result<Answer, CallError> {
        let lane = timeout_at(call.deadline, self.lane()).await;
        lane.map_err(|_| CallError::TimedOut { peer: self.peer })??.call(call).await
    }

    async fn lane(self: &Arc<Self>) -> Result<Arc<Lane>, CallError> {
        let mut attempts = self.attempts.subscribe();
        loop {
            attempts.mark_unchanged();
            if let Some(lane) = self.choose()? {
                return Ok(lane);
            }
            // The sender lives as long as this.
            let _ = attempts.changed().await;
        }
    }

    /// The least loaded lane, if there is one; opens another when all are in use.
    fn choose(self: &Arc<Self>) -> Result<Option<Arc<Lane>>, CallError> {
        let mut state = self.state.lock();
        if state.is_closed || self.settings.stop.is_cancelled() {
            return Err(self.closed_reason());
        }
        let least = state.lanes.iter().filter(|lane| !lane.has_ended()).min_by_key(|l| l.load());
        let least = least.cloned();
        let is_enough = least.as_ref().is_some_and(|lane| lane.load() == 0)
            || state.lanes.len() >= lanes_max(self.class);
        if is_enough || state.is_opening {
            return Ok(least);
        }
        if state.retry_at > Instant::now() {
            return match (least, &state.last_error) {
                (Some(lane), _) => Ok(Some(lane)),
                (None, Some(error)) => Err(error.clone()),
                (None, None) => Ok(None),
            };
        }
        state.is_opening = true;
        let this = Arc::clone(self);
        self.settings.tasks.spawn(async move { this.open_and_drive().await });
        Ok(least)
    }

    async fn open_and_drive(self: Arc<Self>) {
        let stop = self.settings.stop.clone();
        let opened = tokio::select! {
            opened = tokio::time::timeout(OPEN_WAIT, self.open()) => {
                opened.unwrap_or(Err(CallError::TimedOut { peer: self.peer }))
            }
            () = stop.cancelled() => Err(CallError::Closed),
        };
        let Some(driver) = self.opened(opened) else { return };
        let lane = driver.lane();
        Telemetry.lanes(self.class, 1.0);
        let end = tokio::select! {
            end = drive(driver) => end,
            () = stop.cancelled() => LaneEnd::Broken,
            () = self.closed() => LaneEnd::Broken,
        };
        lane.end(&self.closed_reason());
        Telemetry.lanes(self.class, -1.0);
        self.ended(&lane, end);
    }

    async fn open(&self) -> Result<Driver, CallError> {
        let opened = self.settings.opener.open(self.peer, self.class).await;
        let stream = opened.map_err(|error| CallError::from_open(self.peer, &error))?;
        let greeted = Driver::greet(stream, self.peer, self.class).await;
        greeted.map_err(|error| {
            let reason = error.to_string();
            CallError::Unreachable { peer: self.peer, reason }
        })
    }

    /// Takes note of an attempt to open a lane.
    fn opened(&self, opened: Result<Driver, CallError>) -> Option<Driver> {
        let driver = {
            let mut state = self.state.lock();
            state.is_opening = false;
            match opened {
                Ok(_) if state.is_closed => None,
                Ok(driver) => {
                    state.failures = 0;
                    state.last_error = None;
                    state.lanes.push(driver.lane());
                    Some(driver)
                }
                Err(error) => {
                    debug!(peer = %self.peer, class = self.class.name(), %error, "no lane");
                    state.failures = state.failures.saturating_add(1);
                    state.retry_at = Instant::now() + pause(state.failures, self.peer);
                    state.last_error = Some(error);
                    None
                }
            }
        };
        self.attempts.send_modify(|attempts| *attempts += 1);
        driver
    }

    fn ended(&self, lane: &Arc<Lane>, end: LaneEnd) {
        let (sent, received) = lane.progress().bytes();
        {
            let mut state = self.state.lock();
            state.lanes.retain(|other| !Arc::ptr_eq(other, lane));
            state.past_bytes.0 += sent;
            state.past_bytes.1 += received;
        }
        if end == LaneEnd::Stalled {
            warn!(peer = %self.peer, class = self.class.name(), "connection stalled; given up");
            Telemetry.reset(self.class);
            self.settings.opener.abandon(self.peer, self.class);
        }
    }

    /// Why nothing more is asked here.
    fn closed_reason(&self) -> CallError {
        if self.settings.stop.is_cancelled() {
            return CallError::Closed;
        }
        CallError::Unreachable { peer: self.peer, reason: "it has left the layout".to_owned() }
    }

    /// Ends when [`Self::close`] was called.
    async fn closed(&self) {
        let mut attempts = self.attempts.subscribe();
        while !self.state.lock().is_closed {
            // The sender lives as long as this.
            let _ = attempts.changed().await;
        }
    }

    /// Ends every lane and opens no other.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    /// Lets the next request try at once: something about the peer has changed.
    pub(crate) fn retry_now(&self) {
        self.state.lock().retry_at = Instant::now();
    }

    /// Lanes open, requests in flight, bytes sent and received.
    pub(crate) fn figures(&self) -> (usize, usize, u64, u64) {
        let state = self.state.lock();
        let (mut sent, mut received) = state.past_bytes;
        let mut in_flight = 0;
        for lane in &state.lanes {
            let bytes = lane.progress().bytes();
            sent += bytes.0;
            received += bytes.1;
            in_flight += lane.load() as usize;
        }
        (state.lanes.len(), in_flight, sent, received)
    }

    /// What went wrong last, until something goes right.
    pub(crate) fn last_error(&self) -> Option<CallError> {
        self.state.lock().last_error.clone()
    }
}

/// The pause after so many failures in a row. Spread over a quarter by the peer's key, so that a
/// gateway does not dial all of its peers at once.
fn pause(failures: u32, peer: PeerKey) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let pause = doubled.min(PAUSE_MAX);
    let spread = (u32::from(peer.0[0]) + failures * 97) % 256;
    pause - pause * spread / 1024
}
