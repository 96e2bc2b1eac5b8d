//! Disks that are really full: file systems in memory, small, filled by somebody else.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use compat_tests::ledger::Ledger;
use compat_tests::load::{Load, Tally};
use compat_tests::payload::{self, Random};
use compat_tests::wire::Response;
use tempfile::TempDir;

use crate::machine::{Machine, NOTICE_MAX, await_true, directory};
use crate::{filled, seed};

/// Size of the file system of all drives. Chosen: some times what the test stores.
const DRIVES_BYTES: u64 = 600 << 20;

/// Size of the metadata's file system. Chosen: above the 512 MiB below which the server takes no
/// new content, so that filling it passes every watermark.
const META_BYTES: u64 = 700 << 20;

/// A file system in memory; unmounted when dropped.
pub(crate) struct SmallDisk {
    /// Where it is mounted; removed after that ended.
    place: TempDir,
}

impl SmallDisk {
    /// Mounts one; `None`, with a word about it, where this process may not.
    pub(crate) fn mount(what: &str, bytes: u64) -> Option<Self> {
        let place = directory();
        let text = |bytes: &[u8]| CString::new(bytes).expect("paths hold no zeros");
        let (kind, target) = (text(b"tmpfs"), text(place.path().as_os_str().as_bytes()));
        let options = text(format!("size={bytes},mode=0700").as_bytes());
        // SAFETY: all pointers are strings that live until the call returns.
        let mounted = unsafe {
            libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast())
        };
        if mounted == 0 {
            return Some(Self { place });
        }
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "mounting fails: {error}");
        eprintln!("not run: {what}: {error}");
        None
    }

    /// Where it is mounted.
    fn path(&self) -> &Path {
        self.place.path()
    }

    /// Fills the disk until `left` bytes are free; the file gives them back when dropped.
    pub(crate) fn fill_to(&self, left: u64) -> Ballast {
        let path = self.path().join("ballast");
        let file = File::create(&path).expect("a small file fits");
        let ballast = Ballast { path };
        let mut len = 0;
        for step in [16 << 20, 1 << 20, 64 << 10, 4 << 10] {
            while self.free() >= left + step && allocate(&file, len, step) {
                len += step;
            }
        }
        ballast
    }

    fn free(&self) -> u64 {
        let path = CString::new(self.path().as_os_str().as_bytes()).expect("paths hold no zeros");
        // SAFETY: an all-zero `statvfs` is a valid value of plain numbers.
        let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path is a string and `found` writable, both until the call returns.
        let done = unsafe { libc::statvfs(path.as_ptr(), &raw mut found) };
        assert_eq!(done, 0, "the disk tells its space");
        found.f_bavail * found.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = CString::new(self.path().as_os_str().as_bytes()).expect("paths hold no zeros");
        // SAFETY: the path is a string that lives until the call returns.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Space that somebody else uses.
pub(crate) struct Ballast {
    path: PathBuf,
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether `len` more bytes from `offset` on are allocated.
fn allocate(file: &File, offset: u64, len: u64) -> bool {
    let signed = |bytes: u64| i64::try_from(bytes).expect("the disks are small");
    // SAFETY: the descriptor is open as long as `file`.
    unsafe { libc::fallocate(file.as_raw_fd(), 0, signed(offset), signed(len)) == 0 }
}

/// A refusal that tells the client what is the matter: the disk is full, or the server cannot
/// write just now.
fn is_clean(answer: &Response) -> bool {
    let code = answer.element("Code").unwrap_or_default();
    let known = [(507, "InsufficientStorage"), (503, "ServiceUnavailable"), (503, "SlowDown")];
    known.contains(&(answer.status, code.as_str()))
}

/// Writes until the server refuses, noting what it acknowledged; the refusal is clean.
fn write_until_refused(machine: &Machine, ledger: &mut Ledger, len: usize, random: &mut Random) {
    for number in 0..400 {
        let (key, body) = (format!("fill/{number}"), payload::bytes(random.next_u64(), len));
        let request = machine.wire().put(&ledger.target(&key)).body(body.clone());
        let answer = request.send();
        if answer.status == 200 {
            ledger.key(&key).acknowledged(Some(body));
            continue;
        }
        assert!(is_clean(&answer), "{answer:?}");
        eprintln!("refused after {number} objects: {}", answer.status);
        ledger.key(&key).refused(Some(body));
        return;
    }
    panic!("the disk never became full");
}

/// Deletes, which must work or be refused cleanly; says how many worked.
fn delete_some(machine: &Machine, ledger: &mut Ledger, keys: &[&str]) -> usize {
    let mut deleted = 0;
    for key in keys {
        let answer = machine.wire().delete(&ledger.target(key)).send();
        if answer.status == 204 {
            ledger.key(key).acknowledged(None);
            deleted += 1;
        } else {
            assert!(is_clean(&answer), "{answer:?}");
            ledger.key(key).refused(None);
        }
    }
    deleted
}

/// Waits until writing works again, then writes and reads everything.
fn expect_recovered(machine: &Machine, ledger: &mut Ledger, random: &mut Random) {
    let body = payload::bytes(random.next_u64(), 300_000);
    await_true("writing works again", NOTICE_MAX, || {
        let request = machine.wire().put(&ledger.target("after")).body(body.clone());
        let answer = request.send();
        assert!(answer.status == 200 || is_clean(&answer), "{answer:?}");
        answer.status == 200
    });
    ledger.key("after").acknowledged(Some(body));
    let tally = Tally::default();
    Load::new(machine.wire(), ledger, &tally).steps(ledger, random.next_u64(), 8);
    machine.await_whole();
    ledger.verify(&machine.wire());
}

#[test]
fn full_drives_refuse_writes_and_go_on_when_space_returns() {
    let mut random = Random::new(seed());
    let Some(disk) = SmallDisk::mount("full drives", DRIVES_BYTES) else { return };
    let machine = Machine::with_drives_in(disk.path());
    let mut ledger = filled(&machine, &mut random);

    // The drives fill themselves: their reserve lets deletes and compaction make room again.
    write_until_refused(&machine, &mut ledger, 4 << 20, &mut random);
    ledger.verify(&machine.wire());
    let full = |device: &crate::machine::Device| device.health == "full";
    machine.await_devices(&[0, 1, 2, 3, 4, 5], "full", full);
    let filled_keys: Vec<String> = ledger.present().map(|(key, _)| key.clone()).collect();
    let victims: Vec<&str> =
        filled_keys.iter().filter(|key| key.starts_with("fill/")).map(String::as_str).collect();
    assert_eq!(delete_some(&machine, &mut ledger, &victims), victims.len());
    expect_recovered(&machine, &mut ledger, &mut random);

    // Somebody else takes everything, also the reserve.
    for round in 0..2 {
        let ballast = disk.fill_to(0);
        let tally = Tally::default();
        write_until_refused(&machine, &mut ledger, 1 << 20, &mut random);
        ledger.verify(&machine.wire());
        let deleted = delete_some(&machine, &mut ledger, &["kept/65537", "after"]);
        eprintln!("with no byte left: {deleted} deleted, {tally:?}");
        if round == 1 {
            // Opening a drive takes a few kilobytes; until they are there it is offline.
            machine.server.kill();
            machine.start();
            let unreadable = ledger.clone().read(&machine.wire(), |_, answer| {
                answer.expect_error(503, "ServiceUnavailable");
            });
            eprintln!("after a start with no byte left {unreadable} are unreadable");
        } else {
            ledger.verify(&machine.wire());
        }
        drop(ballast);
        expect_recovered(&machine, &mut ledger, &mut random);
    }
    machine.stop();
}

#[test]
fn full_metadata_disk_refuses_writes_loses_nothing_and_goes_on_when_space_returns() {
    let mut random = Random::new(seed());
    let Some(disk) = SmallDisk::mount("a full metadata disk", META_BYTES) else { return };
    let machine = Machine::with_data_dir(&disk.path().join("data"));
    let mut ledger = filled(&machine, &mut random);

    // Below the watermark for content, deletes go on.
    let ballast = disk.fill_to(300 << 20);
    let refused = machine.wire().put(&ledger.target("new")).body("1234567").send();
    refused.expect_error(507, "InsufficientStorage");
    ledger.verify(&machine.wire());
    assert_eq!(delete_some(&machine, &mut ledger, &["kept/1"]), 1);
    drop(ballast);
    expect_recovered(&machine, &mut ledger, &mut random);

    // Below the last one nothing is written, and with no byte left neither.
    for left in [64 << 20, 0] {
        let ballast = disk.fill_to(left);
        let refused = machine.wire().put(&ledger.target("new")).body("1234567").send();
        assert!(is_clean(&refused), "{refused:?}");
        delete_some(&machine, &mut ledger, &["kept/4096"]);
        ledger.verify(&machine.wire());
        drop(ballast);
        expect_recovered(&machine, &mut ledger, &mut random);
    }

    // A start without space says so or serves; nothing is lost either way.
    let ballast = disk.fill_to(0);
    machine.server.kill();
    match machine.server.try_start_again() {
        Ok(()) => ledger.verify(&machine.wire()),
        Err(why) => {
            let said = why.contains("No space left") || why.contains("space");
            assert!(said, "the refusal does not tell why: {why}");
            eprintln!("a start without space is refused");
        }
    }
    machine.server.kill();
    drop(ballast);
    machine.start();
    expect_recovered(&machine, &mut ledger, &mut random);
    machine.stop();
}
