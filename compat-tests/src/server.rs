//! A `datamesh server` process with a data directory of its own.
//!
//! - The binary is `$DATAMESH_BIN`, or `datamesh` of the profile the tests were built with.
//! - Ports are the kernel's choice; the server says which in `DIR/endpoints.json`, and the file
//!   counts only if it carries the process id of the process started here.
//! - [`Server::shared`] hands one process to all tests that run at the same time; tests keep apart
//!   by bucket name. Whoever kills, fills or reconfigures a server takes [`Server::start`].
//! - A test that panics while it holds a server prints the end of that server's log and keeps all
//!   of it beside the servers' directories. The environment reaches the server, so `DATAMESH_LOG`
//!   sets what is logged.

mod setup;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;
use tempfile::TempDir;

use crate::program::{Output, Program};
use crate::wire::{self, Wire};

pub use setup::Setup;

/// How long a server may take from start to ready. Chosen: an unoptimised build that recovers a
/// crash test's data on a busy machine needs a few seconds.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take to drain. Chosen: twice what a server with idle clients needs on a
/// busy machine, with room for background work to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the harness looks whether something has happened. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How much of the server's log a failing test prints. Chosen: a few screens.
const LOG_TAIL_BYTES: u64 = 8 * 1024;

static SHARED: Mutex<Weak<Running>> = Mutex::new(Weak::new());
static BUCKETS: AtomicU64 = AtomicU64::new(0);

/// An access key and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
}

impl Credentials {
    /// A pair of credentials.
    #[must_use]
    pub fn new(access_key: &str, secret_key: &str) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into() }
    }
}

/// A test's hold on a running server; the process ends with the last one.
#[derive(Debug, Clone)]
pub struct Server {
    running: Arc<Running>,
}

/// Something a server needs and that ends when it is dropped.
type Companion = Box<dyn std::any::Any + Send + Sync>;

/// One server process and its directory.
#[derive(Debug)]
pub struct Running {
    /// What ends with the server, after its process.
    companions: Mutex<Vec<Companion>>,
    dir: TempDir,
    data_dir: PathBuf,
    command: Option<Vec<String>>,
    arguments: Vec<String>,
    environment: Mutex<BTreeMap<String, String>>,
    root: Credentials,
    process: Mutex<Option<Process>>,
    second: OnceLock<Credentials>,
    kms_key: OnceLock<String>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    endpoints: Endpoints,
}

/// What the server writes to `DIR/endpoints.json` once it listens.
#[derive(Debug, Clone, Deserialize)]
struct Endpoints {
    s3: String,
    admin: String,
    /// Where buckets are websites, if they are.
    website: Option<String>,
    pid: u32,
}

impl Server {
    /// Starts a server of its own, with `arguments` after the harness's.
    ///
    /// # Panics
    /// When there is no binary, or the server does not become ready.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Setup::new().arguments(arguments).start()
    }

    /// The server that all running tests share; started when none is running.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn shared() -> Self {
        Self::shared_as(|| Self::start(&["--domain", "localhost"]))
    }

    /// As [`Server::shared`], for test binaries that share another kind of server: `start` makes
    /// it when none is running.
    #[must_use]
    pub fn shared_as(start: impl FnOnce() -> Self) -> Self {
        let mut shared = SHARED.lock();
        let running = shared.upgrade().unwrap_or_else(|| {
            let started = start();
            *shared = Arc::downgrade(&started.running);
            Arc::clone(&started.running)
        });
        Self { running }
    }
}

impl Deref for Server {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            let kept = self.running.keep_log();
            eprintln!("--- end of the server's log, kept as {kept}\n{}", self.running.log_tail());
        }
    }
}

