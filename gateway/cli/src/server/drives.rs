//! From directories to layout devices.
//!
//! The layout remembers every drive it ever saw; the command line says where they are now. A drive
//! that moved is recognised by its superblock, a new one is appended, a missing one stays in the
//! layout and is offline.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use gateway_meta::{
    Batch, CommitOutcome, Guard, MetaStore, Op, Table, TxIds, key::ctl, record::Record,
};
use node_proto::{Clock, ClusterId, DeviceId, Epoch, Layout, LayoutDevice};
use node_store::{Drive, DriveConfig, IndexCache};

use super::data_dir::DataDir;
use crate::durable_file;

/// Devices made under the data directory when no drives are named: one per shard of 4+2.
const EMBEDDED_DEVICES: u32 = 6;

/// Losses that must stay survivable.
const TOLERATED_LOSSES: usize = 2;

/// Index memory shared by all drives. Chosen: about two million shards' hot rows.
const INDEX_CACHE_BYTES: usize = 64 << 20;

/// What the command line says of drives.
pub(crate) struct DriveOptions {
    /// Directories; none means devices under the data directory.
    pub(crate) paths: Vec<PathBuf>,
    /// Space each gives to shards.
    pub(crate) capacity_bytes: Option<u64>,
}

/// The layout after this start, committed, and its drives in the layout's order.
pub(crate) async fn open(
    data: &DataDir,
    options: &DriveOptions,
    meta: &Arc<dyn MetaStore>,
    txids: &TxIds,
    clock: &Arc<dyn Clock>,
) -> Result<(Layout, Vec<Arc<Drive>>)> {
    let row = meta.get(Table::Ctl, &ctl::layout())?;
    let stored = row.as_deref().map(Layout::decode).transpose()?;
    let mut layout = plan(data, options, stored.as_ref())?;
    note_mount_points(data.path(), &mut layout);
    layout.validate(TOLERATED_LOSSES).context(
        "with three or more drives (--drive), any two may fail without loss; fewer are refused",
    )?;
    if stored.as_ref() != Some(&layout) {
        let guard = match row {
            None => Guard::Absent { table: Table::Ctl, key: ctl::layout() },
            Some(value) => Guard::Equals { table: Table::Ctl, key: ctl::layout(), value },
        };
        let put = Op::Put { table: Table::Ctl, key: ctl::layout(), value: layout.encode() };
        let batch = Batch { txid: txids.next(), guards: vec![guard], ops: vec![put] };
        let outcome = meta.commit(batch).await?;
        ensure!(outcome == CommitOutcome::Applied, "the layout was changed by somebody else");
    }
    let is_known = |id| {
        stored.as_ref().is_some_and(|stored| stored.devices.iter().any(|device| device.id == id))
    };
    let cache = IndexCache::new(INDEX_CACHE_BYTES);
    let mut drives = Vec::with_capacity(layout.devices.len());
    for device in &layout.devices {
        let directory = data.path().join(&device.address);
        let mut config = DriveConfig::new(device.id, layout.cluster, directory, Arc::clone(clock));
        config.capacity_bytes = options.capacity_bytes;
        config.index_cache = Some(cache.clone());
        // Its directory was made before the layout named it. One that is missing now is a drive
        // that is away, and must not come up as an empty directory on the disk below.
        config.create_directory = false;
        config.format_if_empty = !is_unmounted(device, &config.directory);
        // One bad drive of several must not keep the server from starting.
        config.refuse_foreign = !is_known(device.id);
        let drive = tokio::task::spawn_blocking(move || Drive::open(config))
            .await
            .context("opening a drive panicked")?
            .with_context(|| format!("drive {}", device.address))?;
        drives.push(Arc::new(drive));
    }
    Ok((layout, drives))
}

/// Remembers which drives are mounted file systems, as seen while their superblock is there.
fn note_mount_points(base: &Path, layout: &mut Layout) {
    for device in &mut layout.devices {
        let directory = base.join(&device.address);
        if let Ok(Some(_)) = node_store::identify(&directory) {
            device.mount_point = is_mount_point(&directory);
        }
    }
}

