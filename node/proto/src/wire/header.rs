//! The 16 bytes in front of every frame.
//!
//! | Bytes | Field |
//! | --- | --- |
//! | 0..4 | length of the body |
//! | 4 | kind |
//! | 5 | flags, zero |
//! | 6..8 | zero |
//! | 8..16 | request id |

/// Length of an encoded [`FrameHeader`] in bytes.
pub const HEADER_LEN_BYTES: usize = 16;

/// Longest body of a DATA frame in bytes. Chosen: at 1 GB/s a small frame waits a quarter of a
/// millisecond behind it, and headers are lost in the noise.
pub const DATA_LEN_BYTES_MAX: usize = 256 << 10;

/// Longest body of any frame in bytes. Chosen: what must be held to decode a request.
pub const FRAME_LEN_BYTES_MAX: usize = 256 << 10;

/// Longest body of HELLO, WELCOME and GOODBYE. Chosen: a code and a sentence.
const GREETING_LEN_BYTES_MAX: usize = 512;

/// Names a request on its lane; chosen by the side that asks, never twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// First frame of who opened the lane.
    Hello,
    /// First frame of who accepted it.
    Welcome,
    /// Asks for something.
    Request,
    /// The next bytes of a request's or a response's payload.
    Data,
    /// Answers a request.
    Response,
    /// Who asked has lost interest, and sends no more of the payload.
    Cancel,
    /// Asks for a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// Last frame: says why the lane ends.
    Goodbye,
}

impl FrameKind {
    /// Every kind, in the order of their numbers, which start at one.
    pub const ALL: [Self; 9] = [
        Self::Hello,
        Self::Welcome,
        Self::Request,
        Self::Data,
        Self::Response,
        Self::Cancel,
        Self::Ping,
        Self::Pong,
        Self::Goodbye,
    ];

    fn number(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Welcome => 2,
            Self::Request => 3,
            Self::Data => 4,
            Self::Response => 5,
            Self::Cancel => 6,
            Self::Ping => 7,
            Self::Pong => 8,
            Self::Goodbye => 9,
        }
    }

    fn len_bytes_max(self) -> usize {
        match self {
            Self::Hello | Self::Welcome | Self::Goodbye => GREETING_LEN_BYTES_MAX,
            Self::Request | Self::Response => FRAME_LEN_BYTES_MAX,
            Self::Data => DATA_LEN_BYTES_MAX,
            Self::Cancel | Self::Ping | Self::Pong => 0,
        }
    }
}

/// What precedes a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame is.
    pub kind: FrameKind,
    /// The request it belongs to; zero where it belongs to none.
    pub request: RequestId,
    /// Length of the body that follows.
    pub len_bytes: u32,
}

/// Why a header is refused. The lane cannot go on: where the next frame starts is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// A kind of another version of the protocol.
    #[error("frame kind {kind} is unknown")]
    UnknownKind {
        /// The kind's number.
        kind: u8,
    },
    /// Flags of another version of the protocol.
    #[error("frame flags {flags:#08x} are unknown")]
    UnknownFlags {
        /// The flags and the two bytes behind them.
        flags: u32,
    },
    /// The body is longer than one of this kind may be, or empty where it must not be.
    #[error("a {kind:?} frame of {len_bytes} bytes is not allowed")]
    Length {
        /// The kind.
        kind: FrameKind,
        /// The announced length.
        len_bytes: u32,
    },
}

impl FrameHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN_BYTES] {
        let mut out = [0; HEADER_LEN_BYTES];
        out[..4].copy_from_slice(&self.len_bytes.to_be_bytes());
        out[4] = self.kind.number();
        out[8..].copy_from_slice(&self.request.0.to_be_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`InvalidHeader`].
    pub fn decode(bytes: &[u8; HEADER_LEN_BYTES]) -> Result<Self, InvalidHeader> {
        let [l0, l1, l2, l3, number, f0, f1, f2, id @ ..] = *bytes;
        let kind = FrameKind::ALL.into_iter().find(|kind| kind.number() == number);
        let kind = kind.ok_or(InvalidHeader::UnknownKind { kind: number })?;
        let flags = u32::from_be_bytes([0, f0, f1, f2]);
        if flags != 0 {
            return Err(InvalidHeader::UnknownFlags { flags });
        }
        let len_bytes = u32::from_be_bytes([l0, l1, l2, l3]);
        let is_empty_data = kind == FrameKind::Data && len_bytes == 0;
        if usize::try_from(len_bytes).map_or(true, |len| len > kind.len_bytes_max())
            || is_empty_data
        {
            return Err(InvalidHeader::Length { kind, len_bytes });
        }
        Ok(Self { kind, request: RequestId(u64::from_be_bytes(id)), len_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(kind: FrameKind, request: u64, len_bytes: u32) -> FrameHeader {
        FrameHeader { kind, request: RequestId(request), len_bytes }
    }

    #[test]
    fn headers_have_golden_bytes() {
        assert_eq!(
            header(FrameKind::Data, 0x0102_0304_0506_0708, 0x0003_0405).encode(),
            [0, 3, 4, 5, 4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        );
        let numbers = FrameKind::ALL.map(|kind| header(kind, 0, 0).encode()[4]);
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn unknown_kinds_flags_and_lengths_are_refused() {
        let good = header(FrameKind::Cancel, 7, 0).encode();
        for kind in [0, 10, 255] {
            let mut bytes = good;
            bytes[4] = kind;
            assert_eq!(FrameHeader::decode(&bytes), Err(InvalidHeader::UnknownKind { kind }));
        }
        for place in 5..8 {
            let mut bytes = good;
            bytes[place] = 1;
            let refused = FrameHeader::decode(&bytes);
            assert!(matches!(refused, Err(InvalidHeader::UnknownFlags { .. })), "{refused:?}");
        }
        let lengths = [
            (FrameKind::Cancel, 1),
            (FrameKind::Ping, 1),
            (FrameKind::Data, 0),
            (FrameKind::Data, (256 << 10) + 1),
            (FrameKind::Request, (256 << 10) + 1),
            (FrameKind::Response, u32::MAX),
            (FrameKind::Hello, 513),
        ];
        for (kind, len_bytes) in lengths {
            let refused = FrameHeader::decode(&header(kind, 1, len_bytes).encode());
            assert_eq!(refused, Err(InvalidHeader::Length { kind, len_bytes }));
        }
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            kind in prop::sample::select(&FrameKind::ALL[..]),
            request: u64,
            len in 1u32..400,
        ) {
            let len = len.min(u32::try_from(kind.len_bytes_max()).unwrap());
            let header = header(kind, request, len);
            prop_assert_eq!(FrameHeader::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes: [u8; HEADER_LEN_BYTES]) {
            if let Ok(header) = FrameHeader::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
