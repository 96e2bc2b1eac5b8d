//! Decodes `aws-chunked` bodies whose chunks are not signed
//! (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`).
//!
//! ```text
//! HEX-LENGTH[;extension]\r\n data \r\n … 0\r\n name:value\r\n … \r\n
//! ```
//! Owns the framing and nothing else: what the trailers mean is the caller's business.
//!
//! Invariants:
//! - a body counts as whole only once its last chunk, of length zero, was seen;
//! - data is handed on as it comes, without copying; only a chunk's head line and the trailers are
//!   held, both bounded.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures::Stream;
use gateway_object::BodyError;
use parking_lot::Mutex;

use crate::error::{Code, Failure};

/// Longest head line of a chunk. Sixteen digits and an extension fit; chosen.
const HEAD_LEN_BYTES_MAX: usize = 1024;
/// Longest trailer section. S3 knows one checksum per body; chosen.
const TRAILERS_LEN_BYTES_MAX: usize = 16 * 1024;

/// The framing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed")]
pub(crate) struct MalformedChunks;

/// Trailers of a body, by lower-case name. `None` until the body has ended.
pub(crate) type Trailers = Arc<Mutex<Option<Vec<(String, String)>>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Within a chunk's head line.
    Head,
    /// Within a chunk's data.
    Data { left_bytes: u64 },
    /// Within the line end behind a chunk's data.
    DataEnd { seen: usize },
    /// Within the trailers, in the line that starts there.
    Trailers { line_start: usize },
    /// Behind the empty line that ends the trailers.
    Done,
}

/// The framing as a state machine.
#[derive(Debug)]
struct Decoder {
    state: State,
    /// The head line or the trailers so far.
    held: Vec<u8>,
}

impl Decoder {
    fn new() -> Self {
        Self { state: State::Head, held: Vec::new() }
    }

    /// Takes from `input` up to the end of the next run of data and returns that. `None` when
    /// `input` is used up.
    fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, MalformedChunks> {
        while !input.is_empty() {
            match self.state {
                State::Head => {
                    if self.take_line(input, HEAD_LEN_BYTES_MAX)? {
                        self.state = after_head(&self.held)?;
                        self.held.clear();
                    }
                }
                State::Data { left_bytes } => {
                    let len = usize::try_from(left_bytes).unwrap_or(usize::MAX);
                    let data = input.split_to(len.min(input.len()));
                    let left_bytes = left_bytes - data.len() as u64;
                    self.state = match left_bytes {
                        0 => State::DataEnd { seen: 0 },
                        _ => State::Data { left_bytes },
                    };
                    return Ok(Some(data));
                }
                State::DataEnd { seen } => {
                    if input.get_u8() != b"\r\n"[seen] {
                        return Err(MalformedChunks);
                    }
                    self.state = match seen {
                        0 => State::DataEnd { seen: 1 },
                        _ => State::Head,
                    };
                }
                State::Trailers { line_start } => {
                    if self.take_line(input, TRAILERS_LEN_BYTES_MAX)? {
                        self.state = match &self.held[line_start..] {
                            b"\r\n" | b"\n" => State::Done,
                            _ => State::Trailers { line_start: self.held.len() },
                        };
                    }
                }
                State::Done => return Err(MalformedChunks),
            }
        }
        Ok(None)
    }

    /// Moves bytes up to and including a line feed. Says whether it got there.
    fn take_line(&mut self, input: &mut Bytes, max: usize) -> Result<bool, MalformedChunks> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = input.split_to(end.map_or(input.len(), |end| end + 1));
        if self.held.len() + taken.len() > max {
            return Err(MalformedChunks);
        }
        self.held.extend_from_slice(&taken);
        Ok(end.is_some())
    }

    /// The trailers, once the input has ended. The empty line behind them may be missing: the
    /// last chunk was seen, so the data is whole.
    fn finish(self) -> Result<Vec<(String, String)>, Unfinished> {
        match self.state {
            State::Trailers { .. } | State::Done => {}
            State::Head | State::Data { .. } | State::DataEnd { .. } => {
                return Err(Unfinished::Truncated);
            }
        }
        let section = std::str::from_utf8(&self.held).map_err(|_| Unfinished::Malformed)?;
        section
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').ok_or(Unfinished::Malformed)?;
                Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect()
    }
}

/// Why a body that has ended is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfinished {
    Truncated,
    Malformed,
}

fn after_head(line: &[u8]) -> Result<State, MalformedChunks> {
    let line = line.strip_suffix(b"\r\n").ok_or(MalformedChunks)?;
    let line = std::str::from_utf8(line).map_err(|_| MalformedChunks)?;
    let digits = line.split_once(';').map_or(line, |(digits, _)| digits);
    let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !valid {
        return Err(MalformedChunks);
    }
    match u64::from_str_radix(digits, 16).map_err(|_| MalformedChunks)? {
        0 => Ok(State::Trailers { line_start: 0 }),
        left_bytes => Ok(State::Data { left_bytes }),
    }
}

