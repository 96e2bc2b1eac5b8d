use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::fault::Fault;

const OWNER: (u32, u32) = (0, 0);
const SECTOR: usize = 512;

fn disk() -> (TempDir, Disk) {
    let backing = tempfile::tempdir().unwrap();
    let disk = Disk::new(backing.path());
    (backing, disk)
}

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn create(disk: &Disk, directory: Ino, text: &str) -> OpenFile {
    disk.create(directory, name(text), 0o644, OWNER, false).unwrap().1
}

fn read_all(disk: &Disk, ino: Ino) -> Vec<u8> {
    let open = disk.open(ino, false, false).unwrap();
    disk.read(&open, 0, 1 << 20).unwrap()
}

fn find(disk: &Disk, directory: Ino, text: &str) -> Option<Ino> {
    disk.lookup(directory, name(text)).ok().map(|found| Ino(found.ino.0))
}

fn sync_directory(disk: &Disk, directory: Ino) {
    let open = disk.open_directory(directory).unwrap();
    disk.sync_directory(&open).unwrap();
}

#[test]
fn what_was_synced_is_there_and_what_was_not_is_lost_kept_and_torn() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..64 {
        let (_backing, disk) = disk();
        let open = create(&disk, Ino::ROOT, "a");
        disk.write(&open, 0, &[1; 8192]).unwrap();
        disk.sync(&open).unwrap();
        sync_directory(&disk, Ino::ROOT);
        disk.write(&open, 4096, &[2; 4096]).unwrap();
        disk.power_off(seed).unwrap();
        assert!(disk.read(&open, 0, 1).is_err(), "opened before the power cut");
        let read = read_all(&disk, find(&disk, Ino::ROOT, "a").expect("was synced"));
        assert_eq!(read.len(), 8192);
        assert_eq!(read[..4096], [1; 4096]);
        if read[4096..] == [1; 4096] {
            lost += 1;
        } else if read[4096..] == [2; 4096] {
            kept += 1;
        } else {
            torn += 1;
        }
    }
    assert!(lost > 0 && kept > 0 && torn > 0, "{lost} lost, {kept} kept, {torn} torn");
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let mut found = BTreeSet::new();
    for seed in 0..64 {
        let (_backing, disk) = disk();
        let open = create(&disk, Ino::ROOT, "a");
        disk.write(&open, 0, &[1; 100]).unwrap();
        disk.sync(&open).unwrap();
        disk.power_off(seed).unwrap();
        let ino = find(&disk, Ino::ROOT, "a");
        if let Some(ino) = ino {
            assert_eq!(read_all(&disk, ino), [1; 100]);
        }
        found.insert(ino.is_some());
    }
    assert_eq!(found.len(), 2);
}

#[test]
fn a_synced_name_without_synced_content_may_be_empty() {
    let mut lengths = BTreeSet::new();
    for seed in 0..64 {
        let (_backing, disk) = disk();
        let open = create(&disk, Ino::ROOT, "a");
        disk.write(&open, 0, &[1; 100]).unwrap();
        sync_directory(&disk, Ino::ROOT);
        disk.power_off(seed).unwrap();
        lengths.insert(read_all(&disk, find(&disk, Ino::ROOT, "a").expect("was synced")).len());
    }
    assert!(lengths.contains(&0) && lengths.contains(&100) && lengths.len() > 2, "{lengths:?}");
}

#[test]
fn a_directory_that_its_parent_forgets_takes_its_content_along() {
    let mut found = BTreeSet::new();
    for seed in 0..64 {
        let (backing, disk) = disk();
        disk.make_directory(Ino::ROOT, name("d"), 0o755, OWNER).unwrap();
        let directory = find(&disk, Ino::ROOT, "d").unwrap();
        let open = create(&disk, directory, "a");
        disk.sync(&open).unwrap();
        sync_directory(&disk, directory);
        drop(open);
        disk.power_off(seed).unwrap();
        let there = find(&disk, Ino::ROOT, "d");
        assert_eq!(there.and_then(|d| find(&disk, d, "a")).is_some(), there.is_some());
        let files = std::fs::read_dir(backing.path()).unwrap().count();
        assert_eq!(files, usize::from(there.is_some()), "nothing is left behind");
        found.insert(there.is_some());
    }
    assert_eq!(found.len(), 2);
}

#[test]
fn a_failed_sync_dooms_what_it_was_for() {
    for seed in 0..16 {
        let (_backing, disk) = disk();
        let open = create(&disk, Ino::ROOT, "a");
        disk.write(&open, 0, &[1; 8192]).unwrap();
        sync_directory(&disk, Ino::ROOT);
        disk.faults.inject(Path::new("a"), Fault::SyncError);
        assert_eq!(disk.sync(&open), Err(Errno::EIO));
        assert_eq!(disk.faults.clear(Path::new("a")), 1);
        disk.write(&open, 0, &[2; 4096]).unwrap();
        disk.sync(&open).unwrap();
        assert_eq!(disk.read(&open, 4096, 4096).unwrap(), [1; 4096], "is still in the cache");
        disk.power_off(seed).unwrap();
        let read = read_all(&disk, find(&disk, Ino::ROOT, "a").unwrap());
        assert_eq!(read[..4096], [2; 4096], "was written again and synced");
        assert_eq!(read[4096..], [0; 4096], "was never on the medium");
    }
}

