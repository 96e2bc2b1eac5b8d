//! One process of a mesh, its log, and what can be done to it.
//!
//! - Signals go only to a child that has not been waited for, so its id is nobody else's.
//! - The log is one file over all starts.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a process may take to end after `SIGTERM`. Chosen: as for servers.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the harness looks whether a process has ended. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How much of a log a failing test prints. Chosen: a screen.
const LOG_TAIL_BYTES: usize = 3 * 1024;

/// A process that can be started again and again.
#[derive(Debug)]
pub struct Daemon {
    line: Vec<String>,
    log_path: PathBuf,
    child: Mutex<Option<Child>>,
    /// Length of the log when the process was last started.
    log_len_before: AtomicUsize,
}

impl Daemon {
    /// A process that is not yet running: `line` is program and arguments.
    #[must_use]
    pub fn new(line: Vec<String>, log_path: &Path) -> Self {
        Self {
            line,
            log_path: log_path.to_owned(),
            child: Mutex::new(None),
            log_len_before: AtomicUsize::new(0),
        }
    }

    /// Starts it, with `arguments` after its own.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub fn start(&self, arguments: &[&str]) {
        let mut child = self.child.lock();
        assert!(child.is_none(), "{} is already running", self.line.join(" "));
        self.log_len_before.store(self.log().len(), Ordering::SeqCst);
        let log = OpenOptions::new().create(true).append(true).open(&self.log_path);
        let log: File = log.expect("the log can be opened");
        let started = Command::new(&self.line[0])
            .args(&self.line[1..])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file descriptor can be duplicated"))
            .stderr(log)
            .spawn();
        let line = || self.line.join(" ");
        *child = Some(started.unwrap_or_else(|error| panic!("cannot start {}: {error}", line())));
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.lock().as_ref().map(Child::id)
    }

    /// How it ended by itself; `None` while it runs.
    ///
    /// # Panics
    /// When it was not started.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock();
        let running = child.as_mut().expect("the process was started");
        let status = running.try_wait().expect("a child can be waited for");
        if status.is_some() {
            *child = None;
        }
        status
    }

    /// Waits until it has ended by itself.
    #[must_use]
    pub fn wait_for_end(&self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.ended() {
                None if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                ended => return ended,
            }
        }
    }

    /// Ends it as a power cut would; nothing happens when it does not run.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    /// When it does not run or does not end.
    pub fn terminate(&self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        let ended = self.wait_for_end(END_TIMEOUT);
        ended.unwrap_or_else(|| panic!("{} ignores SIGTERM", self.line.join(" ")))
    }

    /// Stops it from running, with all its connections open: it hangs.
    pub fn hang(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Lets it run again after [`Self::hang`].
    pub fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        let child = self.child.lock();
        let pid = child.as_ref().expect("the process runs").id();
        let pid = i32::try_from(pid).expect("process ids fit i32");
        // SAFETY: sends a signal to a child of ours that has not been waited for, so the id cannot
        // have been given to another process.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "the child can be signalled");
    }

    /// Memory in use, in bytes; `None` when it does not run.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        memory_bytes_of(self.pid()?)
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log_path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it has logged since it was last started.
    #[must_use]
    pub fn log_since_start(&self) -> String {
        self.log().split_off(self.log_len_before.load(Ordering::SeqCst))
    }

    /// The end of what it has logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let mut from = log.len().saturating_sub(LOG_TAIL_BYTES);
        while !log.is_char_boundary(from) {
            from += 1;
        }
        log[from..].to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Memory in use of a process, in bytes.
#[must_use]
pub fn memory_bytes_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
