//! The mounted file system, used as programs do.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;

use compat_tests_faultfs::{Fault, FaultFs};
use tempfile::TempDir;

const EIO: Option<i32> = Some(5);

fn mount(what: &str) -> Option<(TempDir, FaultFs)> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
    let mounted = FaultFs::mount_for(what, &dir.path().join("backing"), &dir.path().join("disk"))?;
    Some((dir, mounted))
}

#[test]
fn programs_find_a_file_system() {
    let Some((_dir, fs)) = mount("programs_find_a_file_system") else { return };
    let root = fs.mount_point();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/one"), vec![7; 3 << 20]).unwrap();
    fs::rename(root.join("a/b/one"), root.join("a/two")).unwrap();
    fs::hard_link(root.join("a/two"), root.join("three")).unwrap();
    assert_eq!(fs::read(root.join("three")).unwrap(), vec![7; 3 << 20]);
    fs::copy(root.join("three"), root.join("four")).unwrap();
    assert_eq!(fs::metadata(root.join("four")).unwrap().len(), 3 << 20);
    let mut names: Vec<_> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "four", "three"]);
    assert!(fs::remove_dir(root.join("a")).is_err(), "is not empty");
    fs::remove_dir_all(root.join("a")).unwrap();
    let mut file = OpenOptions::new().append(true).read(true).open(root.join("three")).unwrap();
    file.write_all(b"end").unwrap();
    file.set_len((3 << 20) + 2).unwrap();
    file.seek(SeekFrom::End(-3)).unwrap();
    let mut end = Vec::new();
    file.read_to_end(&mut end).unwrap();
    assert_eq!(end, [7, b'e', b'n']);
    fs::remove_file(root.join("three")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), (3 << 20) + 2, "is open still");
    let locked = File::create(root.join("lock")).unwrap();
    locked.try_lock().unwrap();
    assert!(File::open(root.join("lock")).unwrap().try_lock().is_err());
}

#[test]
fn aligned_writes_go_past_the_page_cache() {
    let Some((_dir, fs)) = mount("aligned_writes_go_past_the_page_cache") else { return };
    const O_DIRECT: i32 = 0o40000;
    let path = fs.mount_point().join("segment");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).custom_flags(O_DIRECT).open(path);
    let file = file.unwrap();
    let memory = vec![3; 8192 + 4096];
    let skip = memory.as_ptr().align_offset(4096);
    file.write_all_at(&memory[skip..skip + 8192], 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.metadata().unwrap().len(), 8192);
    assert_eq!(fs.counters().file_syncs, 1);
    assert_eq!(fs.unsynced_bytes(), 0);
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_kills_what_is_open() {
    let name = "a_power_cut_takes_what_was_not_synced_and_kills_what_is_open";
    let Some((_dir, fs)) = mount(name) else { return };
    let root = fs.mount_point().to_owned();
    let (mut gone, mut there) = (0, 0);
    for seed in 0..40 {
        let path = |name: &str| root.join(format!("{name}-{seed}"));
        let synced = File::create(path("synced")).unwrap();
        synced.write_all_at(b"synced", 0).unwrap();
        synced.sync_data().unwrap();
        File::open(&root).unwrap().sync_all().unwrap();
        fs::write(path("unsynced"), b"unsynced").unwrap();
        synced.write_all_at(b"lost??", 0).unwrap();
        fs.power_off(seed).unwrap();
        assert_eq!(synced.sync_all().unwrap_err().raw_os_error(), EIO);
        let text = fs::read(path("synced")).unwrap();
        assert!(text == b"synced" || text == b"lost??", "{text:?}");
        match fs::read(path("unsynced")) {
            Ok(text) => {
                there += 1;
                assert!(
                    text.len() <= 8 && text.iter().zip(b"unsynced").all(|(a, b)| a == b || *a == 0)
                );
            }
            Err(_) => gone += 1,
        }
    }
    assert!(gone > 0 && there > 0, "{gone} gone, {there} there");
}

#[test]
fn one_directory_of_several_fails() {
    let Some((_dir, fs)) = mount("one_directory_of_several_fails") else { return };
    let root = fs.mount_point();
    for name in ["0", "1"] {
        fs::create_dir_all(root.join("devices").join(name)).unwrap();
        fs::write(root.join("devices").join(name).join("file"), b"content").unwrap();
    }
    let bad = Path::new("devices/1");
    let open = File::open(root.join("devices/1/file")).unwrap();
    fs.inject(bad, Fault::ReadError);
    assert_eq!(fs::read(root.join("devices/1/file")).unwrap_err().raw_os_error(), EIO);
    assert_eq!(fs::read(root.join("devices/0/file")).unwrap(), b"content");
    assert!(fs.hits(bad) > 0);
    fs.clear(bad);
    fs.inject(bad, Fault::Gone);
    assert_eq!(open.read_at(&mut [0], 0).unwrap_err().raw_os_error(), EIO);
    let missing = fs::metadata(root.join("devices/1")).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(fs::read(root.join("devices/0/file")).unwrap(), b"content");
    fs.clear(bad);
    assert_eq!(fs::read(root.join("devices/1/file")).unwrap(), b"content");
    fs.inject(bad, Fault::NoSpace);
    assert_eq!(
        fs::write(root.join("devices/1/new"), b"x").unwrap_err().kind(),
        std::io::ErrorKind::StorageFull
    );
    assert_eq!(nix::sys::statvfs::statvfs(&root.join("devices/1")).unwrap().blocks_available(), 0);
    assert!(nix::sys::statvfs::statvfs(&root.join("devices/0")).unwrap().blocks_available() > 0);
}

#[test]
fn several_threads_read_and_write_at_a_time() {
    let Some((_dir, fs)) = mount("several_threads_read_and_write_at_a_time") else { return };
    let root = fs.mount_point();
    thread::scope(|scope| {
        for number in 0..8_u8 {
            scope.spawn(move || {
                let path = root.join(number.to_string());
                let file = File::create_new(&path).unwrap();
                for round in 0..32 {
                    file.write_all_at(&vec![number; 100_000], round * 100_000).unwrap();
                    file.sync_data().unwrap();
                }
                assert_eq!(fs::read(path).unwrap(), vec![number; 3_200_000]);
            });
        }
    });
    assert_eq!(fs.counters().file_syncs, 256);
}

#[test]
fn dropping_it_unmounts() {
    let Some((dir, fs)) = mount("dropping_it_unmounts") else { return };
    let root = fs.mount_point().to_owned();
    fs::write(root.join("file"), b"x").unwrap();
    drop(fs);
    assert!(fs::read_dir(&root).unwrap().next().is_none(), "is the directory below again");
    let again = FaultFs::mount(&dir.path().join("other"), &root).unwrap();
    assert!(!root.join("file").exists());
    let busy = File::create(root.join("busy")).unwrap();
    drop(again);
    assert!(!root.join("busy").exists(), "a busy mount is detached");
    drop(busy);
}
