//! Directories, server processes and commands of one test.
//!
//! Invariants:
//! - a process that a test starts ends with the test, however it goes;
//! - commands see no environment but what the test gives them;
//! - every wait is bounded, and its failure shows the server's log.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::s3::{Credentials, S3};

/// How long a server may take to become ready, and a command to end. Chosen: many times what an
/// idle machine needs.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long a drain may take: the bound that the S3 edge gives requests under way, and slack.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Time between looks at something awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The program under test: the one cargo built, unless `DATAMESH_BIN` names another.
fn binary() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_datamesh"));
    std::env::var_os("DATAMESH_BIN").map_or_else(built, PathBuf::from)
}

/// Polls `look` until it finds something, for at most `wait_max`.
pub(crate) fn await_some<T>(
    what: &str,
    wait_max: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + wait_max;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {wait_max:?}: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Polls `look` until it is true, for at most `wait_max`.
pub(crate) fn await_true(what: &str, wait_max: Duration, mut look: impl FnMut() -> bool) {
    await_some(what, wait_max, || look().then_some(()));
}

/// The directories of one server: data, drives, and the home of those who run commands.
pub(crate) struct Machine {
    dir: TempDir,
    processes: Cell<u32>,
}

/// A process that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A server that is ready.
pub(crate) struct Server {
    child: Option<Child>,
    s3_url: String,
    admin_url: String,
    data: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A server about to be started.
pub(crate) struct Launch<'a> {
    machine: &'a Machine,
    command: Command,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Machine {
    /// Fresh directories. Under the target directory, which is on a disk, while the system's
    /// temporary directory may be memory.
    pub(crate) fn new() -> Self {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = tempfile::Builder::new()
            .prefix("server-")
            .tempdir_in(parent)
            .expect("the target directory is writable");
        fs::create_dir(dir.path().join("home")).expect("a new directory is writable");
        Self { dir, processes: Cell::new(0) }
    }

    /// Where everything of the test is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory. The first start makes it.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The home directory of commands.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Where the drive of a slot is when drives are not named.
    pub(crate) fn device(&self, slot: usize) -> PathBuf {
        self.data().join("devices").join(slot.to_string())
    }

    /// A new empty directory for a drive.
    pub(crate) fn new_drive(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).expect("the test's directory is writable");
        path
    }

    /// A `datamesh` command in an empty environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", self.home()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a `datamesh` command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.finish(self.command(arguments))
    }

    /// Runs a `datamesh` command against the server on the data directory.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Finished {
        let mut command = self.command(arguments);
        command.arg("--data").arg(self.data());
        self.finish(command)
    }

    /// What a command against the server on the data directory answers in JSON.
    pub(crate) fn admin_json(&self, arguments: &[&str]) -> Value {
        let mut command = self.command(arguments);
        command.arg("--data").arg(self.data()).arg("--json");
        self.finish(command).succeeded().json()
    }

    /// Runs any command to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Finished {
        let (stdout, stderr) = self.outputs();
        let child = command
            .stdout(File::create(&stdout).expect("the test's directory is writable"))
            .stderr(File::create(&stderr).expect("the test's directory is writable"))
            .spawn()
            .expect("the binary can be started");
        let status = Server::reap(child, WAIT_MAX);
        let read = |path: &Path| fs::read_to_string(path).expect("output is text");
        let finished = Finished {
            code: status.and_then(|status| status.code()),
            stdout: read(&stdout),
            stderr: read(&stderr),
        };
        assert!(status.is_some(), "{command:?} did not end: {finished:?}");
        finished
    }

    /// A server on the data directory and free ports.
    pub(crate) fn server(&self) -> Launch<'_> {
        self.server_on(&["--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
    }

    /// A server on the data directory and given addresses.
    pub(crate) fn server_on(&self, addresses: &[&str]) -> Launch<'_> {
        let mut command = self.command(&["server"]);
        command.arg("--data").arg(self.data()).args(addresses);
        self.launch(command)
    }

    /// Another command that serves with the data directory.
    pub(crate) fn launch(&self, command: Command) -> Launch<'_> {
        let (stdout, stderr) = self.outputs();
        Launch { machine: self, command, stdout, stderr }
    }

    /// Starts a server with default options.
    pub(crate) fn start(&self) -> Server {
        self.server().start()
    }

    /// New files for what a process prints and logs.
    pub(crate) fn outputs(&self) -> (PathBuf, PathBuf) {
        let number = self.processes.get();
        self.processes.set(number + 1);
        let path = |kind: &str| self.dir.path().join(format!("{kind}-{number}"));
        (path("stdout"), path("stderr"))
    }
}

