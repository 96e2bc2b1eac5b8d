//! A machine whose power can be cut: a file system, a server on it, and the ledger of its clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use compat_tests::payload::Random;
use compat_tests::server::{Server, Setup};
use compat_tests_faultfs::FaultFs;
use tempfile::TempDir;

use crate::ledger::{self, Ledger};
use crate::load;

/// How long clients write before a kill, in milliseconds: at random between these.
const LOAD_MS: (u64, u64) = (200, 2500);

/// How far a first start gets before it is killed, in milliseconds: at random between these.
const START_MS: (u64, u64) = (2, 400);

/// Drives of a server with a data directory of its own.
const DRIVES: usize = 6;

/// In the order of dropping: the server ends before its file system does.
pub(crate) struct Machine {
    server: Server,
    bucket: String,
    ledger: Ledger,
    disk: FaultFs,
    data: PathBuf,
    _dir: TempDir,
}

impl Machine {
    /// Starts a server; `None` where there is no FUSE.
    pub(crate) fn new(
        what: &str,
        environment: &[(&str, &str)],
        random: &mut Random,
    ) -> Option<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
        let disk = FaultFs::mount_for(what, &dir.path().join("backing"), &dir.path().join("disk"))?;
        let data = disk.mount_point().join(format!("data-{}", random.below(1000)));
        let mut setup = Setup::new().data_dir(&data);
        for (name, value) in environment {
            setup = setup.environment(name, value);
        }
        let server = setup.start();
        let bucket = server.new_bucket("power");
        Some(Self { server, bucket, ledger: Ledger::new(), disk, data, _dir: dir })
    }

    /// Lets clients write, kills the server, cuts the power, starts it and reads everything back.
    ///
    /// # Errors
    /// What was lost, or refused.
    pub(crate) fn round(&mut self, random: &mut Random) -> Result<(), String> {
        let (least, most) = LOAD_MS;
        let pause = Duration::from_millis(least + random.below(most - least));
        let written =
            load::until_killed(&self.server, &self.bucket, &mut self.ledger, pause, random)?;
        let unsynced = self.disk.unsynced_bytes();
        let cut = self.disk.power_off(random.next_u64()).expect("the file system goes on");
        eprintln!("{written} acknowledged in {pause:?}, {unsynced} bytes unsynced: {cut:?}");
        self.server.try_start_again()?;
        ledger::verify(&mut self.ledger, &self.server.wire(), &self.bucket)?;
        self.check_drives()
    }

    /// Every drive is online and nothing waits for repair: nothing durable was damaged.
    fn check_drives(&self) -> Result<(), String> {
        let devices = self.server.datamesh(&["device", "list"]).succeed().json();
        let text = devices.to_string();
        let online = text.matches("\"health\":\"online\"").count();
        if online != DRIVES {
            return Err(format!("{online} of {DRIVES} drives are online: {text}"));
        }
        let repair = self.server.datamesh(&["repair", "status"]).succeed().json();
        if repair["idle"] == true {
            return Ok(());
        }
        Err(format!("a power cut leaves something to repair: {repair}"))
    }

    /// Lets a first start get somewhere, cuts the power, and starts again.
    ///
    /// # Errors
    /// What is refused.
    pub(crate) fn first_start(&self, random: &mut Random) -> Result<(), String> {
        self.server.kill();
        remove(&self.data);
        let (least, most) = START_MS;
        let delay = Duration::from_millis(least + random.below(most - least));
        self.server.kill_while_starting(delay);
        let cut = self.disk.power_off(random.next_u64()).expect("the file system goes on");
        eprintln!("a first start cut after {delay:?}: {cut:?}");
        self.server.try_start_again()?;
        self.check_drives()?;
        let bucket = self.server.new_bucket("first");
        let put = self.server.wire().put(&format!("/{bucket}/key")).body("content").try_send()?;
        if put.status == 200 { Ok(()) } else { Err(format!("PUT answers {}", put.status)) }
    }
}

fn remove(data: &Path) {
    fs::remove_dir_all(data).expect("the data directory can be removed");
    let parent = data.parent().expect("the data directory is on the mount");
    fs::File::open(parent).and_then(|parent| parent.sync_all()).expect("a directory can be synced");
}
