//! Frames in and out of a stream.
//!
//! Invariants:
//! - a DATA frame's bytes are copied once, from the stream to where they stay;
//! - memory per lane is bounded by the two buffers here, whatever the peer announces.
//!
//! *Cancellation:* a dropped read or write leaves the stream in the middle of a frame; it can only
//! be closed then.

use std::{io, pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use node_proto::wire::{FrameHeader, HEADER_LEN_BYTES, InvalidHeader};

use super::Progress;

/// Bytes read ahead. Chosen: many small frames per read; payloads go around it.
const READ_AHEAD_BYTES: usize = 16 << 10;

/// Why a frame was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFrameError {
    /// The peer closed the stream between two frames.
    #[error("the peer closed the lane")]
    Closed,
    /// The stream failed or ended within a frame.
    #[error("the lane broke: {0}")]
    Broken(#[from] io::Error),
    /// The peer speaks something else.
    #[error("the peer sent what the protocol does not allow: {0}")]
    Header(#[from] InvalidHeader),
}

/// Reads frames.
pub(crate) struct FrameReader<R> {
    stream: R,
    ahead: Box<[u8]>,
    /// What of `ahead` was read and not yet handed out.
    start: usize,
    end: usize,
    progress: Arc<Progress>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(stream: R, progress: Arc<Progress>) -> Self {
        let ahead = vec![0; READ_AHEAD_BYTES].into_boxed_slice();
        Self { stream, ahead, start: 0, end: 0, progress }
    }

    /// The next frame's header. Its body must be read or skipped next.
    pub(crate) async fn header(&mut self) -> Result<FrameHeader, ReadFrameError> {
        if self.start == self.end && self.fill().await? == 0 {
            return Err(ReadFrameError::Closed);
        }
        let mut bytes = [0; HEADER_LEN_BYTES];
        self.read_exact(&mut bytes).await?;
        Ok(FrameHeader::decode(&bytes)?)
    }

    /// A body of `len` bytes, which a header announced and whose bound was checked.
    pub(crate) async fn body(&mut self, len: u32) -> Result<Bytes, ReadFrameError> {
        let mut body = BytesMut::zeroed(len as usize);
        self.read_exact(&mut body).await?;
        Ok(body.freeze())
    }

    /// Fills `out`.
    pub(crate) async fn read_exact(&mut self, out: &mut [u8]) -> Result<(), ReadFrameError> {
        let mut filled = 0;
        while filled < out.len() {
            if self.start < self.end {
                let len = (self.end - self.start).min(out.len() - filled);
                out[filled..filled + len].copy_from_slice(&self.ahead[self.start..][..len]);
                self.start += len;
                filled += len;
                continue;
            }
            let read = if out.len() - filled >= READ_AHEAD_BYTES {
                let read = self.stream.read(&mut out[filled..]).await?;
                self.progress.received(read);
                filled += read;
                read
            } else {
                self.fill().await?
            };
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    /// Reads `len` bytes and forgets them.
    pub(crate) async fn skip(&mut self, len: u32) -> Result<(), ReadFrameError> {
        let mut left = len as usize;
        while left > 0 {
            if self.start == self.end && self.fill().await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let skipped = left.min(self.end - self.start);
            self.start += skipped;
            left -= skipped;
        }
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let read = self.stream.read(&mut self.ahead).await?;
        (self.start, self.end) = (0, read);
        self.progress.received(read);
        Ok(read)
    }
}

/// Writes frames.
pub(crate) struct FrameWriter<W> {
    stream: W,
    progress: Arc<Progress>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(crate) fn new(stream: W, progress: Arc<Progress>) -> Self {
        Self { stream, progress }
    }

    /// Writes `head` and then `payload`; only the latter counts as movement.
    pub(crate) async fn write(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        let (mut head, mut payload) = (head, payload);
        while !head.is_empty() || !payload.is_empty() {
            let slices = [io::IoSlice::new(head), io::IoSlice::new(payload)];
            let slices = if head.is_empty() { &slices[1..] } else { &slices[..] };
            let written = std::future::poll_fn(|context| {
                Pin::new(&mut self.stream).poll_write_vectored(context, slices)
            })
            .await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_head = written.min(head.len());
            let of_payload = written - of_head;
            self.progress.sent(written, of_payload > 0);
            head = &head[of_head..];
            payload = &payload[of_payload..];
        }
        Ok(())
    }

    /// Hands everything written to the transport.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().await
    }

    /// Flushes and ends this direction.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.stream.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use node_proto::wire::{FrameKind, RequestId};

    fn progress() -> Arc<Progress> {
        Arc::new(Progress::new())
    }

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let header =
            FrameHeader { kind: FrameKind::Data, request: RequestId(7), len_bytes: 40_000 };
        let body: Vec<u8> = (0..40_000u32).map(|i| i.to_le_bytes()[0]).collect();
        let mut writer = FrameWriter::new(Vec::new(), progress());
        for _ in 0..3 {
            writer.write(&header.encode(), &body).await.unwrap();
        }
        writer.flush().await.unwrap();
        assert_eq!(writer.progress.bytes(), (3 * 40_016, 0));
        let mut reader = FrameReader::new(Cursor::new(writer.stream), progress());
        assert_eq!(reader.header().await.unwrap(), header);
        assert_eq!(reader.body(40_000).await.unwrap(), body);
        assert_eq!(reader.header().await.unwrap(), header);
        reader.skip(40_000).await.unwrap();
        assert_eq!(reader.header().await.unwrap(), header);
        let mut out = vec![0; 40_000];
        reader.read_exact(&mut out).await.unwrap();
        assert_eq!(out, body);
        assert!(matches!(reader.header().await, Err(ReadFrameError::Closed)));
        assert_eq!(reader.progress.bytes(), (0, 3 * 40_016));
    }

    #[tokio::test]
    async fn an_end_within_a_frame_is_not_a_clean_one() {
        let header = FrameHeader { kind: FrameKind::Data, request: RequestId(7), len_bytes: 10 };
        let bytes = [&header.encode()[..], &[1; 9]].concat();
        let mut reader = FrameReader::new(Cursor::new(bytes.clone()), progress());
        reader.header().await.unwrap();
        assert!(matches!(reader.body(10).await, Err(ReadFrameError::Broken(_))));
        let mut reader = FrameReader::new(Cursor::new(bytes.clone()), progress());
        reader.header().await.unwrap();
        assert!(matches!(reader.skip(10).await, Err(ReadFrameError::Broken(_))));
        let mut reader = FrameReader::new(Cursor::new(bytes[..5].to_vec()), progress());
        assert!(matches!(reader.header().await, Err(ReadFrameError::Broken(_))));
        let mut reader = FrameReader::new(Cursor::new(vec![0xff; 16]), progress());
        assert!(matches!(reader.header().await, Err(ReadFrameError::Header(_))));
    }
}
