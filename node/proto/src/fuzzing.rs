//! Entry points for fuzzing: everything that a peer or an operator hands over.
//!
//! Each function takes any bytes and panics when a property does not hold. The targets of
//! `compat-tests/fuzz` call them, and a test replays every input that is kept there.
//!
//! Deliberately absent: from every build but tests and the fuzz package's own.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ClusterKey, CopyOrder, JoinAnswer, JoinRequest, JoinToken, Layout, PeerKey,
    signed::{Document, InvalidDocument, Signed},
    wire::{FrameHeader, Goodbye, HEADER_LEN_BYTES, Hello, RequestFrame, Response, Welcome},
};

#[cfg(test)]
#[path = "../../../compat-tests/fuzz/kept.rs"]
mod kept;

/// Frames of the shard protocol. The first byte chooses the kind.
///
/// What decodes encodes to at most as many bytes, and those decode to the same frame; what it says
/// is within its bounds.
pub fn frame(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => {
            let Some(bytes) = bytes.first_chunk::<HEADER_LEN_BYTES>() else {
                return;
            };
            if let Ok(header) = FrameHeader::decode(bytes) {
                assert_eq!(header.encode(), *bytes);
            }
        }
        1 => again(bytes, Hello::decode(bytes).ok(), |hello| hello.encode().to_vec()),
        2 => again(bytes, Welcome::decode(bytes).ok(), |welcome| welcome.encode().to_vec()),
        3 => again(bytes, Goodbye::decode(bytes).ok(), Goodbye::encode),
        4 => {
            let found = RequestFrame::decode(bytes);
            if let Ok(frame) = &found {
                let announced = frame.head.payload_len_bytes;
                assert_eq!(RequestFrame::payload_len_of(bytes), Some(announced));
                assert!(frame.request.has_payload() || announced == 0);
                assert_eq!(RequestFrame::decode(&frame.encode()).as_ref(), Ok(frame));
            }
            again(bytes, found.ok(), RequestFrame::encode);
        }
        _ => again(bytes, Response::decode(bytes).ok(), Response::encode),
    }
}

fn again<T>(bytes: &[u8], found: Option<T>, encode: impl Fn(&T) -> Vec<u8>) {
    let Some(found) = found else {
        return;
    };
    assert!(encode(&found).len() <= bytes.len(), "grows by being read");
}

/// Tokens, peer ids, requests to join and signed documents. The first byte chooses the kind.
///
/// What is read can be written and read again; no document verifies that the cluster did not sign.
pub fn join(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(token) = text.parse::<JoinToken>() {
                assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
        1 => {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(peer) = text.parse::<PeerKey>() {
                assert_eq!(peer.to_string(), text);
            }
        }
        2 => document::<JoinRequest>(bytes),
        3 => document::<JoinAnswer>(bytes),
        4 => signed::<Layout>(bytes),
        _ => signed::<CopyOrder>(bytes),
    }
}

fn document<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok((found, _)) = postcard::take_from_bytes::<T>(bytes) else {
        return;
    };
    let encoded = postcard::to_extend(&found, Vec::new()).expect("what was read can be written");
    assert!(encoded.len() <= bytes.len(), "grows by being read");
    assert_eq!(postcard::from_bytes::<T>(&encoded).as_ref(), Ok(&found));
}

fn signed<T: Document + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let key = ClusterKey::from_seed(&[7; 32]);
    let forged = Signed::<T>::from_parts(bytes.to_vec().into(), vec![0; 64].into());
    assert_eq!(forged.verify(&key.public()), Err(InvalidDocument::Signature));
    if let Ok((found, _)) = postcard::take_from_bytes::<T>(bytes) {
        assert_eq!(key.sign(&found).verify(&key.public()), Ok(found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_inputs_hold() {
        kept::replay("proto_frame", frame);
        kept::replay("proto_join", join);
    }
}
