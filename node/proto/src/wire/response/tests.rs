use proptest::prelude::*;

use super::*;
use crate::{
    Continuity, DeviceHealth, DeviceUuid, ManifestId, OpeningId, ShardIndex, ShardRoot, StripeSeq,
};

const DEVICE: DeviceId = DeviceId(5);
const KEY: ShardKey =
    ShardKey { manifest: ManifestId(1), stripe: StripeSeq(2), index: ShardIndex(3) };

fn reason() -> String {
    "gone".to_owned()
}

fn entry() -> ShardEntry {
    ShardEntry { key: KEY, len_bytes: 300, root: ShardRoot([9; 32]) }
}

fn status() -> PeerStatus {
    let continuity = Continuity {
        opening: OpeningId([1; 16]),
        previous: Some(OpeningId([2; 16])),
        found_mark: 3,
        mark: 4,
        content_lost: true,
    };
    let status = DeviceStatus {
        device: DEVICE,
        uuid: Some(DeviceUuid([6; 16])),
        open_count: 7,
        continuity,
        health: DeviceHealth::Full,
        reason: Some(reason()),
        capacity_bytes: 8,
        free_bytes: 9,
        shard_count: 10,
    };
    let scrub = ScrubProgress {
        running: true,
        verified_shards: 11,
        verified_bytes: 12,
        damaged_shards: 13,
        completed_passes: 14,
    };
    PeerStatus {
        epoch: Epoch(15),
        version: "v".to_owned(),
        devices: vec![DeviceReport { status, scrub }],
        damaged: vec![DamagedShard { device: DEVICE, key: KEY }],
        damaged_mark: DamagedMark { run: 16, number: 17 },
    }
}

