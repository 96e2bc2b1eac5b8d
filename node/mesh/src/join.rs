//! `/datamesh/join/1`: one question to join and one answer.
//!
//! Both are a length of four bytes, big-endian, and as many bytes of postcard.
//!
//! *Limits:* a question has at most [`REQUEST_LEN_MAX`] bytes, an answer [`ANSWER_LEN_MAX`], and
//! both together take at most [`TIME_MAX`].

use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use node_proto::{JoinAnswer, JoinRequest, PeerKey, signed::DOCUMENT_LEN_BYTES_MAX};
use serde::{Serialize, de::DeserializeOwned};

use crate::{CallError, Host, telemetry};

/// Longest question in bytes. Chosen: a hundred drives and a dozen addresses fit.
pub(crate) const REQUEST_LEN_MAX: usize = 64 << 10;

/// Longest answer in bytes: a signed layout and its envelope.
pub(crate) const ANSWER_LEN_MAX: usize = DOCUMENT_LEN_BYTES_MAX + 4096;

/// How long question and answer may take. Chosen: a few round trips and a commit.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(10);

/// How much is read at a time; memory grows with what arrives, not with what is announced.
const READ_STEP: usize = 16 << 10;

/// Asks over a fresh stream.
///
/// # Errors
/// [`CallError`].
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    peer: PeerKey,
    stream: &mut S,
    request: &JoinRequest,
) -> Result<JoinAnswer, CallError> {
    let unreachable = |e: std::io::Error| CallError::Unreachable { peer, reason: e.to_string() };
    let bytes = encode(request);
    if bytes.len() > REQUEST_LEN_MAX + 4 {
        let reason = format!("the request has more than {REQUEST_LEN_MAX} bytes");
        return Err(CallError::Unreachable { peer, reason });
    }
    let exchange = async {
        stream.write_all(&bytes).await.map_err(unreachable)?;
        stream.flush().await.map_err(unreachable)?;
        read(stream, ANSWER_LEN_MAX).await.map_err(unreachable)
    };
    let answer = tokio::time::timeout(TIME_MAX, exchange).await;
    let bytes = answer.map_err(|_| CallError::TimedOut { peer })??;
    decode(&bytes).ok_or_else(|| CallError::Senseless {
        peer,
        reason: "the answer to a join is not what this version knows".to_owned(),
    })
}

/// Answers one question. Whatever is wrong with it ends the stream and nothing else.
pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    peer: PeerKey,
    stream: &mut S,
    host: &dyn Host,
) {
    match tokio::time::timeout(TIME_MAX, exchange(peer, stream, host)).await {
        Ok(Ok(answer)) => telemetry::joined(answer),
        Ok(Err(error)) => {
            telemetry::joined("broken");
            tracing::debug!(%peer, %error, "a question to join was not answered");
        }
        Err(_) => {
            telemetry::joined("late");
            tracing::debug!(%peer, "a question to join took too long");
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    peer: PeerKey,
    stream: &mut S,
    host: &dyn Host,
) -> std::io::Result<&'static str> {
    let bytes = read(stream, REQUEST_LEN_MAX).await?;
    let Some(request) = decode::<JoinRequest>(&bytes) else {
        return Err(invalid("the question is not what this version knows"));
    };
    let answer = host.join(peer, request).await;
    stream.write_all(&encode(&answer)).await?;
    stream.close().await?;
    Ok(match answer {
        JoinAnswer::Pending => "pending",
        JoinAnswer::Admitted { .. } => "admitted",
        JoinAnswer::Refused { .. } => "refused",
        JoinAnswer::Busy => "busy",
    })
}

fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let body = postcard::to_extend(message, Vec::new())
        .expect("messages hold only types that postcard can encode, and memory grows");
    // Longer ones are refused before they are sent.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes()[..], &body].concat()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, len_max: usize) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).await?;
    let len = u32::from_be_bytes(len) as usize;
    if len > len_max {
        return Err(invalid("the message is longer than allowed"));
    }
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let start = bytes.len();
        bytes.resize(len.min(start + READ_STEP), 0);
        stream.read_exact(&mut bytes[start..]).await?;
    }
    Ok(bytes)
}

fn invalid(reason: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    fn request() -> JoinRequest {
        JoinRequest {
            proof: None,
            name: "n".to_owned(),
            version: "1".to_owned(),
            addresses: vec![],
            drives: vec![],
        }
    }

    #[tokio::test]
    async fn messages_survive_the_wire() {
        let bytes = encode(&request());
        let body = read(&mut Cursor::new(bytes), REQUEST_LEN_MAX).await.unwrap();
        assert_eq!(decode::<JoinRequest>(&body), Some(request()));
        let mut longer = body.clone();
        longer.push(0);
        assert_eq!(decode::<JoinRequest>(&longer), None);
    }

    #[tokio::test]
    async fn long_and_short_messages_are_refused() {
        let announced = (REQUEST_LEN_MAX as u32 + 1).to_be_bytes();
        let error = read(&mut Cursor::new(announced), REQUEST_LEN_MAX).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        let cut = [&8_u32.to_be_bytes()[..], b"short"].concat();
        let error = read(&mut Cursor::new(cut), REQUEST_LEN_MAX).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}