impl Running {
    fn start(setup: Setup) -> Self {
        let parent = temporary_parent();
        std::fs::create_dir_all(&parent).expect("the target directory is writable");
        let dir = tempfile::Builder::new()
            .prefix("compat-")
            .tempdir_in(parent)
            .expect("the target directory is writable");
        std::fs::create_dir(dir.path().join("home")).expect("a new directory is writable");
        let server = Self {
            data_dir: setup.data_dir.unwrap_or_else(|| dir.path().join("data")),
            companions: Mutex::new(Vec::new()),
            dir,
            command: setup.command,
            arguments: setup.arguments,
            environment: Mutex::new(setup.environment),
            root: Credentials::new(
                "COMPATROOTKEY0000001",
                "compat/root+secret/0000000000000000000001",
            ),
            process: Mutex::new(None),
            second: OnceLock::new(),
            kms_key: OnceLock::new(),
        };
        server.start_again();
        server
    }

    /// Starts the process on the same directory after [`Running::kill`] or [`Running::terminate`],
    /// and waits until it is ready.
    ///
    /// # Panics
    /// When the process still runs or does not become ready.
    pub fn start_again(&self) {
        self.try_start_again().unwrap_or_else(|error| panic!("{error}"));
    }

    /// As [`Running::start_again`], for a start that may fail.
    ///
    /// # Errors
    /// What happened instead, with the end of the log, when the process ended or did not become
    /// ready; it no longer runs then.
    ///
    /// # Panics
    /// When the process still runs.
    pub fn try_start_again(&self) -> Result<(), String> {
        let mut process = self.process.lock();
        assert!(process.is_none(), "the server is already running");
        *process = Some(self.launch()?);
        Ok(())
    }

    /// Sets, or with `None` removes, an environment variable of the processes started from now on.
    pub fn set_environment(&self, name: &str, value: Option<&str>) {
        let mut environment = self.environment.lock();
        match value {
            Some(value) => environment.insert(name.to_owned(), value.to_owned()),
            None => environment.remove(name),
        };
    }

