//! What each request does here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use node_proto::{
    ByteRange, CopyOrder, CopyShardError, DeviceId, DeviceStatus, GetShardError, PeerKey,
    PutShardError, ShardService, SignedCopyOrder, SignedLayout,
    wire::{
        DEVICES_MAX, DamagedMark, DeviceReport, PeerStatus, Priority, REASON_LEN_BYTES_MAX,
        Refusal, Request, Response,
    },
};
use tokio::time::Instant;

use super::{Serving, orders};
use crate::{
    host::LayoutRefused,
    lane::{Call, Reservation},
    stream::LaneClass,
};

/// Longest wait for the budget before `Busy` is answered. Chosen: about the time that a drive takes
/// to store a payload; a queue that lasts longer is better shown to who asks.
const BUDGET_WAIT: Duration = Duration::from_millis(100);

/// An answer on its way out.
pub(super) struct Reply {
    pub(super) response: Response,
    pub(super) payload: Bytes,
    pub(super) reservation: Option<Reservation>,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self { response, payload: Bytes::new(), reservation: None }
    }
}

/// A payload that came with a request. The reservation is kept as long as the bytes.
pub(super) struct Received {
    pub(super) payload: Bytes,
    pub(super) _reservation: Option<Reservation>,
}

/// Does what `peer`, who may, asks for.
pub(super) async fn answer(
    serving: &Serving,
    peer: PeerKey,
    request: Request,
    received: Received,
    deadline: Instant,
) -> Reply {
    let payload = received.payload.clone();
    match request {
        Request::Put { device, key, root } => match device_of(serving, device) {
            Ok(device) => put_result(device.put(key, root, payload).await).into(),
            Err(refused) => refused.into(),
        },
        Request::Replace { device, key, root } => match device_of(serving, device) {
            Ok(device) => put_result(device.replace(key, root, payload).await).into(),
            Err(refused) => refused.into(),
        },
        Request::Get { device, key, range } => match device_of(serving, device) {
            Ok(device) => get(serving, &*device, key, range).await,
            Err(refused) => refused.into(),
        },
        Request::Status { damaged_seen, damaged_max } => {
            status(serving, damaged_seen, damaged_max as usize).into()
        }
        Request::SetLayout { signature } => {
            set_layout(serving, SignedLayout::from_parts(payload, signature)).await.into()
        }
        Request::Copy { device, order } => copy(serving, device, order, deadline).await.into(),
        Request::Fetch { order } => fetch(serving, peer, &order).await,
        Request::Echo => Response::Done.into(),
        Request::Verify { .. }
        | Request::Delete { .. }
        | Request::List { .. }
        | Request::StartScrub { .. } => small(serving, request).await.into(),
    }
}

/// Requests that neither bring nor take a payload.
async fn small(serving: &Serving, request: Request) -> Response {
    let (Request::Verify { device, .. }
    | Request::Delete { device, .. }
    | Request::List { device, .. }
    | Request::StartScrub { device }) = &request
    else {
        return Response::Refused(Refusal::NotAllowed);
    };
    let device = match device_of(serving, *device) {
        Ok(device) => device,
        Err(refused) => return refused,
    };
    match request {
        Request::Verify { key, .. } => match device.verify(key).await {
            Ok(entry) => Response::Entry(entry),
            Err(error) => get_failed(error),
        },
        Request::Delete { keys, .. } => match device.delete(keys).await {
            Ok(()) => Response::Done,
            Err(node_proto::DeleteShardsError::Offline { device, reason }) => {
                let reason = cut(reason);
                Response::DeleteFailed(node_proto::DeleteShardsError::Offline { device, reason })
            }
        },
        Request::List { after, limit, .. } => match device.list(after, limit as usize).await {
            Ok(entries) => Response::Entries(entries),
            Err(node_proto::ListShardsError::Offline { device, reason }) => {
                let reason = cut(reason);
                Response::ListFailed(node_proto::ListShardsError::Offline { device, reason })
            }
        },
        _ => {
            device.start_scrub();
            Response::Done
        }
    }
}

fn device_of(serving: &Serving, device: DeviceId) -> Result<Arc<dyn ShardService>, Response> {
    serving.host.device(device).ok_or(Response::Refused(Refusal::NoDevice { device }))
}

async fn get(
    serving: &Serving,
    device: &dyn ShardService,
    key: node_proto::ShardKey,
    range: ByteRange,
) -> Reply {
    let Ok(len) = usize::try_from(range.len_bytes) else {
        return Response::Busy.into();
    };
    let Some(reservation) = serving.budget.reserve(len, BUDGET_WAIT).await else {
        return Response::Busy.into();
    };
    match device.get(key, range).await {
        Ok(payload) => {
            let len_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let response = Response::Payload { len_bytes };
            Reply { response, payload, reservation: Some(reservation) }
        }
        Err(error) => get_failed(error).into(),
    }
}