/// The decoded stream of a body.
pub(crate) struct Decoded<S> {
    inner: S,
    decoder: Option<Decoder>,
    input: Bytes,
    trailers: Trailers,
}

impl<S> Decoded<S> {
    /// Decodes `inner`; the trailers appear in the second value when the stream has ended.
    pub(crate) fn new(inner: S) -> (Self, Trailers) {
        let trailers = Trailers::default();
        let stream = Self {
            inner,
            decoder: Some(Decoder::new()),
            input: Bytes::new(),
            trailers: Arc::clone(&trailers),
        };
        (stream, trailers)
    }

    fn end(&mut self) -> Result<(), BodyError> {
        let Some(decoder) = self.decoder.take() else {
            return Ok(());
        };
        let trailers = decoder.finish().map_err(|unfinished| match unfinished {
            Unfinished::Truncated => BodyError::Truncated,
            Unfinished::Malformed => rejected(Code::MalformedTrailer),
        })?;
        *self.trailers.lock() = Some(trailers);
        Ok(())
    }
}

fn rejected(code: Code) -> BodyError {
    BodyError::Rejected { source: Box::new(Failure::new(code)) }
}

impl<S> Stream for Decoded<S>
where
    S: Stream<Item = Result<Bytes, BodyError>> + Unpin,
{
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let Some(decoder) = &mut this.decoder else {
                return Poll::Ready(None);
            };
            match decoder.next(&mut this.input) {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(None) => {}
                Err(MalformedChunks) => {
                    this.decoder = None;
                    let source = Box::new(Failure::invalid_request(MalformedChunks.to_string()));
                    return Poll::Ready(Some(Err(BodyError::Rejected { source })));
                }
            }
            match ready!(Pin::new(&mut this.inner).poll_next(context)) {
                Some(Ok(bytes)) => this.input = bytes,
                Some(Err(error)) => {
                    this.decoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(this.end().err().map(Err)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, TryStreamExt as _};
    use proptest::prelude::*;

    use super::*;

    async fn decode(chunks: Vec<Bytes>) -> Result<(Vec<u8>, Vec<(String, String)>), BodyError> {
        let inner = futures::stream::iter(chunks.into_iter().map(Ok::<_, BodyError>));
        let (stream, trailers) = Decoded::new(inner);
        let parts: Vec<Bytes> = stream.try_collect().await?;
        let trailers = trailers.lock().take().expect("the stream has ended");
        Ok((parts.concat(), trailers))
    }

    async fn decode_text(text: &str) -> Result<(Vec<u8>, Vec<(String, String)>), BodyError> {
        decode(vec![Bytes::copy_from_slice(text.as_bytes())]).await
    }

    const WHOLE: &str =
        "5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nX-Amz-Checksum-Crc32: AAAAAA==\r\n\r\n";

    #[tokio::test]
    async fn chunks_and_trailers_are_decoded() {
        let (data, trailers) = decode_text(WHOLE).await.unwrap();
        assert_eq!(data, b"hello0123456789");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())]);
        let (data, trailers) = decode_text("0\r\n\r\n").await.unwrap();
        assert!(data.is_empty() && trailers.is_empty());
    }

    #[tokio::test]
    async fn body_without_its_last_chunk_is_truncated() {
        for text in ["", "5\r\nhel", "5\r\nhello\r\n", "5", "5\r\nhello\r"] {
            let error = decode_text(text).await.unwrap_err();
            assert!(matches!(error, BodyError::Truncated), "{text:?}");
        }
    }

    #[tokio::test]
    async fn broken_framing_is_rejected() {
        for text in [
            "x\r\n",
            "\r\n",
            "5\nhello",
            "5\r\nhelloXX",
            "+5\r\nhello\r\n",
            "11111111111111111\r\n",
            "0\r\n\r\nmore",
            "0\r\nno colon\r\n\r\n",
        ] {
            let error = decode_text(text).await.unwrap_err();
            assert!(matches!(error, BodyError::Rejected { .. }), "{text:?}");
        }
        let long = "1".repeat(HEAD_LEN_BYTES_MAX + 1);
        assert!(decode_text(&long).await.is_err());
        let trailers = format!("0\r\n{}", "a:b\r\n".repeat(TRAILERS_LEN_BYTES_MAX / 5 + 1));
        assert!(decode_text(&trailers).await.is_err());
    }

    #[tokio::test]
    async fn error_of_the_connection_is_passed_on() {
        let inner = futures::stream::iter([Err(BodyError::TimedOut)]);
        let (mut stream, _) = Decoded::new(inner);
        assert!(matches!(stream.next().await, Some(Err(BodyError::TimedOut))));
        assert!(stream.next().await.is_none());
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(cuts in proptest::collection::vec(0..WHOLE.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut rest = Bytes::from_static(WHOLE.as_bytes());
            let mut chunks = Vec::new();
            let mut at = 0;
            for cut in cuts {
                chunks.push(rest.split_to(cut - at));
                at = cut;
            }
            chunks.push(rest);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let decoded = runtime.block_on(decode(chunks)).unwrap();
            prop_assert_eq!(decoded.0, b"hello0123456789".to_vec());
        }
    }
}
