use node_proto::{ClusterId, DeviceId, Epoch, conformance};

use super::*;

fn order(number: u32, expires: u64) -> CopyOrder {
    let mut nonce = [0; 16];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    CopyOrder {
        cluster: ClusterId([1; 16]),
        nonce,
        epoch: Epoch(1),
        source: PeerKey([2; 32]),
        source_device: DeviceId(3),
        reader: PeerKey([4; 32]),
        key: conformance::key(1, 1),
        root: conformance::root_of(b"x"),
        len_bytes: 1,
        expires: UnixMillis(expires),
    }
}

#[test]
fn a_full_ledger_refuses_until_orders_have_ended() {
    let ledger = OrderLedger::default();
    let full = u32::try_from(REMEMBERED_MAX).unwrap();
    for number in 0..full {
        let expires = 1000 + u64::from(number % 10);
        assert_eq!(ledger.use_once(&order(number, expires), UnixMillis(1)), Ok(()));
    }
    let one_more = order(full, 5000);
    assert_eq!(ledger.use_once(&one_more, UnixMillis(1)), Err(Response::Busy));
    assert_eq!(ledger.use_once(&one_more, UnixMillis(1000)), Ok(()));
    let replayed = Response::Refused(Refusal::OrderReplayed);
    assert_eq!(ledger.use_once(&one_more, UnixMillis(1000)), Err(replayed));
}
