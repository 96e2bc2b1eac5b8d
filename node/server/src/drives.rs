//! From directories to the devices of the layout.
//!
//! The configuration says where drives are, the layout which devices this node has. They meet in
//! the drives' superblocks: a drive that moved to another directory is still the device it was.
//!
//! Invariants:
//! - a directory that is missing is made only while no layout names it; later it is a drive that is
//!   away;
//! - a drive is formatted only as a device that the layout puts at its directory;
//! - nothing here stops at the first bad drive.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use node_proto::{Clock, ClusterId, DeviceId, LayoutDevice, join::OfferedDrive};
use node_store::{Drive, DriveConfig, DriveIdentity, IndexCache, OpenDriveError, RealVfs, Vfs};

use crate::{config::DriveSpec, durable_file};

/// Index memory shared by all drives. Chosen: about two million shards' hot rows.
const INDEX_CACHE_BYTES: usize = 64 << 20;

/// Why a configured drive is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnusableDrive {
    #[error("{path} cannot be used: {reason}")]
    Io { path: String, reason: String },
    #[error("{path} is not UTF-8")]
    Name { path: String },
    #[error("{path} is named twice")]
    Twice { path: String },
    #[error("{path} belongs to another cluster ({found})")]
    ForeignCluster { path: String, found: ClusterId },
    #[error("{path} is device {}, which is not a device of this node", device.0)]
    ForeignDevice { path: String, device: DeviceId },
    #[error("{path} and {other} are both device {}: name only the current one", device.0)]
    Copy { path: String, other: String, device: DeviceId },
    #[error("{path} holds {found} and is not a drive: name an empty directory")]
    NotADrive { path: String, found: String },
}

/// What the node knows of its cluster when it looks at its drives.
pub(crate) struct Known<'a> {
    /// The cluster it belongs to or wants to join.
    pub(crate) cluster: Option<ClusterId>,
    /// Its devices in the layout.
    pub(crate) devices: &'a [LayoutDevice],
}

/// A configured drive that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundDrive {
    /// Where it is now; canonical.
    pub(crate) directory: PathBuf,
    /// What the layout calls it, or will: its address.
    pub(crate) address: String,
    /// The device that the layout makes of it, if any.
    pub(crate) device: Option<DeviceId>,
    /// Space it gives to shards; `None` for all of it.
    pub(crate) capacity_bytes: Option<u64>,
}

/// Finds out what each configured drive is. Blocks for I/O.
pub(crate) fn survey(
    specs: &[DriveSpec],
    known: &Known<'_>,
) -> (Vec<FoundDrive>, Vec<UnusableDrive>) {
    let (mut found, mut unusable) = (Vec::<FoundDrive>::new(), Vec::new());
    let mut places = BTreeMap::<PathBuf, ()>::new();
    // Drives that are known by their superblock first: an empty one may have taken the place of
    // one that moved.
    let (mut unformatted, mut spoilt) = (Vec::new(), Vec::new());
    for spec in specs {
        let directory = canonical(&spec.path);
        let path = directory.display().to_string();
        if places.insert(directory.clone(), ()).is_some() {
            unusable.push(UnusableDrive::Twice { path });
            continue;
        }
        match recognise(&directory, spec.capacity_bytes, known, &found) {
            Ok(Some(drive)) => found.push(drive),
            Ok(None) => unformatted.push((directory, spec.capacity_bytes)),
            Err(error) => {
                unusable.push(error);
                spoilt.push((directory, spec.capacity_bytes));
            }
        }
    }
    // What fails, or has the wrong content, where a device should be is opened nevertheless: the
    // device is then offline and says why.
    for (directory, capacity_bytes) in spoilt {
        found.extend(known_place(&directory, capacity_bytes, known, &found));
    }
    for (directory, capacity_bytes) in unformatted {
        match place(directory, capacity_bytes, known, &found) {
            Ok(drive) => found.push(drive),
            Err(error) => unusable.push(error),
        }
    }
    (found, unusable)
}

/// The drive whose superblock is in `directory`; `None` when there is none.
fn recognise(
    directory: &Path,
    capacity_bytes: Option<u64>,
    known: &Known<'_>,
    found: &[FoundDrive],
) -> Result<Option<FoundDrive>, UnusableDrive> {
    let path = text_of(directory)?;
    let identified = node_store::identify(directory)
        .map_err(|error| UnusableDrive::Io { path: path.clone(), reason: error.reason })?;
    let Some(DriveIdentity { cluster, device }) = identified else {
        return Ok(None);
    };
    if known.cluster != Some(cluster) {
        return Err(UnusableDrive::ForeignCluster { path, found: cluster });
    }
    let Some(slot) = known.devices.iter().find(|slot| slot.id == device) else {
        return Err(UnusableDrive::ForeignDevice { path, device });
    };
    if let Some(other) = found.iter().find(|other| other.device == Some(device)) {
        let other = other.directory.display().to_string();
        return Err(UnusableDrive::Copy { path, other, device });
    }
    let (directory, address) = (directory.to_owned(), slot.address.clone());
    Ok(Some(FoundDrive { directory, address, device: Some(device), capacity_bytes }))
}

