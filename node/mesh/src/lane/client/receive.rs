//! What the asking end does with the frames that come in.

use bytes::{Bytes, BytesMut};
use futures::AsyncRead;
use node_proto::wire::{FrameHeader, FrameKind, Goodbye, RequestId, Response};

use super::Lane;
use crate::lane::{FrameReader, ReadFrameError};

/// Why reading a lane ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Read(#[from] ReadFrameError),
    /// The peer does not keep to the protocol.
    #[error("the peer sent what the protocol does not allow: {0}")]
    Protocol(&'static str),
    /// The peer ended the lane.
    #[error("the peer ended the lane: {0:?}")]
    Goodbye(Goodbye),
}

/// A payload that is under way.
pub(super) struct Incoming {
    payload: BytesMut,
    filled: usize,
}

/// Reads frames for ever, giving requests their answers.
pub(crate) async fn receive<R: AsyncRead + Unpin>(
    lane: &Lane,
    reader: &mut FrameReader<R>,
) -> ReceiveError {
    loop {
        if let Err(error) = receive_one(lane, reader).await {
            return error;
        }
    }
}

async fn receive_one<R: AsyncRead + Unpin>(
    lane: &Lane,
    reader: &mut FrameReader<R>,
) -> Result<(), ReceiveError> {
    let header = reader.header().await?;
    match header.kind {
        FrameKind::Response => {
            let body = reader.body(header.len_bytes).await?;
            let response = Response::decode(&body)
                .map_err(|_| ReceiveError::Protocol("an answer that cannot be understood"))?;
            begin(lane, header.request, response)
        }
        FrameKind::Data => data(lane, reader, header).await,
        FrameKind::Pong => Ok(()),
        FrameKind::Goodbye => {
            let body = reader.body(header.len_bytes).await?;
            let goodbye = Goodbye::decode(&body)
                .map_err(|_| ReceiveError::Protocol("a goodbye that cannot be understood"))?;
            Err(ReceiveError::Goodbye(goodbye))
        }
        FrameKind::Hello
        | FrameKind::Welcome
        | FrameKind::Request
        | FrameKind::Cancel
        | FrameKind::Ping => Err(ReceiveError::Protocol("a frame of who asks")),
    }
}

fn begin(lane: &Lane, id: RequestId, response: Response) -> Result<(), ReceiveError> {
    let len_bytes = match response {
        Response::Payload { len_bytes } if len_bytes > 0 => len_bytes,
        response => {
            lane.check_asked(id)?;
            lane.settle(id, response, Bytes::new());
            return Ok(());
        }
    };
    lane.check_asked(id)?;
    let mut waiting = lane.waiting.lock();
    let Some(request) = waiting.requests.get_mut(&id) else {
        return Ok(());
    };
    if len_bytes > request.answer_len_max {
        return Err(ReceiveError::Protocol("a longer payload than was asked for"));
    }
    let payload = BytesMut::zeroed(len_bytes as usize);
    match request.incoming.replace(Incoming { payload, filled: 0 }) {
        None => Ok(()),
        Some(_) => Err(ReceiveError::Protocol("two payloads for one request")),
    }
}

async fn data<R: AsyncRead + Unpin>(
    lane: &Lane,
    reader: &mut FrameReader<R>,
    header: FrameHeader,
) -> Result<(), ReceiveError> {
    let (id, len) = (header.request, header.len_bytes);
    lane.check_asked(id)?;
    let taken = lane.waiting.lock().requests.get_mut(&id).map(|request| request.incoming.take());
    let mut incoming = match taken {
        // Its request was dropped; the peer does not know yet.
        None => return Ok(reader.skip(len).await?),
        Some(None) => return Err(ReceiveError::Protocol("a payload that was not announced")),
        Some(Some(incoming)) => incoming,
    };
    let end = incoming.filled + len as usize;
    let out = incoming.payload.get_mut(incoming.filled..end);
    let out = out.ok_or(ReceiveError::Protocol("more payload than announced"))?;
    reader.read_exact(out).await?;
    incoming.filled = end;
    if incoming.filled == incoming.payload.len() {
        let payload = incoming.payload.freeze();
        let len_bytes = u32::try_from(payload.len()).expect("it was announced in 32 bits");
        lane.settle(id, Response::Payload { len_bytes }, payload);
    } else if let Some(request) = lane.waiting.lock().requests.get_mut(&id) {
        request.incoming = Some(incoming);
    }
    Ok(())
}

impl Lane {
    fn check_asked(&self, id: RequestId) -> Result<(), ReceiveError> {
        if id.0 == 0 || id.0 >= self.waiting.lock().next {
            return Err(ReceiveError::Protocol("an answer to nothing"));
        }
        Ok(())
    }
}