#[test]
fn faults_answer_as_they_say() {
    let (_backing, disk) = disk();
    disk.make_directory(Ino::ROOT, name("d"), 0o755, OWNER).unwrap();
    let d = find(&disk, Ino::ROOT, "d").unwrap();
    let open = create(&disk, d, "a");
    disk.write(&open, 0, &[1; 100]).unwrap();
    let ino = open.node.ino;
    let directory = disk.open_directory(d).unwrap();
    let under = |fault, errno: &[(&str, Option<Errno>)]| {
        disk.faults.inject(Path::new("d"), fault);
        for (what, wanted) in errno {
            let result = match *what {
                "read" => disk.read(&open, 0, 1).map(drop),
                "list" => disk.list(&directory).map(drop),
                "write" => disk.write(&open, 0, &[1]),
                "extend" => disk.write(&open, 100, &[1]),
                "create" => disk.create(d, name("new"), 0o644, OWNER, false).map(drop),
                "unlink" => disk.unlink(d, name("none")),
                "look" => disk.lookup(d, name("a")).map(drop),
                "sync" => disk.sync(&open),
                "open" => disk.open(ino, true, false).map(drop),
                other => panic!("{other}"),
            };
            assert_eq!(result.err(), *wanted, "{what} under {fault:?}");
        }
        assert!(disk.faults.clear(Path::new("d")) > 0);
    };
    let (eio, enoent) = (Some(Errno::EIO), Some(Errno::ENOENT));
    under(Fault::ReadError, &[("read", eio), ("list", eio), ("write", None), ("look", None)]);
    under(Fault::WriteError, &[("write", eio), ("create", eio), ("unlink", eio), ("read", None)]);
    under(Fault::SyncError, &[("sync", eio), ("write", None)]);
    let full = Some(Errno::ENOSPC);
    under(Fault::NoSpace, &[("extend", full), ("create", full), ("write", None), ("read", None)]);
    let fixed = Some(Errno::EROFS);
    under(Fault::ReadOnly, &[("write", fixed), ("create", fixed), ("open", fixed), ("read", None)]);
    under(Fault::Gone, &[("look", enoent), ("open", enoent), ("read", eio), ("write", eio)]);
}

/// One step of the property test. Files and directories are picked by index.
#[derive(Debug, Clone)]
enum Step {
    Create { directory: usize, name: u8 },
    Write { file: usize, offset: u64, len: usize },
    SetLen { file: usize, len: u64 },
    Sync { file: usize },
    SyncDirectory { directory: usize },
    Rename { from: usize, name: u8, to: usize, new: u8 },
    Unlink { directory: usize, name: u8 },
    PowerOff { seed: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    let directory = 0..2_usize;
    let file = 0..8_usize;
    let at = prop_oneof![0..40_000_u64, (0..8_u64).prop_map(|page| page * 4096)];
    let renaming = (directory.clone(), name.clone(), directory.clone(), name.clone());
    prop_oneof![
        3 => (directory.clone(), name.clone()).prop_map(|(directory, name)| Step::Create { directory, name }),
        6 => (file.clone(), at.clone(), 1..9000_usize)
            .prop_map(|(file, offset, len)| Step::Write { file, offset, len }),
        1 => (file.clone(), at).prop_map(|(file, len)| Step::SetLen { file, len }),
        3 => file.prop_map(|file| Step::Sync { file }),
        2 => directory.clone().prop_map(|directory| Step::SyncDirectory { directory }),
        2 => renaming.prop_map(|(from, name, to, new)| Step::Rename { from, name, to, new }),
        1 => (directory, name).prop_map(|(directory, name)| Step::Unlink { directory, name }),
        1 => any::<u64>().prop_map(|seed| Step::PowerOff { seed }),
    ]
}

type List = BTreeMap<OsString, u64>;

/// What a power cut may leave of a file, worked out the simple way: from whole contents.
#[derive(Debug, Clone, Default)]
struct ModelFile {
    durable: Vec<u8>,
    live: Vec<u8>,
    truncated: bool,
}

impl ModelFile {
    fn admits(&self, found: &[u8]) -> bool {
        let at = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
        let (least, most) = if self.truncated {
            (0, self.durable.len().max(self.live.len()))
        } else {
            (self.durable.len(), self.live.len())
        };
        // A sector is old or new as a whole, and zeros only where a truncation was.
        let sector = |start: usize| {
            let is = |from: &dyn Fn(usize) -> u8| {
                (start..(start + SECTOR).min(found.len())).all(|i| found[i] == from(i))
            };
            is(&|i| at(&self.durable, i)) || is(&|i| at(&self.live, i))
        };
        (least..=most).contains(&found.len())
            && (self.truncated || (0..found.len()).step_by(SECTOR).all(sector))
    }
}

struct Model {
    disk: Disk,
    directories: [Ino; 2],
    files: BTreeMap<u64, ModelFile>,
    /// Every list each directory has had since its last sync, oldest first.
    lists: [Vec<List>; 2],
    stamp: u8,
}

impl Model {
    fn new(backing: &Path) -> Self {
        let disk = Disk::new(backing);
        disk.make_directory(Ino::ROOT, name("d"), 0o755, OWNER).unwrap();
        sync_directory(&disk, Ino::ROOT);
        let directories = [Ino::ROOT, find(&disk, Ino::ROOT, "d").unwrap()];
        let lists = [vec![List::new()], vec![List::new()]];
        Self { disk, directories, files: BTreeMap::new(), lists, stamp: 0 }
    }

