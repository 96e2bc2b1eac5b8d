//! The answering end of lanes: who may ask for what, and asking the devices here.
//!
//! Invariants:
//! - nothing is held for a peer before it is known that it may ask: strangers get a GOODBYE for
//!   their first frame;
//! - a payload is read only into memory that the budget has given, or not kept at all;
//! - gateways of the layout may ask for everything; its nodes only for what a copy order allows;
//! - a lane whose peer neither sends the rest of a payload nor reads answers ends.
//!
//! *Cancellation:* dropping [`serve`] aborts what the lane asked for; effects on devices may stay.
//! *Limits:* [`REQUESTS_MAX`] requests per lane, [`LANES_MAX`] lanes per peer, and the budget.

mod answer;
mod damaged;
mod inbound;
mod members;
mod orders;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWrite};
use node_proto::{
    PeerKey,
    wire::{
        FrameHeader, FrameKind, Goodbye, GoodbyeCode, Hello, PAYLOAD_LEN_BYTES_MAX, RequestId,
        VERSION, Welcome,
    },
};
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    host::Host,
    lane::{Budget, FrameReader, FrameWriter, Progress},
    remote::Peers,
    stream::{InboundLane, LaneClass},
};
use damaged::DamagedLog;
pub(crate) use members::{Members, Role};
pub(crate) use orders::LIFETIME_MS;
use orders::OrderLedger;

/// Requests of one lane that may be under way. Chosen: a thousand on two lanes.
pub(crate) const REQUESTS_MAX: u32 = 512;

/// Lanes of one peer. Chosen: thrice what one opens, so that old ones may linger while new ones are
/// opened.
const LANES_MAX: usize = 16;

/// Longest wait for a peer's first frame. Chosen.
const GREETING_WAIT: Duration = Duration::from_secs(5);

/// Longest wait for a peer to read why its lane ends. Chosen.
const GOODBYE_WAIT: Duration = Duration::from_secs(1);

/// Everything that answering needs. One per process.
pub(crate) struct Serving {
    pub(crate) me: PeerKey,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) members: RwLock<Arc<Members>>,
    pub(crate) budget: Budget,
    /// Where copies are fetched from.
    pub(crate) peers: Arc<Peers>,
    pub(crate) stop: CancellationToken,
    orders: OrderLedger,
    damaged: DamagedLog,
    lanes: Mutex<HashMap<PeerKey, usize>>,
}

impl Serving {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        budget_bytes: u64,
        peers: Arc<Peers>,
        stop: CancellationToken,
    ) -> Self {
        // Tells this run of the process from others; need not be secret.
        let run = host.now().0;
        Self {
            me: peers.me(),
            host,
            members: RwLock::default(),
            budget: Budget::new(budget_bytes),
            peers,
            stop,
            orders: OrderLedger::default(),
            damaged: DamagedLog::new(run),
            lanes: Mutex::default(),
        }
    }

    pub(crate) fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.read())
    }
}

/// Answers one lane until it ends.
pub(crate) async fn serve(serving: Arc<Serving>, lane: InboundLane) {
    let InboundLane { peer, stream } = lane;
    let progress = Arc::new(Progress::new());
    let (read, write) = stream.split();
    let mut reader = FrameReader::new(read, Arc::clone(&progress));
    let mut writer = FrameWriter::new(write, Arc::clone(&progress));
    let greeting = tokio::time::timeout(GREETING_WAIT, greet(&serving, peer, &mut reader)).await;
    let refused = match greeting {
        Ok(Ok((class, place))) => {
            let inbound = inbound::Inbound::new(&serving, peer, class, progress);
            inbound.run(reader, writer).await;
            drop(place);
            return;
        }
        Ok(Err(Some(goodbye))) => goodbye,
        Ok(Err(None)) | Err(_) => return,
    };
    debug!(%peer, reason = refused.reason, "lane refused");
    let body = refused.encode();
    let said = say(&mut writer, FrameKind::Goodbye, &body);
    // The peer may be gone already.
    let _ = tokio::time::timeout(GOODBYE_WAIT, said).await;
}

async fn greet<'a, R: futures::AsyncRead + Unpin>(
    serving: &'a Serving,
    peer: PeerKey,
    reader: &mut FrameReader<R>,
) -> Result<(LaneClass, Place<'a>), Option<Goodbye>> {
    let goodbye = |code, reason: &str| Some(Goodbye { code, reason: reason.to_owned() });
    if serving.members().role(peer) == Role::Stranger {
        return Err(goodbye(GoodbyeCode::Refused, "not admitted"));
    }
    let unreadable = || goodbye(GoodbyeCode::Protocol, "a lane begins with HELLO");
    let header = reader.header().await.map_err(|_| None)?;
    if header.kind != FrameKind::Hello {
        return Err(unreadable());
    }
    let body = reader.body(header.len_bytes).await.map_err(|_| None)?;
    let hello = Hello::decode(&body).map_err(|_| unreadable())?;
    if hello.version < VERSION {
        let reason = format!("version {} is not spoken here, only {VERSION}", hello.version);
        return Err(goodbye(GoodbyeCode::Version, &reason));
    }
    let place = Place::take(serving, peer);
    let place = place.ok_or_else(|| goodbye(GoodbyeCode::Refused, "too many lanes"))?;
    Ok((LaneClass::from_kind(hello.class), place))
}

/// Writes a frame that belongs to no request.
async fn say<W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    kind: FrameKind,
    body: &[u8],
) -> std::io::Result<()> {
    let len_bytes = u32::try_from(body.len()).expect("greetings are short");
    let header = FrameHeader { kind, request: RequestId(0), len_bytes };
    writer.write(&[&header.encode()[..], body].concat(), &[]).await?;
    writer.flush().await
}

fn welcome() -> Welcome {
    let payload_len_bytes_max = u32::try_from(PAYLOAD_LEN_BYTES_MAX).expect("32 MiB");
    Welcome { version: VERSION, requests_max: REQUESTS_MAX, payload_len_bytes_max }
}

/// One of the lanes that a peer may have.
struct Place<'a> {
    serving: &'a Serving,
    peer: PeerKey,
}

impl<'a> Place<'a> {
    fn take(serving: &'a Serving, peer: PeerKey) -> Option<Self> {
        let mut lanes = serving.lanes.lock();
        let count = lanes.entry(peer).or_default();
        if *count >= LANES_MAX {
            return None;
        }
        *count += 1;
        Some(Self { serving, peer })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lanes = self.serving.lanes.lock();
        if let Some(count) = lanes.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                lanes.remove(&self.peer);
            }
        }
    }
}
