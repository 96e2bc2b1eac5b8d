//! From directories to layout devices.
//!
//! The layout remembers every drive it ever saw; the command line says where they are now. A drive
//! that moved is recognised by its superblock, a new one is appended, a missing one stays in the
//! layout and is offline.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use gateway_layout::Cluster;
use node_proto::{Clock, ClusterId, DeviceId, Layout, LayoutDevice, NodeId};
use node_server::durable_file;
use node_store::{Drive, DriveConfig, IndexCache};

use super::{data_dir::DataDir, settings::DriveChoice};

/// Devices made under the data directory when no drives are named: one per shard of 4+2.
const EMBEDDED_DEVICES: u32 = 6;

/// Losses that must stay survivable.
pub(super) const TOLERATED_LOSSES: usize = 2;

/// Index memory shared by all drives. Chosen: about two million shards' hot rows.
const INDEX_CACHE_BYTES: usize = 64 << 20;

/// What the configuration says of this process's own drives.
pub(super) struct DriveOptions<'a> {
    pub(super) choice: &'a DriveChoice,
    /// Space for drives that name none.
    pub(super) capacity_bytes: Option<u64>,
    /// Whether stripes must be placeable on the layout as it is; not where nodes may join.
    pub(super) must_suffice: bool,
}

/// Puts this process's drives into the layout and opens them, ascending by device.
pub(super) async fn open(
    data: &DataDir,
    options: &DriveOptions<'_>,
    cluster: &Cluster,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<(DeviceId, Arc<Drive>)>> {
    let stored = cluster.layout();
    let known = own_devices(&stored);
    let mut devices = plan(data, options.choice, &known, cluster.next_device_id()?)?;
    note_mount_points(data.path(), &mut devices);
    if options.must_suffice {
        // Nodes that joined earlier count, too.
        let others = stored.devices.iter().filter(|device| device.node != NodeId::LOCAL).cloned();
        let mut planned =
            Layout { devices: others.chain(devices.clone()).collect(), ..(*stored).clone() };
        planned.devices.sort_unstable_by_key(|device| device.id);
        planned.validate(TOLERATED_LOSSES).context(
            "with three or more drives (--drive), any two may fail without loss; fewer are refused",
        )?;
    }
    let layout = cluster.set_local_devices(devices).await.context("the layout")?;
    let is_known = |id| known.iter().any(|device| device.id == id);
    let cache = IndexCache::new(INDEX_CACHE_BYTES);
    let mut drives = Vec::new();
    for device in own_devices(&layout) {
        let directory = data.path().join(&device.address);
        let mut config = DriveConfig::new(device.id, layout.cluster, directory, Arc::clone(clock));
        config.capacity_bytes = options.capacity_of(&device.address);
        config.index_cache = Some(cache.clone());
        // Its directory was made before the layout named it. One that is missing now is a drive
        // that is away, and must not come up as an empty directory on the disk below.
        config.create_directory = false;
        config.format_if_empty = !is_unmounted(&device, &config.directory);
        // One bad drive of several must not keep the server from starting.
        config.refuse_foreign = !is_known(device.id);
        let drive = tokio::task::spawn_blocking(move || Drive::open(config))
            .await
            .context("opening a drive panicked")?
            .with_context(|| format!("drive {}", device.address))?;
        drives.push((device.id, Arc::new(drive)));
    }
    Ok(drives)
}

impl DriveOptions<'_> {
    /// Space that the drive at `address` gives to shards.
    fn capacity_of(&self, address: &str) -> Option<u64> {
        let DriveChoice::Named(drives) = self.choice else { return self.capacity_bytes };
        let is_here = |path: &Path| {
            fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) == Path::new(address)
        };
        let own = drives.iter().find(|drive| is_here(&drive.path));
        own.and_then(|drive| drive.capacity_bytes).or(self.capacity_bytes)
    }
}

/// The layout's devices that are drives of this process.
fn own_devices(layout: &Layout) -> Vec<LayoutDevice> {
    layout.devices.iter().filter(|device| device.node == NodeId::LOCAL).cloned().collect()
}

