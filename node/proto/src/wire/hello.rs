//! How a lane begins and ends.
//!
//! Invariants:
//! - these frames keep their form in every version: they are how versions are agreed on.

/// The newest version that this program speaks, and the oldest.
pub const VERSION: u16 = 1;

/// Longest reason of a GOODBYE in bytes. Chosen: a sentence.
const GOODBYE_REASON_LEN_BYTES_MAX: usize = 256;

/// What a lane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneKind {
    /// Requests without payloads.
    Control,
    /// Requests whose payload goes to the node.
    Upload,
    /// Requests whose payload comes from the node.
    Download,
}

/// What opens a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The newest version that the sender speaks.
    pub version: u16,
    /// What it will use the lane for.
    pub class: LaneKind,
}

/// What accepts a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version both will speak: the sender's newest that is not newer than the other's.
    pub version: u16,
    /// Requests that may be unanswered at a time on this lane.
    pub requests_max: u32,
    /// Longest payload in bytes.
    pub payload_len_bytes_max: u32,
}

/// Why a lane ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeCode {
    /// No version in common.
    Version,
    /// The other side sent what the protocol does not allow.
    Protocol,
    /// The other side is not, or no longer, admitted, or has too many lanes.
    Refused,
    /// The sender is shutting down.
    Shutdown,
}

/// What ends a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Why.
    pub code: GoodbyeCode,
    /// Why, for the log.
    pub reason: String,
}

/// A HELLO, WELCOME or GOODBYE that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a greeting of {len} bytes cannot be understood")]
pub struct InvalidHello {
    /// Length of the refused body.
    pub len: usize,
}

impl Hello {
    /// The frame's body: version, class, zero.
    #[must_use]
    pub fn encode(&self) -> [u8; 4] {
        let [high, low] = self.version.to_be_bytes();
        let class = match self.class {
            LaneKind::Control => 0,
            LaneKind::Upload => 1,
            LaneKind::Download => 2,
        };
        [high, low, class, 0]
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`InvalidHello`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidHello> {
        let (version, class) = match *bytes {
            [high, low, 0, 0] => ([high, low], LaneKind::Control),
            [high, low, 1, 0] => ([high, low], LaneKind::Upload),
            [high, low, 2, 0] => ([high, low], LaneKind::Download),
            _ => return Err(InvalidHello { len: bytes.len() }),
        };
        Ok(Self { version: u16::from_be_bytes(version), class })
    }
}

impl Welcome {
    /// The frame's body: version, two zeros, requests, payload length.
    #[must_use]
    pub fn encode(&self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..2].copy_from_slice(&self.version.to_be_bytes());
        out[4..8].copy_from_slice(&self.requests_max.to_be_bytes());
        out[8..].copy_from_slice(&self.payload_len_bytes_max.to_be_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`InvalidHello`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidHello> {
        let [v0, v1, 0, 0, r0, r1, r2, r3, p0, p1, p2, p3] = *bytes else {
            return Err(InvalidHello { len: bytes.len() });
        };
        Ok(Self {
            version: u16::from_be_bytes([v0, v1]),
            requests_max: u32::from_be_bytes([r0, r1, r2, r3]),
            payload_len_bytes_max: u32::from_be_bytes([p0, p1, p2, p3]),
        })
    }
}

impl Goodbye {
    /// The frame's body: a code and text. A long reason is cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let code = match self.code {
            GoodbyeCode::Version => 1,
            GoodbyeCode::Protocol => 2,
            GoodbyeCode::Refused => 3,
            GoodbyeCode::Shutdown => 4,
        };
        let end = self.reason.floor_char_boundary(GOODBYE_REASON_LEN_BYTES_MAX);
        [&[code], &self.reason.as_bytes()[..end]].concat()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`InvalidHello`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidHello> {
        let invalid = InvalidHello { len: bytes.len() };
        let (code, reason) = bytes.split_first().ok_or(invalid)?;
        let code = match code {
            1 => GoodbyeCode::Version,
            2 => GoodbyeCode::Protocol,
            3 => GoodbyeCode::Refused,
            4 => GoodbyeCode::Shutdown,
            _ => return Err(invalid),
        };
        if reason.len() > GOODBYE_REASON_LEN_BYTES_MAX {
            return Err(invalid);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| invalid)?.to_owned();
        Ok(Self { code, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn greetings_have_golden_bytes() {
        assert_eq!(Hello { version: 1, class: LaneKind::Download }.encode(), [0, 1, 2, 0]);
        let welcome = Welcome { version: 1, requests_max: 512, payload_len_bytes_max: 1 << 25 };
        assert_eq!(welcome.encode(), [0, 1, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0]);
        let goodbye = Goodbye { code: GoodbyeCode::Refused, reason: "no".to_owned() };
        assert_eq!(goodbye.encode(), b"\x03no");
    }

    #[test]
    fn other_forms_are_refused() {
        for bytes in [&[][..], &[0, 1, 3, 0], &[0, 1, 0, 1], &[0, 1, 0], &[0, 1, 0, 0, 0]] {
            assert_eq!(Hello::decode(bytes), Err(InvalidHello { len: bytes.len() }));
        }
        for bytes in [&[][..], &[0; 11], &[0; 13], &[1; 12]] {
            assert_eq!(Welcome::decode(bytes), Err(InvalidHello { len: bytes.len() }));
        }
        for bytes in [&[][..], &[0], &[5], &[1, 0xff], &[1; 258]] {
            assert_eq!(Goodbye::decode(bytes), Err(InvalidHello { len: bytes.len() }));
        }
    }

    #[test]
    fn long_reasons_are_cut_at_a_character() {
        let goodbye = Goodbye { code: GoodbyeCode::Shutdown, reason: "ä".repeat(300) };
        let read = Goodbye::decode(&goodbye.encode()).unwrap();
        assert_eq!(read.reason, "ä".repeat(128));
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(
            bytes in prop::collection::vec(prop_oneof![0u8..5, any::<u8>()], 0..14),
        ) {
            if let Ok(hello) = Hello::decode(&bytes) {
                prop_assert_eq!(&hello.encode()[..], &bytes);
            }
            if let Ok(welcome) = Welcome::decode(&bytes) {
                prop_assert_eq!(&welcome.encode()[..], &bytes);
            }
            if let Ok(goodbye) = Goodbye::decode(&bytes) {
                prop_assert_eq!(goodbye.encode(), bytes);
            }
        }

        #[test]
        fn greetings_round_trip(version: u16, requests_max: u32, payload_len_bytes_max: u32) {
            let welcome = Welcome { version, requests_max, payload_len_bytes_max };
            prop_assert_eq!(Welcome::decode(&welcome.encode()), Ok(welcome));
            for class in [LaneKind::Control, LaneKind::Upload, LaneKind::Download] {
                let hello = Hello { version, class };
                prop_assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
            }
        }
    }
}