/// The device that the layout puts at `directory`, unless its drive was found elsewhere.
fn known_place(
    directory: &Path,
    capacity_bytes: Option<u64>,
    known: &Known<'_>,
    found: &[FoundDrive],
) -> Option<FoundDrive> {
    let is_free = |device: DeviceId| found.iter().all(|other| other.device != Some(device));
    // Compared as paths: what ends in a slash is the same directory.
    let is_here = |slot: &&LayoutDevice| Path::new(&slot.address) == directory && is_free(slot.id);
    let slot = known.devices.iter().find(is_here)?;
    let (directory, address) = (directory.to_owned(), slot.address.clone());
    Some(FoundDrive { directory, address, device: Some(slot.id), capacity_bytes })
}

/// A drive without a superblock: the device that the layout puts there, or one to offer.
fn place(
    directory: PathBuf,
    capacity_bytes: Option<u64>,
    known: &Known<'_>,
    found: &[FoundDrive],
) -> Result<FoundDrive, UnusableDrive> {
    if let Some(known) = known_place(&directory, capacity_bytes, known, found) {
        return Ok(known);
    }
    let mut address = text_of(&directory)?;
    ensure_may_join(&directory, &address)?;
    // A drive that moved away keeps its address, so the new one here needs another.
    while known.devices.iter().any(|device| device.address == address) {
        address.push('/');
    }
    Ok(FoundDrive { directory, address, device: None, capacity_bytes })
}

/// A directory that joins exists and is empty.
fn ensure_may_join(directory: &Path, path: &str) -> Result<(), UnusableDrive> {
    let io = |error: std::io::Error| UnusableDrive::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    durable_file::make_directory(directory).map_err(io)?;
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        // What a start that crashed while formatting leaves, and what file systems put there.
        let harmless = ["lock", "superblock.tmp", "lost+found"];
        if !harmless.iter().any(|harmless| name == *harmless) {
            let (path, found) = (path.to_owned(), name.to_string_lossy().into_owned());
            return Err(UnusableDrive::NotADrive { path, found });
        }
    }
    Ok(())
}

/// With symlinks resolved where it exists; a drive that is away may have had this very path.
fn canonical(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    fs::canonicalize(path).unwrap_or_else(|_| absolute())
}

fn text_of(directory: &Path) -> Result<String, UnusableDrive> {
    let lossy = || UnusableDrive::Name { path: directory.display().to_string() };
    directory.to_str().map(str::to_owned).ok_or_else(lossy)
}

/// What the node tells a gateway of a drive. Blocks for I/O.
pub(crate) fn offer(drive: &FoundDrive) -> OfferedDrive {
    // One that cannot be looked at now is told without its size; the device itself tells later.
    let total_bytes = RealVfs::new().space(&drive.directory).map_or(0, |space| space.total_bytes);
    OfferedDrive {
        path: drive.address.clone(),
        mount_point: is_mount_point(&drive.directory),
        capacity_bytes: drive.capacity_bytes.unwrap_or(total_bytes),
    }
}

/// Whether another file system begins at `directory`; not where it cannot be looked at.
fn is_mount_point(directory: &Path) -> bool {
    node_store::is_mount_point(directory).unwrap_or(false)
}

/// Opens drives as devices of one cluster.
pub(crate) struct Opener {
    cache: IndexCache,
    clock: Arc<dyn Clock>,
}

impl Opener {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { cache: IndexCache::new(INDEX_CACHE_BYTES), clock }
    }

    /// Opens the drive of a device. One that cannot serve is opened too, and offline. Blocks for
    /// I/O.
    pub(crate) fn open(
        &self,
        cluster: ClusterId,
        device: &LayoutDevice,
        drive: &FoundDrive,
    ) -> Result<Drive, OpenDriveError> {
        let directory = drive.directory.clone();
        let mut config = DriveConfig::new(device.id, cluster, directory, Arc::clone(&self.clock));
        config.capacity_bytes = drive.capacity_bytes;
        config.index_cache = Some(self.cache.clone());
        config.create_directory = false;
        // Without its file system, what is there is the disk beneath.
        config.format_if_empty = !device.mount_point || is_mount_point(&config.directory);
        config.refuse_foreign = false;
        Drive::open(config)
    }
}

#[cfg(test)]
mod tests {
    use node_proto::{ManualClock, NodeId};

    use super::*;

    const CLUSTER: ClusterId = ClusterId([1; 16]);