/// Remembers which drives are mounted file systems, as seen while their superblock is there.
fn note_mount_points(base: &Path, devices: &mut [LayoutDevice]) {
    for device in devices {
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

/// The devices that the configuration asks for, given the `stored` ones. New ones get ids from
/// `next` on.
fn plan(
    data: &DataDir,
    choice: &DriveChoice,
    stored: &[LayoutDevice],
    next: DeviceId,
) -> Result<Vec<LayoutDevice>> {
    let drives = match choice {
        DriveChoice::Named(drives) if !drives.is_empty() => drives,
        DriveChoice::Embedded if stored.is_empty() => return embedded(data, next),
        _ => return Ok(follow_exchanges(data, stored)),
    };
    let addresses = canonical_addresses(drives.iter().map(|drive| drive.path.as_path()))?;
    let mut devices = stored.to_vec();
    // Drives that are known by their superblock first: an empty one may have taken the place of
    // one that moved.
    let (mut unformatted, mut recognised) = (Vec::new(), BTreeMap::new());
    let is_known = |address: &str| stored.iter().any(|known| known.address == address);
    for address in addresses {
        match recognise(data.cluster(), &mut devices, &address) {
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
        place(&mut devices, address, next)?;
    }
    Ok(devices)
}

/// Notes where a drive of the layout is now. Answers which device it is; `None` for one without a
/// superblock.
fn recognise(
    cluster: ClusterId,
    devices: &mut [LayoutDevice],
    address: &str,
) -> Result<Option<DeviceId>> {
    let found =
        node_store::identify(Path::new(address)).with_context(|| format!("drive {address}"))?;
    let Some(found) = found else {
        return Ok(None);
    };
    ensure_ours(cluster, found.cluster, address)?;
    let device = devices.iter_mut().find(|device| device.id == found.device);
    let Some(device) = device else {
        bail!(
            "drive {address} is device {} of this cluster, which the layout does not know",
            found.device.0
        );
    };
    address.clone_into(&mut device.address);
    Ok(Some(found.device))
}

/// The devices with drives that changed places found again. Anything less clear than an exchange (a
/// copy, a damaged superblock) is left to the drive, which then stays offline and says why.
fn follow_exchanges(data: &DataDir, stored: &[LayoutDevice]) -> Vec<LayoutDevice> {
    let mut found: BTreeMap<DeviceId, Vec<&str>> = BTreeMap::new();
    for device in stored {
        // What cannot be identified is nobody's place.
        if let Ok(Some(identity)) = node_store::identify(&data.path().join(&device.address))
            && identity.cluster == data.cluster()
        {
            found.entry(identity.device).or_default().push(&device.address);
        }
    }
    let mut devices = stored.to_vec();
    for device in &mut devices {
        let places = found.get(&device.id).map_or(&[][..], Vec::as_slice);
        if let [place] = places {
            (*place).clone_into(&mut device.address);
        }
    }
    let places: BTreeSet<&str> = devices.iter().map(|device| device.address.as_str()).collect();
    if places.len() < devices.len() || devices == stored {
        return stored.to_vec();
    }
    tracing::warn!("drives have changed places; the layout follows them");
    devices
}

/// Puts a drive without a superblock into the layout: as the device that was there, or as a new
/// one.
fn place(devices: &mut Vec<LayoutDevice>, address: String, next: DeviceId) -> Result<()> {
    if devices.iter().any(|device| device.address == address) {
        return Ok(());
    }
    ensure_may_join(Path::new(&address))?;
    let after_last = devices.last().map_or(0, |device| device.id.0 + 1);
    let id = DeviceId(after_last.max(next.0));
    let mount_point = is_mount_point(Path::new(&address));
    devices.push(LayoutDevice { mount_point, ..LayoutDevice::local(id, address) });
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

fn embedded(data: &DataDir, next: DeviceId) -> Result<Vec<LayoutDevice>> {
    let parent = data.path().join("devices");
    make_directory(&parent)?;
    for id in next.0..next.0 + EMBEDDED_DEVICES {
        make_directory(&parent.join(id.to_string()))?;
    }
    // Relative, so that the data directory can be moved.
    let device = |id| LayoutDevice::local(DeviceId(id), format!("devices/{id}"));
    Ok((next.0..next.0 + EMBEDDED_DEVICES).map(device).collect())
}

/// Absolute paths with symlinks resolved, each once.
fn canonical_addresses<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut addresses = Vec::new();
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

    use std::path::PathBuf;

    use node_server::DriveSpec;

    const FIRST: DeviceId = DeviceId(0);

    fn named(paths: Vec<PathBuf>) -> DriveChoice {
        let spec = |path| DriveSpec { path, capacity_bytes: None };
        DriveChoice::Named(paths.into_iter().map(spec).collect())
    }

    #[test]
    fn six_devices_are_planned_under_the_data_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (data, _) = DataDir::open(dir.path()).expect("formats");
        let devices = plan(&data, &DriveChoice::Embedded, &[], FIRST).expect("plans");
        assert_eq!(devices.len(), 6);
        assert_eq!(devices[5].address, "devices/5");
        let layout = Layout::local(data.cluster(), devices.clone());
        assert_eq!(layout.validate(TOLERATED_LOSSES), Ok(()));
        let again = plan(&data, &DriveChoice::Embedded, &devices, DeviceId(6)).expect("plans");
        assert_eq!(again, devices);
    }

    #[test]
    fn a_gateway_without_drives_plans_none_and_keeps_what_it_had() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (data, _) = DataDir::open(dir.path()).expect("formats");
        let none = plan(&data, &named(Vec::new()), &[], FIRST).expect("plans");
        assert_eq!(none, []);
        let embedded = plan(&data, &DriveChoice::Embedded, &[], FIRST).expect("plans");
        let kept = plan(&data, &named(Vec::new()), &embedded, DeviceId(6)).expect("plans");
        assert_eq!(kept, embedded);
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
        let devices = plan(&data, &named(three), &[], FIRST).expect("plans");
        let reordered = vec![path("c"), path("a"), path("b")];
        let again = plan(&data, &named(reordered), &devices, DeviceId(3)).expect("plans");
        assert_eq!(again, devices);
        // Nodes that joined meanwhile have used ids.
        let four = plan(&data, &named(vec![path("d")]), &devices, DeviceId(9)).expect("plans");
        assert_eq!(four.len(), 4);
        assert_eq!(four[3].id, DeviceId(9));
        let photos = path("photos");
        fs::write(photos.join("cat.jpg"), "mine").expect("writes");
        let foreign = plan(&data, &named(vec![photos]), &four, DeviceId(10)).expect_err("refused");
        assert!(foreign.to_string().contains("cat.jpg"), "{foreign}");
        // A known place whose superblock cannot be read is a drive that failed.
        fs::write(path("b").join("superblock"), "junk").expect("writes");
        let failed = plan(&data, &named(vec![path("a"), path("b")]), &devices, DeviceId(3));
        assert_eq!(failed.expect("plans"), devices);
        plan(&data, &named(vec![path("b")]), &[], FIRST).expect_err("nothing knows it");
        let twice = plan(&data, &named(vec![path("a"), path("a")]), &[], FIRST);
        assert!(twice.expect_err("refused").to_string().contains("named twice"));
    }

    #[test]
    fn drive_that_is_not_mounted_is_told_from_an_empty_one() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let device = LayoutDevice::local(DeviceId(0), String::new());
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
        let again = |stored: &[LayoutDevice]| {
            plan(&data, &DriveChoice::Embedded, stored, DeviceId(6)).expect("plans")
        };
        let devices = plan(&data, &DriveChoice::Embedded, &[], FIRST).expect("plans");
        let place = |id: u32| dir.path().join("devices").join(id.to_string());
        for id in 0..6 {
            format(id, data.cluster(), &place(id)).await;
        }
        assert_eq!(again(&devices), devices);

        fs::rename(place(0), place(9)).expect("moves");
        fs::rename(place(3), place(0)).expect("moves");
        fs::rename(place(9), place(3)).expect("moves");
        let followed = again(&devices);
        assert_eq!(followed[0].address, "devices/3");
        assert_eq!(followed[3].address, "devices/0");

        // Device 5's place holds a second device 1: which is the current one cannot be told.
        fs::remove_dir_all(place(5)).expect("removes");
        format(1, data.cluster(), &place(5)).await;
        assert_eq!(again(&followed), followed);
        let both = named(vec![place(1), place(5)]);
        let refused = plan(&data, &both, &followed, DeviceId(6)).expect_err("refused").to_string();
        assert!(refused.contains("both device 1"), "{refused}");
    }
}