    /// Starts the process and ends it with `SIGKILL` after `delay`, ready or not.
    ///
    /// # Panics
    /// When the server already runs.
    pub fn kill_while_starting(&self, delay: Duration) {
        let process = self.process.lock();
        assert!(process.is_none(), "the server is already running");
        let mut child = self.spawn();
        thread::sleep(delay);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Keeps `companion` until after the server's last process has ended.
    pub fn keep(&self, companion: impl std::any::Any + Send + Sync) {
        self.companions.lock().push(Box::new(companion));
    }

    fn launch(&self) -> Result<Process, String> {
        let mut child = self.spawn();
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if let Some(endpoints) = self.endpoints_of(child.id())
                && wire::get(&format!("{}/readyz", endpoints.admin)) == Some(200)
            {
                return Ok(Process { child, endpoints });
            }
            let ended = child.try_wait().expect("a child can be waited for");
            if ended.is_none() && Instant::now() < deadline {
                thread::sleep(POLL_INTERVAL);
                continue;
            }
            let how = ended.map_or(format!("not ready after {READY_TIMEOUT:?}"), |s| s.to_string());
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!(
                "the server did not start ({how}); its log ends\n{}",
                self.log_tail()
            ));
        }
    }

    fn spawn(&self) -> Child {
        let binary = binary();
        let log = self.open_log();
        let mut command = Command::new(&binary);
        match &self.command {
            Some(arguments) => command.args(arguments),
            None => command.arg("server").arg("--data").arg(self.data_dir()).args([
                "--s3",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--log-format",
                "json",
            ]),
        };
        command
            .args(&self.arguments)
            .envs(&*self.environment.lock())
            .env("DATAMESH_ROOT_ACCESS_KEY", &self.root.access_key)
            .env("DATAMESH_ROOT_SECRET_KEY", &self.root.secret_key)
            .env("HOME", self.home_dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file descriptor can be duplicated"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()))
    }

    fn endpoints_of(&self, pid: u32) -> Option<Endpoints> {
        let text = std::fs::read(self.data_dir().join("endpoints.json")).ok()?;
        let endpoints: Endpoints = serde_json::from_slice(&text).ok()?;
        (endpoints.pid == pid).then_some(endpoints)
    }

    /// Ends the process with `SIGKILL`, as a power cut would, and waits for it.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }

    /// Waits until the process has ended by itself, for `timeout` at most, and returns how it did;
    /// `None` when it goes on, or none is running.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    #[must_use]
    pub fn wait_for_end(&self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        let mut process = self.process.lock();
        loop {
            let status = process.as_mut()?.child.try_wait().expect("a child can be waited for");
            if status.is_some() {
                *process = None;
            }
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// The id of the running process.
    ///
    /// # Panics
    /// When the server is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.lock().as_ref().expect("the server is running").child.id()
    }

    /// Asks the process to end with `SIGTERM` and returns how it did.
    ///
    /// # Panics
    /// When it is not running, or still is after half a minute.
    pub fn terminate(&self) -> ExitStatus {
        let mut process = self.process.lock().take().expect("the server is running");
        let pid = i32::try_from(process.child.id()).expect("process ids fit i32");
        // SAFETY: sends a signal to a child of ours that has not been waited for, so the id cannot
        // have been given to another process.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0, "the child can be signalled");
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        loop {
            if let Some(status) = process.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            if Instant::now() > deadline {
                let _ = process.child.kill();
                let _ = process.child.wait();
                panic!("the server did not end within {DRAIN_TIMEOUT:?} of SIGTERM");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Where the server keeps its data: the argument of `--data`.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// A directory for what client programs write: their home.
    #[must_use]
    pub fn home_dir(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A new empty directory for one test's files, removed with the server's.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn work_dir(&self) -> PathBuf {
        let number = BUCKETS.fetch_add(1, Ordering::Relaxed);
        let dir = self.dir.path().join(format!("work-{number}"));
        std::fs::create_dir(&dir).expect("the server's directory is writable");
        dir
    }

    /// The S3 endpoint, for example `http://127.0.0.1:40001`.
    ///
    /// # Panics
    /// When the server is not running.
    #[must_use]
    pub fn s3_url(&self) -> String {
        self.endpoints().s3
    }

    /// The S3 endpoint without its scheme: `127.0.0.1:PORT`.
    #[must_use]
    pub fn s3_address(&self) -> String {
        let url = self.s3_url();
        let address = url.split_once("://").map_or(url.as_str(), |(_, address)| address);
        address.trim_end_matches('/').to_owned()
    }

    /// Where buckets are websites, for a server that was started so.
    ///
    /// # Panics
    /// When it was not, or is not running.
    #[must_use]
    pub fn website_url(&self) -> String {
        self.endpoints().website.expect("the server was started with --website")
    }

    /// The admin endpoint.
    ///
    /// # Panics
    /// When the server is not running.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.endpoints().admin
    }

    /// The answer of the admin API to a GET of `path`, below `/api/v1`, by the root credentials.
    ///
    /// # Panics
    /// When it is not a document.
    #[must_use]
    pub fn administer(&self, path: &str) -> serde_json::Value {
        let url = self.admin_url();
        let address = url.split_once("://").map_or(url.as_str(), |(_, address)| address);
        let admin = Wire::new(address.trim_end_matches('/'), self.root.clone());
        let sign_in = serde_json::json!({
            "access_key_id": self.root.access_key,
            "secret_access_key": self.root.secret_key,
        });
        let session = admin.post("/api/v1/session").anonymous();
        let session = session.header("content-type", "application/json");
        let session = session.body(sign_in.to_string()).send().status_is(200);
        let session: serde_json::Value =
            serde_json::from_slice(&session.body).expect("a session is a document");
        let token = session["token"].as_str().expect("a session has a token");
        let request = admin.get(&format!("/api/v1{path}")).anonymous();
        let answer = request.header("authorization", &format!("Bearer {token}")).send();
        serde_json::from_slice(&answer.status_is(200).body).expect("an answer is a document")
    }

    fn endpoints(&self) -> Endpoints {
        self.process.lock().as_ref().expect("the server is running").endpoints.clone()
    }

    /// The credentials the server was started with.
    #[must_use]
    pub fn root(&self) -> &Credentials {
        &self.root
    }

    /// The credentials of a second account, made with the command line on first use.
    ///
    /// # Panics
    /// When the commands fail.
    #[must_use]
    pub fn second_account(&self) -> &Credentials {
        self.second.get_or_init(|| {
            let second = Credentials::new(
                "COMPATSECONDKEY00002",
                "compat/second+secret/00000000000000000002",
            );
            let _ = self.datamesh(&["user", "create", "second"]).succeed();
            let import = ["key", "create", "--user", "second"];
            let key = ["--access-key", &second.access_key, "--secret-key", &second.secret_key];
            let _ = self.datamesh(&[&import[..], &key[..]].concat()).succeed();
            second
        })
    }

    /// The name of a key of the key service, made with the command line on first use.
    ///
    /// # Panics
    /// When the command fails.
    #[must_use]
    pub fn kms_key(&self) -> &str {
        self.kms_key.get_or_init(|| {
            let name = "compat-key".to_owned();
            let _ = self.datamesh(&["kms", "key", "create", "--id", &name]).succeed();
            name
        })
    }

    /// A `datamesh` command against this server, with `--json`.
    #[must_use]
    pub fn datamesh(&self, arguments: &[&str]) -> Program {
        Program::new(binary(), &self.home_dir())
            .args(arguments)
            .arg("--json")
            .arg("--data")
            .arg(self.data_dir())
    }

    /// Runs a second server on this server's data directory until it ends by itself.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn start_second_process(&self) -> Output {
        Program::new(binary(), &self.home_dir())
            .arg("server")
            .arg("--data")
            .arg(self.data_dir())
            .args(["--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .run()
    }

    /// A signing client for the S3 endpoint with the root credentials.
    #[must_use]
    pub fn wire(&self) -> Wire {
        Wire::new(&self.s3_address(), self.root.clone())
    }

    /// Creates a bucket with a name no other test uses, starting with `prefix`.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn new_bucket(&self, prefix: &str) -> String {
        let bucket = unique_name(prefix);
        self.wire().put(&format!("/{bucket}")).send().expect_status(200);
        bucket
    }

    /// The end of what the server has logged, over all its processes.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut log = File::open(self.log_path())?;
            let len = log.metadata()?.len();
            log.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            log.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        read().unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Copies the log to where it outlives the server, named after the test, and says where.
    fn keep_log(&self) -> String {
        let name = thread::current().name().unwrap_or("test").replace("::", "-");
        let path = temporary_parent().join(format!("{name}.log"));
        match std::fs::copy(self.log_path(), &path) {
            Ok(_) => path.display().to_string(),
            Err(error) => format!("nothing ({error})"),
        }
    }

    /// Where everything the server logs goes, over all its processes.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn open_log(&self) -> File {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the server's directory is writable")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A name no other test of this run uses, starting with `prefix`; legal for a bucket.
#[must_use]
pub fn unique_name(prefix: &str) -> String {
    let number = BUCKETS.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{number}", std::process::id())
}

/// The server binary.
#[must_use]
pub fn binary() -> PathBuf {
    std::env::var_os("DATAMESH_BIN").map_or_else(|| program("datamesh"), PathBuf::from)
}

/// A program of the workspace, of the profile the tests were built with.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = profile_dir().join(name);
    assert!(path.is_file(), "{} is missing; run `make test-build`", path.display());
    path
}

/// `target/<profile>`: test executables are in its `deps`.
fn profile_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("a test knows its executable");
    let deps = executable.parent().expect("an executable is in a directory");
    deps.parent().unwrap_or(deps).to_owned()
}

/// Where servers keep their data: under the target directory, which is on a disk, while the
/// system's temporary directory may be memory without `O_DIRECT`.
#[must_use]
pub fn temporary_parent() -> PathBuf {
    profile_dir().parent().map_or_else(std::env::temp_dir, |target: &Path| target.join("tmp"))
}
