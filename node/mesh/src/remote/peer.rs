//! One peer: its lanes, and what it last said about itself.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use node_proto::{
    DeviceId, Epoch, PeerKey,
    wire::{DamagedMark, DeviceReport, PeerStatus, Priority, Request, Response},
};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{DEADLINE, device::Mailbox, heartbeat};
use crate::{
    lane::{Answer, Call, CallError, ClassLanes, ClassSettings, Telemetry},
    stream::LaneClass,
};

/// Age of the last answer from which on a peer counts as gone. Chosen: three heartbeats and a half.
const FRESH_FOR: Duration = Duration::from_millis(3500);

/// Weight of the newest round trip in their average: one in this many. Chosen.
const AVERAGE_OVER: u32 = 8;

/// One peer.
pub(crate) struct Peer {
    key: PeerKey,
    classes: [Arc<ClassLanes>; 3],
    view: Mutex<View>,
    mailboxes: Mutex<HashMap<DeviceId, Arc<Mailbox>>>,
    is_watched: AtomicBool,
    settings: ClassSettings,
    pub(super) stop: CancellationToken,
}

/// What a peer last said.
#[derive(Default)]
struct View {
    answered_at: Option<Instant>,
    epoch: Option<Epoch>,
    version: Option<String>,
    devices: HashMap<DeviceId, DeviceReport>,
    round_trip: Option<Duration>,
    last_error: Option<String>,
    damaged_seen: Option<DamagedMark>,
}

/// What is known of a peer, for reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerFigures {
    /// Average time between a heartbeat and its answer.
    pub(crate) round_trip: Option<Duration>,
    /// Lanes open to it.
    pub(crate) lanes: usize,
    /// Requests that wait for it.
    pub(crate) requests_in_flight: usize,
    /// Bytes sent to it on those lanes, past ones included.
    pub(crate) sent_bytes: u64,
    /// Bytes received on them.
    pub(crate) received_bytes: u64,
    /// The layout in force there.
    pub(crate) epoch: Option<Epoch>,
    /// Its program's version.
    pub(crate) version: Option<String>,
    /// What went wrong last.
    pub(crate) last_error: Option<String>,
}

impl Peer {
    pub(super) fn new(key: PeerKey, settings: &ClassSettings) -> Arc<Self> {
        let class = |class| ClassLanes::new(key, class, settings.clone());
        Arc::new(Self {
            key,
            classes: LaneClass::ALL.map(class),
            view: Mutex::default(),
            mailboxes: Mutex::default(),
            is_watched: AtomicBool::new(false),
            settings: settings.clone(),
            stop: settings.stop.child_token(),
        })
    }

    pub(crate) fn key(&self) -> PeerKey {
        self.key
    }

    /// Asks for the peer's state every second from now on.
    pub(crate) fn watch(self: &Arc<Self>) {
        if !self.is_watched.swap(true, SeqCst) {
            self.settings.tasks.spawn(heartbeat::run(Arc::clone(self)));
        }
    }

    /// Makes a request, and once more when its lane was lost.
    pub(crate) async fn call(&self, class: LaneClass, call: &Call) -> Result<Answer, CallError> {
        match self.call_once(class, call).await {
            Err(CallError::Lost { .. }) => self.call_once(class, call).await,
            result => result,
        }
    }

    /// Makes a request that must not be repeated.
    pub(crate) async fn call_once(
        &self,
        class: LaneClass,
        call: &Call,
    ) -> Result<Answer, CallError> {
        let peer = self.key;
        let result = match self.classes[class.index()].call(call).await {
            Ok(Answer { response: Response::TimedOut, .. }) => Err(CallError::TimedOut { peer }),
            result => result,
        };
        Telemetry.asked(call.request.name(), &result);
        result
    }

    /// Makes a request without payloads. `Busy` and refusals become errors.
    pub(crate) async fn ask(
        &self,
        request: Request,
        priority: Priority,
        within: Duration,
    ) -> Result<Response, CallError> {
        let call = Call {
            request,
            payload: bytes::Bytes::new(),
            priority,
            deadline: Instant::now() + within,
            answer_len_max: 0,
        };
        let peer = self.key;
        match self.call(LaneClass::Control, &call).await?.response {
            Response::Busy => Err(CallError::Busy { peer }),
            Response::Refused(refusal) => Err(CallError::Refused { peer, refusal }),
            response => Ok(response),
        }
    }

