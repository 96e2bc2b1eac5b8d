//! Opening a drive whose segments hold anything, without an index and with one.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use node_proto::{
    ByteRange, ClusterId, DeviceHealth, DeviceId, GetShardError, ManifestId, ManualClock,
    ShardEntry, ShardIndex, ShardKey, ShardService as _, StripeSeq, UnixMillis,
};

use super::{
    UUID,
    script::Script,
    segment::{Seen, sound_records},
};
use crate::{
    Drive, DriveConfig, DriveLimits, RealVfs,
    record::{HEADER_BYTES, RecordHeader, SegmentId, root_of},
    scan::Depth,
    segments::{SEGMENT_DIRECTORY, list_segments, segment_path},
    superblock::Superblock,
};

const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
const DEVICE: DeviceId = DeviceId(3);
/// Most segments of a drive.
const SEGMENTS_MAX: usize = 3;
/// A key that no script uses.
const NEW_KEY: ShardKey =
    ShardKey { manifest: ManifestId(99), stripe: StripeSeq(0), index: ShardIndex(0) };

/// A drive of up to three scripted segments and no index.
///
/// It opens, lists exactly what a replay of its sound records gives, serves a shard as verified
/// exactly if its bytes have the root, takes a new shard, and is the same after it was closed and
/// opened again with its index.
pub fn drive(data: &[u8]) {
    // The input ended where a choice was due: there is nothing to open.
    let _ = play(&mut Unstructured::new(data));
}

fn play(input: &mut Unstructured<'_>) -> Result<()> {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = root.path().join("drive");
    make(input, &directory)?;
    let (known, lost) = replay(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime of this thread needs nothing").block_on(async {
        let first = open(&directory);
        let listed = first.list(None, usize::MAX).await.expect("an open drive lists");
        let expected: Vec<ShardEntry> = known.values().map(|shard| shard.entry).collect();
        assert_eq!(listed, expected);
        assert!(first.status().continuity.content_lost || !lost, "lost content is told");
        for shard in known.values() {
            check(&first, shard).await;
        }
        let payload = Bytes::from_static(b"new");
        let put = first.put(NEW_KEY, root_of(&payload), payload.clone()).await;
        put.expect("a drive with space takes a shard");
        first.close().await;
        drop(first);

        let second = open(&directory);
        let again = second.list(None, usize::MAX).await.expect("an open drive lists");
        assert_eq!(again[..listed.len()], listed, "the index that was made is the index found");
        assert_eq!(again.len(), listed.len() + 1);
        let range = ByteRange { offset_bytes: 0, len_bytes: payload.len() as u64 };
        assert_eq!(second.get(NEW_KEY, range).await.expect("the new shard is there"), payload);
        second.close().await;
    });
    Ok(())
}

/// Makes a drive's directory.
fn make(input: &mut Unstructured<'_>, directory: &Path) -> Result<()> {
    let vfs = RealVfs::buffered();
    std::fs::create_dir_all(directory.join(SEGMENT_DIRECTORY)).expect("the directory can be made");
    let superblock = Superblock {
        cluster: CLUSTER,
        device: DEVICE,
        uuid: UUID,
        open_count: 1,
        formatted_at: UnixMillis(0),
        opening: None,
    };
    superblock.write(&vfs, directory).expect("a superblock can be written");
    let mut next_seq = 1;
    for number in 1..=input.int_in_range(1..=SEGMENTS_MAX)? {
        let segment = match input.int_in_range(0..=31u8)? {
            0 => SegmentId(input.arbitrary()?),
            _ => SegmentId(number as u64),
        };
        // The last segment takes what is left.
        let script = Script::play(input, UUID, segment, next_seq)?;
        next_seq = script.next_seq();
        std::fs::write(segment_path(directory, segment), script.bytes)
            .expect("a segment can be written");
    }
    Ok(())
}

/// A shard as a replay of the segments finds it.
struct Known {
    header: RecordHeader,
    entry: ShardEntry,
    payload: Vec<u8>,
}

/// The current shards by a replay of all sound records in order, and whether a segment that was
/// complete once has bytes that are no record.
fn replay(directory: &Path) -> (BTreeMap<ShardKey, Known>, bool) {
    let ids = list_segments(&RealVfs::buffered(), directory).expect("segments can be listed");
    let mut known: BTreeMap<ShardKey, Known> = BTreeMap::new();
    let mut lost = false;
    for id in &ids {
        let bytes = std::fs::read(segment_path(directory, *id)).expect("a segment can be read");
        let newest = ids.last() == Some(id);
        let depth = if newest { Depth::Whole } else { Depth::Ends };
        let (seen, end) = sound_records(&bytes, UUID, *id, depth, |_, _| true);
        lost |= !newest && (end.damaged_runs > 0 || end.sound_bytes < bytes.len() as u64);
        seen.into_iter().for_each(|seen| apply(&mut known, seen, &bytes));
    }
    (known, lost)
}

fn apply(known: &mut BTreeMap<ShardKey, Known>, (header, tombstones): Seen, bytes: &[u8]) {
    for tombstone in tombstones.iter().flatten() {
        if known.get(&tombstone.key).is_some_and(|shard| shard.header.seq < tombstone.seq) {
            known.remove(&tombstone.key);
        }
    }
    let Some(key) = header.key else {
        return;
    };
    if known.get(&key).is_some_and(|shard| shard.header.seq > header.seq) {
        return;
    }
    let start = usize::try_from(header.position.offset_bytes).expect("it fits") + HEADER_BYTES;
    let payload = bytes[start..start + header.payload_bytes as usize].to_vec();
    let entry = ShardEntry { key, len_bytes: u64::from(header.payload_bytes), root: header.root };
    known.insert(key, Known { header, entry, payload });
}

async fn check(drive: &Drive, shard: &Known) {
    let sound = root_of(&shard.payload) == shard.entry.root;
    match drive.verify(shard.entry.key).await {
        Ok(entry) => assert!(sound && entry == shard.entry, "verified although damaged"),
        Err(GetShardError::Damaged { .. }) => assert!(!sound, "damaged although sound"),
        Err(error) => panic!("{error}"),
    }
    if shard.payload.is_empty() {
        return;
    }
    let range = ByteRange { offset_bytes: 0, len_bytes: shard.entry.len_bytes };
    let bytes = drive.get(shard.entry.key, range).await;
    assert_eq!(bytes.expect("the header is sound"), shard.payload);
}

fn open(directory: &Path) -> Drive {
    let clock = Arc::new(ManualClock::new(UnixMillis(1_700_000_000_000)));
    let mut config = DriveConfig::new(DEVICE, CLUSTER, directory.to_owned(), clock);
    config.vfs = Arc::new(RealVfs::buffered());
    config.limits = DriveLimits {
        segment_bytes: 256 << 10,
        reserve_bytes: Some(512 << 10),
        full_below_bytes: 64 << 10,
        index_buffer_bytes: 64 << 10,
        reader_threads: 1,
        group_wait: Duration::ZERO,
        // Nothing happens that was not asked for.
        maintenance_interval: Duration::from_secs(3600),
        ..DriveLimits::default()
    };
    let drive = Drive::open(config).expect("the directory is this drive's");
    let status = drive.status();
    assert_eq!(status.health, DeviceHealth::Online, "{:?}", status.reason);
    drive
}
