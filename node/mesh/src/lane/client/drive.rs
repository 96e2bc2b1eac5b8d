//! Greets the other side of a new lane, and keeps the lane going until it ends.

use std::{sync::Arc, time::Duration};

use futures::{AsyncReadExt, io::ReadHalf, io::WriteHalf};
use node_proto::{
    PeerKey,
    wire::{FrameHeader, FrameKind, Goodbye, Hello, RequestId, VERSION, Welcome},
};

use super::{Lane, PING_AFTER, STALL_AFTER, receive::receive};
use crate::{
    lane::{CallError, FrameReader, FrameWriter, Meter, Progress, ReadFrameError, write_all},
    stream::{LaneClass, LaneStream},
};

/// How often a lane looks whether anything moves. Chosen: a fraction of what it looks for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Longest wait for the other side's greeting. Chosen.
const GREETING_WAIT: Duration = Duration::from_secs(5);

/// Both ends of a greeted stream.
pub(crate) struct Driver {
    lane: Arc<Lane>,
    reader: FrameReader<ReadHalf<LaneStream>>,
    writer: FrameWriter<WriteHalf<LaneStream>>,
}

/// How a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneEnd {
    /// The stream failed, or the peer ended it.
    Broken,
    /// Requests waited and nothing moved: the connection is to be given up.
    Stalled,
}

/// Why a stream did not become a lane.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetError {
    #[error("no greeting in time")]
    TimedOut,
    #[error("writing the greeting failed: {0}")]
    Write(#[from] std::io::Error),
    #[error("reading the greeting failed: {0}")]
    Read(#[from] ReadFrameError),
    #[error("the peer does not want the lane: {0:?}")]
    Goodbye(Goodbye),
    #[error("the peer's greeting cannot be understood")]
    Senseless,
}

impl Driver {
    /// Greets the other side of a stream.
    pub(crate) async fn greet(
        stream: LaneStream,
        peer: PeerKey,
        class: LaneClass,
    ) -> Result<Self, GreetError> {
        let progress = Arc::new(Progress::new());
        let (read, write) = stream.split();
        let mut reader = FrameReader::new(read, Arc::clone(&progress));
        let mut writer = FrameWriter::new(write, Arc::clone(&progress));
        let greeting = exchange(&mut reader, &mut writer, class);
        let welcome = tokio::time::timeout(GREETING_WAIT, greeting)
            .await
            .map_err(|_| GreetError::TimedOut)??;
        let lane = Arc::new(Lane::new(peer, class, &welcome, progress));
        Ok(Self { lane, reader, writer })
    }

    pub(crate) fn lane(&self) -> Arc<Lane> {
        Arc::clone(&self.lane)
    }
}

async fn exchange(
    reader: &mut FrameReader<ReadHalf<LaneStream>>,
    writer: &mut FrameWriter<WriteHalf<LaneStream>>,
    class: LaneClass,
) -> Result<Welcome, GreetError> {
    let hello = Hello { version: VERSION, class: class.kind() }.encode();
    let len_bytes = u32::try_from(hello.len()).expect("four bytes");
    let header = FrameHeader { kind: FrameKind::Hello, request: RequestId(0), len_bytes };
    writer.write(&[&header.encode()[..], &hello].concat(), &[]).await?;
    writer.flush().await?;
    let header = reader.header().await?;
    let body = match header.kind {
        FrameKind::Welcome | FrameKind::Goodbye => reader.body(header.len_bytes).await?,
        _ => return Err(GreetError::Senseless),
    };
    if header.kind == FrameKind::Goodbye {
        let goodbye = Goodbye::decode(&body).map_err(|_| GreetError::Senseless)?;
        return Err(GreetError::Goodbye(goodbye));
    }
    match Welcome::decode(&body) {
        Ok(welcome) if welcome.version == VERSION => Ok(welcome),
        _ => Err(GreetError::Senseless),
    }
}

/// Moves frames until the lane ends; then fails what still waits.
pub(crate) async fn drive(driver: Driver) -> LaneEnd {
    let Driver { lane, mut reader, mut writer } = driver;
    let (end, reason) = tokio::select! {
        error = receive(&lane, &mut reader) => (LaneEnd::Broken, error.to_string()),
        result = write_all(&lane.outbox, &mut writer) => {
            let reason = result.err().map(|error| error.to_string());
            (LaneEnd::Broken, reason.unwrap_or_else(|| "it was closed".to_owned()))
        }
        () = watch(&lane) => {
            let reason = format!("nothing moved for {} s", STALL_AFTER.as_secs());
            (LaneEnd::Stalled, reason)
        }
    };
    lane.end(&CallError::Lost { peer: lane.peer, reason });
    end
}

/// Ends when requests wait and nothing moved for [`STALL_AFTER`].
async fn watch(lane: &Lane) {
    let mut meter = Meter::new(lane.class, &lane.progress);
    let mut has_pinged = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        meter.count();
        if lane.waiting.lock().requests.is_empty() {
            continue;
        }
        let idle = lane.progress.idle();
        if idle >= STALL_AFTER {
            return;
        }
        if idle < PING_AFTER {
            has_pinged = false;
        } else if !has_pinged {
            lane.outbox.signal(FrameKind::Ping, RequestId(0));
            has_pinged = true;
        }
    }
}