impl Launch<'_> {
    /// Adds arguments.
    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Names drives.
    pub(crate) fn drives(mut self, paths: &[PathBuf]) -> Self {
        for path in paths {
            self.command.arg("--drive").arg(path);
        }
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(mut self) -> Server {
        let mut child = self
            .command
            .stdout(File::create(&self.stdout).expect("the test's directory is writable"))
            .stderr(File::create(&self.stderr).expect("the test's directory is writable"))
            .spawn()
            .expect("the binary can be started");
        let pid = child.id();
        let endpoints = self.machine.data().join("endpoints.json");
        let deadline = Instant::now() + WAIT_MAX;
        let found = loop {
            // Endpoints are printed, in one write, after they were published.
            let printed = fs::read_to_string(&self.stdout).unwrap_or_default();
            let found = fs::read(&endpoints)
                .ok()
                .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
                .filter(|found| found["pid"] == pid && printed.contains("Access key"));
            let ended = child.try_wait().expect("a child can be waited for");
            if found.is_some() || ended.is_some() || Instant::now() > deadline {
                break found;
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        let url = |name: &str| {
            let url = found.as_ref().and_then(|found| found[name].as_str());
            url.unwrap_or_default().to_owned()
        };
        let server = Server {
            child: Some(child),
            s3_url: url("s3"),
            admin_url: url("admin"),
            data: self.machine.data(),
            stdout: self.stdout,
            stderr: self.stderr,
        };
        assert!(found.is_some(), "the server did not start:\n{}", server.log());
        server
    }

    /// Starts the server and kills it after a while, wherever it got to.
    pub(crate) fn killed_after(mut self, delay: Duration) {
        let mut child = self.command.spawn().expect("the binary can be started");
        std::thread::sleep(delay);
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// Starts the server where it must refuse, and waits for its end.
    pub(crate) fn refused(self) -> Finished {
        self.machine.finish(self.command)
    }
}

impl Finished {
    /// The process, if it exited with 0.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Checks that the process exited with `code` and told `reason` on standard error.
    pub(crate) fn failed_with(&self, code: i32, reason: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(reason), "expected {reason:?} in {self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    /// What the process printed, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// Waits for a child; kills it after `wait_max` and answers `None`.
    pub(crate) fn reap(mut child: Child, wait_max: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + wait_max;
        loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                return Some(status);
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Where S3 is.
    pub(crate) fn s3_url(&self) -> &str {
        &self.s3_url
    }

    /// Where the admin API is.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// `HOST:PORT` of the admin API.
    pub(crate) fn admin_authority(&self) -> &str {
        self.admin_url.trim_start_matches("http://")
    }

    /// Status and body of an unsigned GET from the admin address.
    pub(crate) fn admin_get(&self, path: &str) -> (u16, String) {
        let authority = self.admin_authority();
        let mut stream = TcpStream::connect(authority).expect("the server accepts");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).expect("a status line");
        (status.parse().expect("a status"), body.to_owned())
    }

    /// What it printed on standard output.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.stdout).expect("output is text")
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.stderr).expect("the log is text")
    }

    /// The root credentials that are kept in the data directory.
    pub(crate) fn root(&self) -> Credentials {
        let text = fs::read(self.data.join("credentials.json")).expect("credentials are kept");
        let kept: Value = serde_json::from_slice(&text).expect("credentials are JSON");
        let field = |name: &str| kept[name].as_str().expect("a string").to_owned();
        Credentials { access_key: field("access_key"), secret_key: field("secret_key") }
    }

    /// An S3 client that signs as root.
    pub(crate) fn s3(&self) -> S3 {
        S3::new(&self.s3_url, self.root())
    }

    /// An S3 client that signs with other credentials.
    pub(crate) fn s3_as(&self, credentials: Credentials) -> S3 {
        S3::new(&self.s3_url, credentials)
    }

    /// Whether the process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        let child = self.child.as_mut().expect("the server was not stopped");
        child.try_wait().expect("a child can be waited for").is_none()
    }

    /// The most memory that it ever had resident, in bytes.
    pub(crate) fn resident_bytes_max(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")).expect("Linux tells VmHWM");
        kib.trim().parse::<u64>().expect("a number") << 10
    }

    /// Sends `SIGTERM` and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        let pid = i32::try_from(self.pid()).expect("process ids fit");
        // SAFETY: signals a child that was not waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0, "a child can be signalled");
    }

    /// Waits for the end of a server that was asked to stop.
    pub(crate) fn ended(mut self, wait_max: Duration) -> ExitStatus {
        let child = self.child.take().expect("the server runs");
        let status = Self::reap(child, wait_max);
        status.unwrap_or_else(|| panic!("the server did not stop in {wait_max:?}:\n{}", self.log()))
    }

    /// Stops the server with `SIGTERM`; it must exit with 0.
    pub(crate) fn stop(self) {
        self.ask_to_stop();
        let stderr = self.stderr.clone();
        let status = self.ended(DRAIN_MAX);
        let log = || fs::read_to_string(&stderr).expect("the log is text");
        assert_eq!(status.code(), Some(0), "{}", log());
    }

    /// Ends the server with `SIGKILL`, as a power cut would.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("the server's log:\n{}", self.log());
            }
        }
    }
}