fn status(serving: &Serving, seen: Option<DamagedMark>, damaged_max: usize) -> Response {
    let ids = serving.host.devices();
    let devices = ids.into_iter().take(DEVICES_MAX).filter_map(|id| serving.host.device(id));
    let devices: Vec<Arc<dyn ShardService>> = devices.collect();
    let (damaged, damaged_mark) = serving.damaged.report(&devices, seen, damaged_max);
    let report = |device: &Arc<dyn ShardService>| {
        let status = device.status();
        let status = DeviceStatus { reason: status.reason.map(cut), ..status };
        DeviceReport { status, scrub: device.scrub_progress() }
    };
    Response::Status(PeerStatus {
        epoch: serving.host.epoch(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        devices: devices.iter().map(report).collect(),
        damaged,
        damaged_mark,
    })
}

async fn set_layout(serving: &Serving, layout: SignedLayout) -> Response {
    match serving.host.accept_layout(layout).await {
        Ok(epoch) => Response::Layout(epoch),
        Err(LayoutRefused::Invalid { reason }) => Response::LayoutInvalid { reason: cut(reason) },
        Err(LayoutRefused::Stale { epoch }) => Response::LayoutStale { epoch },
        Err(LayoutRefused::Storage { reason }) => Response::LayoutNotStored { reason: cut(reason) },
    }
}

/// Fetches a shard from where the order says and stores it.
async fn copy(
    serving: &Serving,
    device_id: DeviceId,
    signed: SignedCopyOrder,
    deadline: Instant,
) -> Response {
    let order = match orders::read(&*serving.host, &signed) {
        Ok(order) if order.reader != serving.me => {
            return Response::Refused(Refusal::OrderForOtherReader);
        }
        Ok(order) => order,
        Err(refusal) => return Response::Refused(refusal),
    };
    let device = match device_of(serving, device_id) {
        Ok(device) => device,
        Err(refused) => return refused,
    };
    let len = usize::try_from(order.len_bytes).unwrap_or(usize::MAX);
    let Some(reservation) = serving.budget.reserve(len, BUDGET_WAIT).await else {
        return Response::Busy;
    };
    let payload = match read_source(serving, &order, signed, deadline).await {
        Ok(payload) => payload,
        Err(reason) => {
            return Response::CopyFailed(CopyShardError::Source {
                key: order.key,
                device: device_id,
                source_device: order.source_device,
                reason: cut(reason),
            });
        }
    };
    let stored = device.put(order.key, order.root, payload).await;
    drop(reservation);
    match put_result(stored) {
        Response::PutFailed(error) => Response::CopyFailed(CopyShardError::Put(error)),
        response => response,
    }
}

async fn read_source(
    serving: &Serving,
    order: &CopyOrder,
    signed: SignedCopyOrder,
    deadline: Instant,
) -> Result<Bytes, String> {
    if order.source == serving.me {
        let device = serving.host.device(order.source_device);
        let device = device.ok_or_else(|| "the device is not here".to_owned())?;
        return device.get(order.key, order.range()).await.map_err(|error| error.to_string());
    }
    if !serving.members().is_node(order.source) {
        return Err(format!("{} is not in the layout", order.source));
    }
    let answer_len_max = u32::try_from(order.len_bytes).map_err(|_| "too long".to_owned())?;
    let call = Call {
        request: Request::Fetch { order: signed },
        payload: Bytes::new(),
        priority: Priority::Background,
        deadline,
        answer_len_max,
    };
    let peer = serving.peers.peer(order.source);
    let answer = peer.call_once(LaneClass::Download, &call).await;
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.response {
        Response::Payload { .. } if answer.payload.len() as u64 == order.len_bytes => {
            Ok(answer.payload)
        }
        Response::GetFailed(error) => Err(error.to_string()),
        Response::Refused(refusal) => Err(refusal.to_string()),
        Response::Busy => Err("the source is busy".to_owned()),
        response => Err(format!("the source answered {response:?}")),
    }
}

/// Gives `reader` what its order allows.
async fn fetch(serving: &Serving, reader: PeerKey, signed: &SignedCopyOrder) -> Reply {
    let host = &*serving.host;
    let checked = orders::read(host, signed)
        .and_then(|order| orders::check(host, &order, reader, serving.me).map(|()| order));
    let order = match checked {
        Ok(order) => order,
        Err(refusal) => return Response::Refused(refusal).into(),
    };
    let device = match device_of(serving, order.source_device) {
        Ok(device) => device,
        Err(refused) => return refused.into(),
    };
    if let Err(refused) = serving.orders.use_once(&order, host.now()) {
        return refused.into();
    }
    get(serving, &*device, order.key, order.range()).await
}

fn put_result(result: Result<(), PutShardError>) -> Response {
    match result {
        Ok(()) => Response::Done,
        Err(PutShardError::Offline { device, reason }) => {
            Response::PutFailed(PutShardError::Offline { device, reason: cut(reason) })
        }
        Err(error) => Response::PutFailed(error),
    }
}

fn get_failed(error: GetShardError) -> Response {
    Response::GetFailed(match error {
        GetShardError::Damaged { key, device, reason } => {
            GetShardError::Damaged { key, device, reason: cut(reason) }
        }
        GetShardError::Offline { device, reason } => {
            GetShardError::Offline { device, reason: cut(reason) }
        }
        error => error,
    })
}

/// Keeps answers within a frame.
fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(REASON_LEN_BYTES_MAX));
    reason
}