    fn list(&self, directory: usize) -> List {
        let open = self.disk.open_directory(self.directories[directory]).unwrap();
        let files = open.entries.iter().filter(|(_, is_directory, _)| !is_directory);
        files.map(|(ino, _, name)| (name.clone(), ino.0)).collect()
    }

    fn pick(&self, file: usize) -> Option<Ino> {
        let named: Vec<u64> =
            self.list(0).into_values().chain(self.list(1).into_values()).collect();
        named.get(file % named.len().max(1)).map(|ino| Ino(*ino))
    }

    fn run(&mut self, step: &Step) {
        let named = |number: u8| OsString::from(format!("f{number}"));
        match *step {
            Step::Create { directory, name } => {
                let parent = self.directories[directory];
                if let Ok((made, _)) = self.disk.create(parent, &named(name), 0o644, OWNER, false) {
                    self.files.insert(made.ino.0, ModelFile::default());
                }
            }
            Step::Write { file, offset, len } => {
                let Some(ino) = self.pick(file) else { return };
                self.stamp = self.stamp % 250 + 1;
                let bytes = vec![self.stamp; len];
                let open = self.disk.open(ino, true, false).unwrap();
                self.disk.write(&open, offset, &bytes).unwrap();
                let live = &mut self.files.get_mut(&ino.0).unwrap().live;
                let start = offset as usize;
                live.resize(live.len().max(start + len), 0);
                live[start..start + len].fill(self.stamp);
            }
            Step::SetLen { file, len } => {
                let Some(ino) = self.pick(file) else { return };
                let new = NewStatus { len: Some(len), ..NewStatus::default() };
                self.disk.set_attributes(ino, new, None).unwrap();
                let model = self.files.get_mut(&ino.0).unwrap();
                model.truncated |= (len as usize) < model.durable.len();
                model.live.resize(len as usize, 0);
            }
            Step::Sync { file } => {
                let Some(ino) = self.pick(file) else { return };
                let open = self.disk.open(ino, false, false).unwrap();
                self.disk.sync(&open).unwrap();
                let model = self.files.get_mut(&ino.0).unwrap();
                *model = ModelFile { durable: model.live.clone(), ..model.clone() };
                model.truncated = false;
            }
            Step::SyncDirectory { directory } => {
                sync_directory(&self.disk, self.directories[directory]);
                let now = self.list(directory);
                self.lists[directory] = vec![now];
            }
            Step::Rename { from, name, to, new } => {
                let from = (self.directories[from], &*named(name));
                let _ = self.disk.rename(from, (self.directories[to], &named(new)), false);
            }
            Step::Unlink { directory, name } => {
                let _ = self.disk.unlink(self.directories[directory], &named(name));
            }
            Step::PowerOff { seed } => self.power_off(seed),
        }
        for directory in 0..2 {
            let now = self.list(directory);
            if self.lists[directory].last() != Some(&now) {
                self.lists[directory].push(now);
            }
        }
    }

    fn power_off(&mut self, seed: u64) {
        self.disk.power_off(seed).unwrap();
        let mut seen = BTreeSet::new();
        for directory in 0..2 {
            let found = self.list(directory);
            let history = &self.lists[directory];
            assert!(history.contains(&found), "{found:?} was never all of {history:?}");
            for ino in found.values() {
                assert!(seen.insert(*ino), "a rename happened by half");
                let model = &self.files[ino];
                let content = read_all(&self.disk, Ino(*ino));
                let lengths = (model.durable.len(), model.live.len(), content.len());
                assert!(model.admits(&content), "lengths durable, live, found: {lengths:?}");
                let settled =
                    ModelFile { durable: content.clone(), live: content, truncated: false };
                self.files.insert(*ino, settled);
            }
            self.lists[directory] = vec![found];
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_leaves_what_the_model_admits(
        steps in proptest::collection::vec(step(), 1..80),
        seed in any::<u64>(),
    ) {
        let backing = tempfile::tempdir().unwrap();
        let mut model = Model::new(backing.path());
        for step in &steps {
            model.run(step);
        }
        model.power_off(seed);
    }
}
