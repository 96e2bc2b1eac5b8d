use std::{sync::Arc, time::Duration};

use node_proto::wire::HEADER_LEN_BYTES;

use super::*;
use crate::lane::{Budget, Progress};

const MIB: usize = 1 << 20;

fn message(id: u64, payload_len: usize, priority: Priority) -> Message {
    Message {
        kind: FrameKind::Request,
        id: RequestId(id),
        body: vec![7; 10],
        payload: Bytes::from(vec![id.to_le_bytes()[0]; payload_len]),
        priority,
        deadline: Instant::now() + Duration::from_secs(1),
        reservation: None,
    }
}

/// What would be written, frame by frame, until nothing is left or so many slices were taken.
fn drain(outbox: &Outbox, slices: usize) -> Vec<(FrameKind, u64, usize)> {
    let mut written = Vec::new();
    for _ in 0..slices {
        let mut out = BytesMut::new();
        let next = outbox.next(&mut out);
        written.extend_from_slice(&out);
        match next {
            Next::Data(slice, _) => written.extend_from_slice(&slice),
            Next::Collected if out.is_empty() => break,
            Next::Collected => {}
            Next::Finished => break,
        }
    }
    let (mut frames, mut rest) = (Vec::new(), &written[..]);
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN_BYTES>() {
        let header = FrameHeader::decode(header).unwrap();
        frames.push((header.kind, header.request.0, header.len_bytes as usize));
        rest = &behind[header.len_bytes as usize..];
    }
    assert!(rest.is_empty());
    frames
}

#[tokio::test]
async fn a_payload_is_cut_into_frames_behind_its_request() {
    let outbox = Outbox::new();
    outbox.push(message(1, 600_000, Priority::Normal));
    let frames = drain(&outbox, 100);
    let data = |len| (FrameKind::Data, 1, len);
    let rest = 600_000 - 2 * DATA_LEN_BYTES_MAX;
    assert_eq!(
        frames,
        [
            (FrameKind::Request, 1, 10),
            data(DATA_LEN_BYTES_MAX),
            data(DATA_LEN_BYTES_MAX),
            data(rest)
        ]
    );
}

#[tokio::test]
async fn frames_and_urgent_and_small_payloads_overtake_between_two_data_frames() {
    let outbox = Outbox::new();
    outbox.push(message(1, MIB, Priority::Normal));
    outbox.push(message(2, MIB, Priority::Normal));
    outbox.push(message(3, MIB, Priority::Background));
    drain(&outbox, 1);
    outbox.push(message(4, 1000, Priority::Normal));
    outbox.push(message(5, MIB, Priority::Urgent));
    outbox.signal(FrameKind::Ping, RequestId(0));
    let order: Vec<u64> = drain(&outbox, 4).into_iter().map(|(_, id, _)| id).collect();
    // The ping, both urgent ones in their order, and only then the rest of the first.
    assert_eq!(order[..4], [0, 4, 4, 5]);
    assert!(!order.contains(&1), "{order:?}");
}

#[tokio::test]
async fn nothing_waits_for_ever() {
    let outbox = Outbox::new();
    outbox.push(message(1, 100_000, Priority::Background));
    for id in 2..40 {
        outbox.push(message(id, MIB, Priority::Normal));
    }
    let order: Vec<u64> = drain(&outbox, 10).into_iter().map(|(_, id, _)| id).collect();
    assert!(order.contains(&1), "{order:?}");
}

#[tokio::test]
async fn what_is_withdrawn_is_not_sent() {
    let outbox = Outbox::new();
    outbox.push(message(1, MIB, Priority::Normal));
    outbox.push(message(2, MIB, Priority::Normal));
    outbox.push(message(3, 0, Priority::Normal));
    assert_eq!(outbox.withdraw(RequestId(3)), Withdrawn::Unsent);
    drain(&outbox, 1);
    assert_eq!(outbox.withdraw(RequestId(1)), Withdrawn::Cut);
    assert_eq!(outbox.withdraw(RequestId(1)), Withdrawn::Absent);
    assert_eq!(outbox.withdraw(RequestId(2)), Withdrawn::Unsent);
    outbox.signal(FrameKind::Cancel, RequestId(9));
    assert_eq!(outbox.withdraw(RequestId(9)), Withdrawn::Absent, "a signal was taken back");
    assert_eq!(drain(&outbox, 10), [(FrameKind::Cancel, 9, 0)]);
}

#[tokio::test(start_paused = true)]
async fn payloads_that_are_late_before_they_begin_are_not_sent() {
    let outbox = Outbox::new();
    outbox.push(message(1, MIB, Priority::Normal));
    drain(&outbox, 1);
    outbox.push(message(2, MIB, Priority::Normal));
    tokio::time::advance(Duration::from_secs(2)).await;
    let ids: Vec<u64> = drain(&outbox, 100).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, [1, 1, 1], "one that has begun is finished, another is not begun");
}

#[tokio::test]
async fn memory_is_given_back_with_the_last_slice() {
    let budget = Budget::new(0);
    let reservation = budget.try_reserve(32 * MIB);
    let outbox = Arc::new(Outbox::new());
    outbox.push(Message { reservation, ..message(1, MIB, Priority::Normal) });
    outbox.signal(FrameKind::Ping, RequestId(0));
    assert!(!outbox.is_idle());
    let mut writer = FrameWriter::new(futures::io::sink(), Arc::new(Progress::new()));
    let writing = write_all(&outbox, &mut writer);
    assert!(tokio::time::timeout(Duration::from_millis(50), writing).await.is_err());
    assert!(budget.try_reserve(32 * MIB).is_some());
    assert!(outbox.is_idle());
}

#[tokio::test]
async fn a_goodbye_is_the_last_frame() {
    let outbox = Outbox::new();
    outbox.push(message(1, MIB, Priority::Normal));
    outbox.signal(FrameKind::Pong, RequestId(0));
    outbox.finish(vec![4]);
    assert_eq!(drain(&outbox, 10), [(FrameKind::Pong, 0, 0), (FrameKind::Goodbye, 0, 1)]);
    let mut writer = FrameWriter::new(futures::io::sink(), Arc::new(Progress::new()));
    outbox.finish(vec![4]);
    write_all(&outbox, &mut writer).await.unwrap();
}