    fn spec(path: &Path) -> DriveSpec {
        DriveSpec { path: path.to_owned(), capacity_bytes: Some(64 << 20) }
    }

    fn slot(id: u32, address: &Path) -> LayoutDevice {
        let address = address.to_str().expect("UTF-8").to_owned();
        LayoutDevice { node: NodeId(1), ..LayoutDevice::local(DeviceId(id), address) }
    }

    fn known(devices: &[LayoutDevice]) -> Known<'_> {
        Known { cluster: Some(CLUSTER), devices }
    }

    async fn format(device: &LayoutDevice, cluster: ClusterId, directory: &Path) {
        fs::create_dir_all(directory).expect("makes");
        let opener = Opener::new(Arc::new(ManualClock::default()));
        let drive = FoundDrive {
            directory: directory.to_owned(),
            address: device.address.clone(),
            device: Some(device.id),
            capacity_bytes: Some(64 << 20),
        };
        opener.open(cluster, device, &drive).expect("opens").close().await;
    }

    fn temporary() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().canonicalize().expect("exists");
        (dir, path)
    }

    #[test]
    fn new_drives_are_offered_and_directories_of_others_are_not() {
        let (_dir, path) = temporary();
        let (new, photos) = (path.join("new"), path.join("photos"));
        fs::create_dir(&photos).expect("makes");
        fs::write(photos.join("cat.jpg"), "mine").expect("writes");
        let specs = [spec(&new), spec(&photos), spec(&new), spec(&path.join("no/such/parent"))];
        let (found, unusable) = survey(&specs, &known(&[]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].directory.as_path(), found[0].device), (new.as_path(), None));
        let reasons: Vec<String> = unusable.iter().map(ToString::to_string).collect();
        assert!(reasons[0].contains("named twice"), "{reasons:?}");
        assert!(reasons[1].contains("cat.jpg"), "{reasons:?}");
        assert!(reasons[2].contains("cannot be used"), "{reasons:?}");
        let offered = offer(&found[0]);
        assert_eq!(offered.path, new.to_str().expect("UTF-8"));
        assert_eq!((offered.mount_point, offered.capacity_bytes), (false, 64 << 20));
    }

    #[tokio::test]
    async fn drives_are_followed_by_their_superblocks() {
        let (_dir, path) = temporary();
        let (a, b) = (path.join("a"), path.join("b"));
        let slots = [slot(7, &a), slot(8, &b)];
        format(&slots[0], CLUSTER, &a).await;
        format(&slots[1], CLUSTER, &b).await;
        fs::rename(&a, path.join("c")).expect("moves");
        fs::rename(&b, &a).expect("moves");
        let specs = [spec(&a), spec(&path.join("c"))];
        let (found, unusable) = survey(&specs, &known(&slots));
        assert_eq!(unusable, []);
        assert_eq!(found[0].device, Some(DeviceId(8)));
        assert_eq!(found[0].address, slots[1].address, "the layout's word stays");
        assert_eq!(found[1].device, Some(DeviceId(7)));
        assert_eq!(found[1].directory, path.join("c"));
    }

    #[tokio::test]
    async fn foreign_drives_and_copies_are_not_used() {
        let (_dir, path) = temporary();
        let (a, b, c, d) = (path.join("a"), path.join("b"), path.join("c"), path.join("d"));
        let slots = [slot(7, &a)];
        format(&slots[0], CLUSTER, &a).await;
        format(&slots[0], CLUSTER, &b).await;
        format(&slots[0], ClusterId([9; 16]), &c).await;
        format(&slot(9, &d), CLUSTER, &d).await;
        let specs = [spec(&a), spec(&b), spec(&c), spec(&d)];
        let (found, unusable) = survey(&specs, &known(&slots));
        assert_eq!(found.len(), 1);
        let reasons: Vec<String> = unusable.iter().map(ToString::to_string).collect();
        assert!(reasons[0].contains("are both device 7"), "{reasons:?}");
        assert!(reasons[1].contains("another cluster"), "{reasons:?}");
        assert!(reasons[2].contains("not a device of this node"), "{reasons:?}");
    }

    #[test]
    fn a_known_drive_that_is_away_is_not_made_anew() {
        let (_dir, path) = temporary();
        let away = path.join("away");
        let slots = [slot(7, &away)];
        let (found, unusable) = survey(&[spec(&away)], &known(&slots));
        assert_eq!(unusable, []);
        assert_eq!(found[0].device, Some(DeviceId(7)));
        assert!(!away.exists());
        let opener = Opener::new(Arc::new(ManualClock::default()));
        let drive = opener.open(CLUSTER, &slots[0], &found[0]).expect("opens offline");
        let status = node_proto::ShardService::status(&drive);
        assert_eq!(status.health, node_proto::DeviceHealth::Offline);
    }
}
