use node_proto::{
    DeviceId,
    conformance::{MemoryDevice, key},
};

use super::*;

fn numbers(reported: &[DamagedShard]) -> Vec<u32> {
    reported.iter().map(|shard| shard.key.stripe.0).collect()
}

#[test]
fn shards_are_reported_until_they_were_taken_note_of() {
    let device = Arc::new(MemoryDevice::new(DeviceId(3)));
    let devices: Vec<Arc<dyn ShardService>> = vec![Arc::clone(&device) as _];
    let log = DamagedLog::new(7);
    let (none, start) = log.report(&devices, None, 10);
    assert_eq!((none.len(), start), (0, DamagedMark { run: 7, number: 0 }));
    (0..5).for_each(|number| device.report_damaged(key(1, number)));
    let (first, mark) = log.report(&devices, Some(start), 3);
    assert_eq!(numbers(&first), [0, 1, 2]);
    // The answer was lost.
    let (again, _) = log.report(&devices, Some(start), 3);
    assert_eq!(first, again);
    let (rest, mark) = log.report(&devices, Some(mark), 3);
    assert_eq!(numbers(&rest), [3, 4]);
    // A mark of another run means nothing here.
    let foreign = DamagedMark { run: 8, ..mark };
    assert_eq!(numbers(&log.report(&devices, Some(foreign), 0).0), [0; 0]);
    assert_eq!(numbers(&log.report(&devices, Some(foreign), 9).0), [3, 4]);
    let (none, last) = log.report(&devices, Some(mark), 9);
    assert_eq!((none.len(), last), (0, mark));
}

#[test]
fn what_does_not_fit_stays_with_the_device() {
    let device = Arc::new(MemoryDevice::new(DeviceId(3)));
    let devices: Vec<Arc<dyn ShardService>> = vec![Arc::clone(&device) as _];
    (0..5000).for_each(|number| device.report_damaged(key(1, number)));
    let log = DamagedLog::new(7);
    let (mut found, mut seen) = (Vec::new(), None);
    while found.len() < 5000 {
        let (reported, mark) = log.report(&devices, seen, usize::MAX);
        assert!(!reported.is_empty() && reported.len() <= REPORTED_MAX);
        found.extend(numbers(&reported));
        seen = Some(mark);
    }
    assert_eq!(found, (0..5000).collect::<Vec<u32>>());
}