    /// As [`Self::ask`], at normal priority and with the usual deadline.
    pub(crate) async fn ask_normally(&self, request: Request) -> Result<Response, CallError> {
        self.ask(request, Priority::Normal, DEADLINE).await
    }

    /// Where damaged shards of a device are put, and wishes for it are left.
    pub(super) fn mailbox(&self, device: DeviceId) -> Arc<Mailbox> {
        Arc::clone(self.mailboxes.lock().entry(device).or_default())
    }

    pub(super) fn mailboxes(&self) -> Vec<(DeviceId, Arc<Mailbox>)> {
        self.mailboxes.lock().iter().map(|(id, mailbox)| (*id, Arc::clone(mailbox))).collect()
    }

    pub(super) fn damaged_seen(&self) -> Option<DamagedMark> {
        self.view.lock().damaged_seen
    }

    /// Takes note of an answer to a heartbeat.
    pub(super) fn answered(&self, status: PeerStatus, round_trip: Duration) {
        Telemetry.round_trip(round_trip);
        for damaged in &status.damaged {
            self.mailbox(damaged.device).put_damaged(damaged.key);
        }
        let mut view = self.view.lock();
        view.damaged_seen = Some(status.damaged_mark);
        view.answered_at = Some(Instant::now());
        view.epoch = Some(status.epoch);
        view.version = Some(status.version);
        view.last_error = None;
        let reports = status.devices.into_iter();
        view.devices = reports.map(|report| (report.status.device, report)).collect();
        view.round_trip = Some(match view.round_trip {
            None => round_trip,
            Some(average) => {
                average * (AVERAGE_OVER - 1) / AVERAGE_OVER + round_trip / AVERAGE_OVER
            }
        });
    }

    /// Takes note of a heartbeat without answer.
    pub(super) fn failed(&self, error: &CallError) {
        self.view.lock().last_error = Some(error.without_peer());
    }

    /// What the peer last said of a device, and why that is not how it is now, if it is not.
    pub(super) fn device(&self, device: DeviceId) -> (Option<DeviceReport>, Option<String>) {
        let view = self.view.lock();
        let report = view.devices.get(&device).cloned();
        let stale = match view.answered_at {
            _ if self.stop.is_cancelled() => Some("its node is not in the layout".to_owned()),
            Some(at) if at.elapsed() <= FRESH_FOR => {
                report.is_none().then(|| "its node does not serve it".to_owned())
            }
            Some(at) => {
                let ago = format!("its node has not answered for {} s", at.elapsed().as_secs());
                Some(with_reason(ago, view.last_error.as_deref()))
            }
            None => {
                let never = "its node has not answered yet".to_owned();
                Some(with_reason(never, view.last_error.as_deref()))
            }
        };
        (report, stale)
    }

    pub(crate) fn figures(&self) -> PeerFigures {
        let mut figures = PeerFigures::default();
        for class in &self.classes {
            let (lanes, in_flight, sent, received) = class.figures();
            figures.lanes += lanes;
            figures.requests_in_flight += in_flight;
            figures.sent_bytes += sent;
            figures.received_bytes += received;
            let error = class.last_error().map(|error| error.without_peer());
            figures.last_error = figures.last_error.or(error);
        }
        let view = self.view.lock();
        figures.round_trip = view.round_trip;
        figures.epoch = view.epoch;
        figures.version.clone_from(&view.version);
        figures.last_error = figures.last_error.or_else(|| view.last_error.clone());
        figures
    }

    /// Lets the next requests dial at once: something about the peer has changed.
    pub(crate) fn retry_now(&self) {
        self.classes.iter().for_each(|class| class.retry_now());
    }

    /// Ends every lane; requests fail from now on.
    pub(super) fn close(&self) {
        self.stop.cancel();
        self.classes.iter().for_each(|class| class.close());
    }
}

fn with_reason(text: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{text}: {reason}"),
        None => text,
    }
}