/// Whether the drive's file system is not mounted: what is there now is the disk beneath.
fn is_unmounted(device: &LayoutDevice, directory: &Path) -> bool {
    device.mount_point && !is_mount_point(directory)
}

/// Whether another file system begins at `directory`; not where it cannot be looked at.
fn is_mount_point(directory: &Path) -> bool {
    node_store::is_mount_point(directory).unwrap_or(false)
}

/// The layout that the command line asks for, given the stored one.
fn plan(data: &DataDir, options: &DriveOptions, stored: Option<&Layout>) -> Result<Layout> {
    if options.paths.is_empty() {
        return match stored {
            Some(stored) => Ok(follow_exchanges(data.path(), stored)),
            None => embedded(data),
        };
    }
    let addresses = canonical_addresses(&options.paths)?;
    let mut layout = stored
        .cloned()
        .unwrap_or_else(|| Layout { epoch: Epoch(0), ..Layout::local(data.cluster(), Vec::new()) });
    // Drives that are known by their superblock first: an empty one may have taken the place of
    // one that moved.
    let (mut unformatted, mut recognised) = (Vec::new(), BTreeMap::new());
    let is_known = |address: &str| {
        stored.is_some_and(|stored| stored.devices.iter().any(|known| known.address == address))
    };
    for address in addresses {
        match recognise(&mut layout, &address) {
            // A known drive that fails, or that something else took the place of, must not keep
            // the others from serving: it stays offline and says why.
            Err(error) if is_known(&address) => {
                tracing::error!(drive = address, error = format!("{error:#}"), "drive is unusable");
            }
            Err(error) => return Err(error),
            Ok(None) => unformatted.push(address),
            Ok(Some(device)) => {
                if let Some(other) = recognised.insert(device, address.clone()) {
                    bail!(
                        "{other} and {address} are both device {}: name only the current one",
                        device.0
                    );
                }
            }
        }
    }
    for address in unformatted {
        place(&mut layout, address)?;
    }
    if stored != Some(&layout) {
        layout.epoch = Epoch(layout.epoch.0 + 1);
    }
    Ok(layout)
}

/// Notes where a drive of the layout is now. Answers which device it is; `None` for one without a
/// superblock.
fn recognise(layout: &mut Layout, address: &str) -> Result<Option<DeviceId>> {
    let found =
        node_store::identify(Path::new(address)).with_context(|| format!("drive {address}"))?;
    let Some(found) = found else {
        return Ok(None);
    };
    ensure_ours(layout.cluster, found.cluster, address)?;
    let device = layout.devices.iter_mut().find(|device| device.id == found.device);
    let Some(device) = device else {
        bail!(
            "drive {address} is device {} of this cluster, which the layout does not know",
            found.device.0
        );
    };
    address.clone_into(&mut device.address);
    Ok(Some(found.device))
}

/// The layout with drives that changed places found again. Anything less clear than an exchange (a
/// copy, a damaged superblock) is left to the drive, which then stays offline and says why.
fn follow_exchanges(base: &Path, stored: &Layout) -> Layout {
    let mut found: BTreeMap<DeviceId, Vec<&str>> = BTreeMap::new();
    for device in &stored.devices {
        // What cannot be identified is nobody's place.
        if let Ok(Some(identity)) = node_store::identify(&base.join(&device.address))
            && identity.cluster == stored.cluster
        {
            found.entry(identity.device).or_default().push(&device.address);
        }
    }
    let mut layout = stored.clone();
    for device in &mut layout.devices {
        let places = found.get(&device.id).map_or(&[][..], Vec::as_slice);
        if let [place] = places {
            (*place).clone_into(&mut device.address);
        }
    }
    let places: BTreeSet<&str> =
        layout.devices.iter().map(|device| device.address.as_str()).collect();
    if places.len() < layout.devices.len() || layout.devices == stored.devices {
        return stored.clone();
    }
    tracing::warn!("drives have changed places; the layout follows them");
    layout.epoch = Epoch(layout.epoch.0 + 1);
    layout
}