/// One of each kind, and of each error within.
fn every_response() -> Vec<Response> {
    let (device, key, epoch) = (DEVICE, KEY, Epoch(300));
    let mut all = vec![
        Response::Done,
        Response::Payload { len_bytes: 300 },
        Response::Entry(entry()),
        Response::Entries(vec![entry()]),
        Response::Status(status()),
        Response::Layout(epoch),
        Response::Busy,
        Response::TimedOut,
    ];
    let refusals = [
        Refusal::NotAllowed,
        Refusal::Invalid { reason: reason() },
        Refusal::NoDevice { device },
        Refusal::NoCluster,
        Refusal::OrderAltered,
        Refusal::OrderExpired,
        Refusal::OrderOfOtherCluster,
        Refusal::OrderForOtherReader,
        Refusal::OrderForOtherSource,
        Refusal::OrderStale { epoch },
        Refusal::OrderReplayed,
    ];
    all.extend(refusals.map(Response::Refused));
    let puts = [
        PutShardError::Conflict { key },
        PutShardError::RootMismatch { key },
        PutShardError::Full { device },
        PutShardError::Busy { device },
        PutShardError::Offline { device, reason: reason() },
    ];
    all.extend(puts.clone().map(Response::PutFailed));
    let gets = [
        GetShardError::NotFound { key, device },
        GetShardError::Damaged { key, device, reason: reason() },
        GetShardError::Busy { device },
        GetShardError::Offline { device, reason: reason() },
    ];
    all.extend(gets.map(Response::GetFailed));
    let offline = DeleteShardsError::Offline { device, reason: reason() };
    all.push(Response::DeleteFailed(offline));
    all.push(Response::ListFailed(ListShardsError::Offline { device, reason: reason() }));
    let source_device = DeviceId(6);
    all.push(Response::CopyFailed(CopyShardError::Unsupported { device }));
    let source = CopyShardError::Source { key, device, source_device, reason: reason() };
    all.push(Response::CopyFailed(source));
    all.extend(puts.map(|put| Response::CopyFailed(CopyShardError::Put(put))));
    all.push(Response::LayoutInvalid { reason: reason() });
    all.push(Response::LayoutStale { epoch });
    all.push(Response::LayoutNotStored { reason: reason() });
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_response_has_golden_bytes() {
    let root = "09".repeat(32);
    let entry = format!("010203ac02{root}");
    let status = format!(
        "040f0176010501{}07{}01{}030401010104676f6e6508090a010b0c0d0e01050102031011",
        "06".repeat(16),
        "01".repeat(16),
        "02".repeat(16),
    );
    let golden = [
        "00".to_owned(),
        "01ac02".to_owned(),
        format!("02{entry}"),
        format!("0301{entry}"),
        status,
        "05ac02".to_owned(),
        "06".to_owned(),
        "07".to_owned(),
    ];
    let rest = [
        "0800",
        "080104676f6e65",
        "080205",
        "0803",
        "0804",
        "0805",
        "0806",
        "0807",
        "0808",
        "0809ac02",
        "080a",
        "0900010203",
        "0901010203",
        "090205",
        "090305",
        "09040504676f6e65",
        "0a0001020305",
        "0a010102030504676f6e65",
        "0a0205",
        "0a030504676f6e65",
        "0b000504676f6e65",
        "0c000504676f6e65",
        "0d0005",
        "0d01010203050604676f6e65",
        "0d0200010203",
        "0d0201010203",
        "0d020205",
        "0d020305",
        "0d02040504676f6e65",
        "0e04676f6e65",
        "0fac02",
        "1004676f6e65",
    ];
    let golden: Vec<String> =
        golden.into_iter().chain(rest.into_iter().map(str::to_owned)).collect();
    let found: Vec<String> = every_response().iter().map(|one| hex(&one.encode())).collect();
    assert_eq!(found, golden);
}

#[test]
fn every_response_round_trips_and_trailing_bytes_are_refused() {
    for response in every_response() {
        let mut bytes = response.encode();
        assert_eq!(Response::decode(&bytes), Ok(response));
        bytes.push(0);
        assert_eq!(Response::decode(&bytes), Err(InvalidResponse { len: bytes.len() }));
    }
    assert_eq!(Response::decode(&[17]), Err(InvalidResponse { len: 1 }));
}

#[test]
fn reports_over_their_bounds_are_refused() {
    let many = Response::Entries(vec![entry(); LIST_ENTRIES_MAX + 1]).encode();
    assert_eq!(Response::decode(&many), Err(InvalidResponse { len: many.len() }));
    let mut status = status();
    status.devices = vec![status.devices[0].clone(); DEVICES_MAX + 1];
    let many = Response::Status(status).encode();
    assert_eq!(Response::decode(&many), Err(InvalidResponse { len: many.len() }));
}

#[test]
fn the_longest_answers_fit_in_a_frame() {
    let key = ShardKey {
        manifest: ManifestId(u64::MAX),
        stripe: StripeSeq(u32::MAX),
        index: ShardIndex(u8::MAX),
    };
    let entry = ShardEntry { key, len_bytes: u64::MAX, root: ShardRoot([255; 32]) };
    let entries = Response::Entries(vec![entry; LIST_ENTRIES_MAX]).encode();
    assert!(entries.len() <= crate::wire::FRAME_LEN_BYTES_MAX, "{}", entries.len());
    let mut status = status();
    let mut report = status.devices[0].clone();
    report.status.reason = Some("x".repeat(REASON_LEN_BYTES_MAX));
    status.devices = vec![report; DEVICES_MAX];
    let status = Response::Status(status).encode();
    assert!(status.len() <= crate::wire::FRAME_LEN_BYTES_MAX * 7 / 8, "{}", status.len());
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(response) = Response::decode(&bytes) {
            prop_assert_eq!(Response::decode(&response.encode()), Ok(response));
        }
    }

    #[test]
    fn altered_answers_never_panic(which: prop::sample::Index, place: prop::sample::Index, byte: u8) {
        let all = every_response();
        let mut bytes = all[which.index(all.len())].encode();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = Response::decode(&bytes);
        let _ = Response::decode(&bytes[..place]);
    }
}
