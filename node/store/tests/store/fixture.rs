//! What every test needs: a drive in a temporary directory, keys and payloads.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use node_proto::{
    ByteRange, ClusterId, DeviceHealth, DeviceId, GetShardError, ManifestId, ManualClock,
    ShardEntry, ShardIndex, ShardKey, ShardRoot, ShardService, StripeSeq, UnixMillis,
};
use node_store::{Drive, DriveConfig, DriveLimits, FaultyVfs};
use tempfile::TempDir;

pub(crate) const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
pub(crate) const DEVICE: DeviceId = DeviceId(3);

pub(crate) struct Bench {
    pub(crate) root: TempDir,
    pub(crate) vfs: Arc<FaultyVfs>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) limits: DriveLimits,
    pub(crate) capacity_bytes: Option<u64>,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            vfs: Arc::new(FaultyVfs::new(seed)),
            clock: Arc::new(ManualClock::new(UnixMillis(1_700_000_000_000))),
            limits: small_limits(),
            capacity_bytes: None,
        }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.root.path().join("drive")
    }

    pub(crate) fn config(&self) -> DriveConfig {
        let clock = Arc::clone(&self.clock);
        let mut config = DriveConfig::new(DEVICE, CLUSTER, self.directory(), clock);
        config.limits = self.limits;
        config.capacity_bytes = self.capacity_bytes;
        config.vfs = Arc::clone(&self.vfs) as Arc<dyn node_store::Vfs>;
        config
    }

    pub(crate) fn open(&self) -> Drive {
        let drive = Drive::open(self.config()).unwrap();
        let status = drive.status();
        assert_ne!(status.health, DeviceHealth::Offline, "{:?}", status.reason);
        drive
    }

    /// Files of all segments, by name.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.directory().join("segments"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        // Compaction may unlink one in between.
        self.segments().iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum()
    }

    pub(crate) fn forget_index(&self) {
        std::fs::remove_dir_all(self.directory().join("index")).unwrap();
    }
}

/// Small segments and quick maintenance.
pub(crate) fn small_limits() -> DriveLimits {
    DriveLimits {
        segment_bytes: 256 << 10,
        reserve_bytes: Some(512 << 10),
        full_below_bytes: 64 << 10,
        checkpoint_bytes: 128 << 10,
        compact_bytes_per_second: 1 << 30,
        scrub_bytes_per_second: 1 << 30,
        maintenance_interval: Duration::from_millis(5),
        index_buffer_bytes: 64 << 10,
        reader_threads: 2,
        ..DriveLimits::default()
    }
}

pub(crate) fn key(number: u64) -> ShardKey {
    ShardKey {
        manifest: ManifestId(number),
        stripe: StripeSeq(7),
        index: ShardIndex(u8::try_from(number % 6).unwrap()),
    }
}

/// Bytes that differ by seed and do not compress.
pub(crate) fn payload(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    (0..len).map(byte).collect()
}

pub(crate) fn root_of(payload: &[u8]) -> ShardRoot {
    ShardRoot(*blake3::hash(payload).as_bytes())
}

pub(crate) fn whole(len: usize) -> ByteRange {
    ByteRange { offset_bytes: 0, len_bytes: len as u64 }
}

pub(crate) async fn put(drive: &Drive, number: u64, bytes: &Bytes) {
    drive.put(key(number), root_of(bytes), bytes.clone()).await.unwrap();
}

/// The shard's bytes; `None` when it is not there. Any other failure fails the test.
pub(crate) async fn read(drive: &Drive, number: u64) -> Option<Bytes> {
    let entry = match drive.verify(key(number)).await {
        Ok(entry) => entry,
        Err(GetShardError::NotFound { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let len = usize::try_from(entry.len_bytes).unwrap();
    if len == 0 {
        return Some(Bytes::new());
    }
    Some(drive.get(key(number), whole(len)).await.unwrap())
}

pub(crate) async fn list_all(drive: &Drive) -> Vec<ShardEntry> {
    drive.list(None, usize::MAX).await.unwrap()
}

/// Waits until `holds`; the test fails when it takes longer than ten seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not happen within ten seconds: {what}");
}