/// Puts a drive without a superblock into the layout: as the device that was there, or as a new
/// one.
fn place(layout: &mut Layout, address: String) -> Result<()> {
    if layout.devices.iter().any(|device| device.address == address) {
        return Ok(());
    }
    ensure_may_join(Path::new(&address))?;
    let id = layout.devices.last().map_or(0, |device| device.id.0 + 1);
    let mount_point = is_mount_point(Path::new(&address));
    layout.devices.push(LayoutDevice { mount_point, ..new_device(id, address) });
    Ok(())
}

/// A directory that joins exists and is empty. The layout never forgets a device, so a mistyped
/// path must not get into it.
fn ensure_may_join(path: &Path) -> Result<()> {
    make_directory(path)?;
    let entries = fs::read_dir(path).with_context(|| format!("drive {}", path.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        // What a start that crashed while formatting leaves, and what file systems put there.
        let harmless = ["lock", "superblock.tmp", "lost+found"];
        if !harmless.iter().any(|harmless| name == *harmless) {
            bail!(
                "drive {} holds {} and is not a drive: name an empty directory",
                path.display(),
                name.to_string_lossy()
            );
        }
    }
    Ok(())
}

/// Makes the directory of a new device, durably, before the layout names it: so a directory that
/// the layout names and that is missing is a drive that is away.
fn make_directory(path: &Path) -> Result<()> {
    durable_file::make_directory(path)
        .with_context(|| format!("cannot create drive {}", path.display()))
}

fn ensure_ours(ours: ClusterId, theirs: ClusterId, address: &str) -> Result<()> {
    ensure!(theirs == ours, "drive {address} belongs to another cluster ({theirs})");
    Ok(())
}

fn new_device(id: u32, address: String) -> LayoutDevice {
    LayoutDevice::local(DeviceId(id), address)
}

fn embedded(data: &DataDir) -> Result<Layout> {
    let parent = data.path().join("devices");
    make_directory(&parent)?;
    for id in 0..EMBEDDED_DEVICES {
        make_directory(&parent.join(id.to_string()))?;
    }
    // Relative, so that the data directory can be moved.
    let device = |id| new_device(id, format!("devices/{id}"));
    Ok(Layout::local(data.cluster(), (0..EMBEDDED_DEVICES).map(device).collect()))
}

/// Absolute paths with symlinks resolved, each once.
fn canonical_addresses(paths: &[PathBuf]) -> Result<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut addresses = Vec::with_capacity(paths.len());
    for path in paths {
        let absolute = match fs::canonicalize(path) {
            Ok(canonical) => canonical,
            // A drive that is away may have had this very path.
            Err(_) => std::path::absolute(path)
                .with_context(|| format!("drive path {}", path.display()))?,
        };
        let Some(address) = absolute.to_str() else {
            bail!("drive path {} is not UTF-8", path.display());
        };
        ensure!(seen.insert(address.to_owned()), "drive {address} is named twice");
        addresses.push(address.to_owned());
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(paths: Vec<PathBuf>) -> DriveOptions {
        DriveOptions { paths, capacity_bytes: None }
    }

    #[test]
    fn six_devices_are_planned_under_the_data_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (data, _) = DataDir::open(dir.path()).expect("formats");
        let layout = plan(&data, &options(Vec::new()), None).expect("plans");
        assert_eq!(layout.devices.len(), 6);
        assert_eq!(layout.devices[5].address, "devices/5");
        assert_eq!(layout.validate(TOLERATED_LOSSES), Ok(()));
        let again = plan(&data, &options(Vec::new()), Some(&layout)).expect("plans");
        assert_eq!(again, layout);
    }

    #[test]
    fn named_drives_join_once_and_keep_their_slots() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (data, _) = DataDir::open(&dir.path().join("data")).expect("formats");
        let path = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(&path).expect("drive directory");
            path
        };
        let three = vec![path("a"), path("b"), path("c")];
        let layout = plan(&data, &options(three.clone()), None).expect("plans");
        assert_eq!(layout.epoch, Epoch(1));
        let reordered = vec![path("c"), path("a"), path("b")];
        let again = plan(&data, &options(reordered), Some(&layout)).expect("plans");
        assert_eq!(again, layout);
        let four = plan(&data, &options(vec![path("d")]), Some(&layout)).expect("plans");
        assert_eq!(four.devices.len(), 4);
        assert_eq!(four.devices[3].id, DeviceId(3));
        assert_eq!(four.epoch, Epoch(2));
        let photos = path("photos");
        fs::write(photos.join("cat.jpg"), "mine").expect("writes");
        let foreign = plan(&data, &options(vec![photos]), Some(&four)).expect_err("refused");
        assert!(foreign.to_string().contains("cat.jpg"), "{foreign}");
        // A known place whose superblock cannot be read is a drive that failed.
        fs::write(path("b").join("superblock"), "junk").expect("writes");
        let failed = plan(&data, &options(vec![path("a"), path("b")]), Some(&layout));
        assert_eq!(failed.expect("plans"), layout);
        plan(&data, &options(vec![path("b")]), None).expect_err("nothing knows it");
        let twice = plan(&data, &options(vec![path("a"), path("a")]), None);
        assert!(twice.expect_err("refused").to_string().contains("named twice"));
    }

    #[test]
    fn drive_that_is_not_mounted_is_told_from_an_empty_one() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let device = new_device(0, String::new());
        assert!(!is_unmounted(&device, dir.path()));
        let mounted = LayoutDevice { mount_point: true, ..device };
        assert!(is_unmounted(&mounted, dir.path()));
        assert!(!is_unmounted(&mounted, Path::new("/proc")), "is a file system of its own");
    }

    /// Formats `directory` as a device of the cluster.
    async fn format(device: u32, cluster: ClusterId, directory: &Path) {
        fs::create_dir_all(directory).expect("drive directory");
        let clock = Arc::new(node_proto::ManualClock::default());
        let config = DriveConfig::new(DeviceId(device), cluster, directory.to_owned(), clock);
        Drive::open(config).expect("formats").close().await;
    }

    #[tokio::test]
    async fn exchanged_drives_are_followed_and_copies_are_not() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (data, _) = DataDir::open(dir.path()).expect("formats");
        let layout = plan(&data, &options(Vec::new()), None).expect("plans");
        let place = |id: u32| dir.path().join("devices").join(id.to_string());
        for id in 0..6 {
            format(id, data.cluster(), &place(id)).await;
        }
        let same = plan(&data, &options(Vec::new()), Some(&layout)).expect("plans");
        assert_eq!(same, layout);

        fs::rename(place(0), place(9)).expect("moves");
        fs::rename(place(3), place(0)).expect("moves");
        fs::rename(place(9), place(3)).expect("moves");
        let followed = plan(&data, &options(Vec::new()), Some(&layout)).expect("plans");
        assert_eq!(followed.devices[0].address, "devices/3");
        assert_eq!(followed.devices[3].address, "devices/0");
        assert_eq!(followed.epoch, Epoch(layout.epoch.0 + 1));

        // Device 5's place holds a second device 1: which is the current one cannot be told.
        fs::remove_dir_all(place(5)).expect("removes");
        format(1, data.cluster(), &place(5)).await;
        let copied = plan(&data, &options(Vec::new()), Some(&followed)).expect("plans");
        assert_eq!(copied, followed);
        let named = plan(&data, &options(vec![place(1), place(5)]), Some(&followed));
        let refused = named.expect_err("refused").to_string();
        assert!(refused.contains("both device 1"), "{refused}");
    }
}
