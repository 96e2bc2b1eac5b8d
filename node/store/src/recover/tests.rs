use std::sync::Arc;

use bytes::Bytes;
use node_proto::{
    ClusterId, DeviceId, ManifestId, ManualClock, ShardIndex, ShardKey, ShardService, StripeSeq,
};

use super::*;
use crate::{Drive, record::root_of, rows::Place};

type Rows = (
    Vec<(ShardKey, Option<crate::rows::ShardRow>)>,
    Vec<(Position, Place)>,
    Vec<(SegmentId, crate::rows::SegmentStats)>,
);

fn key(number: u64) -> ShardKey {
    ShardKey { manifest: ManifestId(number), stripe: StripeSeq(0), index: ShardIndex(0) }
}

/// Every row of the index of a closed drive.
fn rows(config: &DriveConfig) -> Rows {
    let index = Index::open(&config.directory.join(INDEX_DIRECTORY), 1 << 20, None).unwrap();
    let keys = index.shards(None, usize::MAX).unwrap();
    let shards = keys.iter().map(|entry| (entry.key, index.shard(&entry.key).unwrap())).collect();
    let first = Position { segment: SegmentId(0), offset_bytes: 0 };
    (shards, index.places(first, usize::MAX).unwrap(), index.segments().unwrap())
}

#[tokio::test]
async fn a_rebuilt_index_equals_the_one_that_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let mut config =
        DriveConfig::new(DeviceId(0), ClusterId([7; 16]), directory.path().join("drive"), clock);
    config.limits.segment_bytes = 128 << 10;
    config.limits.compact_dead_percent = 100;
    let drive = Drive::open(config.clone()).unwrap();
    for number in 0..100_u64 {
        let bytes = Bytes::from(number.to_be_bytes().repeat(1 + number as usize * 20));
        drive.put(key(number), root_of(&bytes), bytes).await.unwrap();
    }
    drive.delete((0..100).filter(|number| number % 3 == 0).map(key).collect()).await.unwrap();
    for number in (1..100).step_by(10) {
        let bytes = Bytes::from(vec![9; 5_000]);
        drive.replace(key(number), root_of(&bytes), bytes).await.unwrap();
    }
    drive.close().await;
    let before = rows(&config);
    assert!(before.0.len() > 60 && before.1.len() == before.0.len() + 1 && before.2.len() > 5);
    std::fs::remove_dir_all(config.directory.join(INDEX_DIRECTORY)).unwrap();
    Drive::open(config.clone()).unwrap().close().await;
    assert_eq!(rows(&config), before);
}

#[test]
fn segment_names_are_golden() {
    let path = segment_path(Path::new("/drive"), SegmentId(0x1f));
    assert_eq!(path, Path::new("/drive/segments/000000000000001f.seg"));
}
