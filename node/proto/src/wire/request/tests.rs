use proptest::prelude::*;

use super::*;
use crate::{ManifestId, ShardIndex, StripeSeq, signed::Signed};

fn key(number: u64) -> ShardKey {
    ShardKey { manifest: ManifestId(number), stripe: StripeSeq(2), index: ShardIndex(3) }
}

fn frame(request: Request, payload_len_bytes: u32) -> RequestFrame {
    let head = RequestHead { deadline_ms: 30_000, priority: Priority::Normal, payload_len_bytes };
    RequestFrame { head, request }
}

fn order() -> SignedCopyOrder {
    Signed::from_parts(Bytes::from_static(b"body"), Bytes::from_static(b"sig"))
}

/// One of each kind.
fn every_request() -> Vec<Request> {
    let (device, root) = (DeviceId(5), ShardRoot([9; 32]));
    vec![
        Request::Put { device, key: key(1), root },
        Request::Replace { device, key: key(1), root },
        Request::Get { device, key: key(1), range: ByteRange { offset_bytes: 300, len_bytes: 7 } },
        Request::Verify { device, key: key(1) },
        Request::Delete { device, keys: vec![key(1), key(2)] },
        Request::List { device, after: Some(key(1)), limit: 10 },
        Request::Status { damaged_seen: Some(DamagedMark { run: 4, number: 6 }), damaged_max: 8 },
        Request::StartScrub { device },
        Request::SetLayout { signature: Bytes::from_static(b"sig") },
        Request::Copy { device, order: order() },
        Request::Fetch { order: order() },
        Request::Echo,
    ]
}

#[test]
fn every_request_has_golden_bytes() {
    // Deadline 30,000 ms, normal priority, no payload.
    let head = [0xb0, 0xea, 0x01, 1, 0];
    let shard = [1, 2, 3];
    let golden: Vec<Vec<u8>> = vec![
        [&[0, 5][..], &shard, &[9; 32]].concat(),
        [&[1, 5][..], &shard, &[9; 32]].concat(),
        [&[2, 5][..], &shard, &[0xac, 2, 7]].concat(),
        [&[3, 5][..], &shard].concat(),
        vec![4, 5, 2, 1, 2, 3, 2, 2, 3],
        [&[5, 5, 1][..], &shard, &[10]].concat(),
        vec![6, 1, 4, 6, 8],
        vec![7, 5],
        [&[8, 3][..], b"sig"].concat(),
        [&[9, 5, 4][..], b"body", &[3], b"sig"].concat(),
        [&[10, 4][..], b"body", &[3], b"sig"].concat(),
        vec![11],
    ];
    for (request, golden) in every_request().into_iter().zip(golden) {
        let frame = frame(request, 0);
        assert_eq!(frame.encode(), [&head[..], &golden].concat(), "{frame:?}");
        assert_eq!(RequestFrame::decode(&frame.encode()), Ok(frame));
    }
}

#[test]
fn trailing_bytes_and_unknown_kinds_are_refused() {
    for request in every_request() {
        let mut bytes = frame(request, 0).encode();
        bytes.push(0);
        assert_eq!(RequestFrame::decode(&bytes), Err(InvalidRequest::Unreadable));
    }
    let unknown = [0xb0, 0xea, 0x01, 1, 0, 12];
    assert_eq!(RequestFrame::decode(&unknown), Err(InvalidRequest::Unreadable));
    assert_eq!(RequestFrame::payload_len_of(&unknown), Some(0));
    assert_eq!(RequestFrame::payload_len_of(&unknown[..3]), None);
}

#[test]
fn bounds_are_checked() {
    let device = DeviceId(5);
    let refused = |request: Request, payload_len_bytes| {
        RequestFrame::decode(&frame(request, payload_len_bytes).encode()).unwrap_err()
    };
    let many = Request::Delete { device, keys: vec![key(1); DELETE_KEYS_MAX + 1] };
    assert!(matches!(refused(many, 0), InvalidRequest::OverLimit { value: 4097, .. }));
    let long = Request::List { device, after: None, limit: 4097 };
    assert!(matches!(refused(long, 0), InvalidRequest::OverLimit { what: "limit", .. }));
    let range = ByteRange { offset_bytes: 0, len_bytes: (32 << 20) + 1 };
    let wide = Request::Get { device, key: key(1), range };
    assert!(matches!(refused(wide, 0), InvalidRequest::OverLimit { what: "range length", .. }));
    let huge = Request::Put { device, key: key(1), root: ShardRoot([0; 32]) };
    let over = (32 << 20) + 1;
    assert!(matches!(
        refused(huge, over),
        InvalidRequest::OverLimit { what: "payload length", .. }
    ));
    assert_eq!(refused(Request::Echo, 1), InvalidRequest::Payload { len_bytes: 1 });
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frame) = RequestFrame::decode(&bytes) {
            prop_assert_eq!(RequestFrame::decode(&frame.encode()), Ok(frame));
        }
        let _ = RequestFrame::payload_len_of(&bytes);
    }

    #[test]
    fn altered_requests_never_panic(which in 0usize..12, place: prop::sample::Index, byte: u8) {
        let mut bytes = frame(every_request().swap_remove(which), 0).encode();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = RequestFrame::decode(&bytes);
        let _ = RequestFrame::decode(&bytes[..place]);
    }
}
