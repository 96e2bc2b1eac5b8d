//! A server of our own: `datamesh server` on free ports and a fresh directory.
//!
//! Invariants:
//! - it ends with us: asked to when it is stopped, killed when it is dropped;
//! - it is in a process group of its own, so that Ctrl-C reaches us alone and the order of ending
//!   is ours;
//! - nothing of our environment configures it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tokio::process::{Child, Command};

use crate::{load::Signer, measure::Process};

/// How long a start may take. Chosen: an empty server needs a hundredth, a million keys a tenth.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a stop may take before the process is killed. Chosen: longer than its own bound.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes of the log that are shown when it does not start.
const LOG_TAIL_BYTES: usize = 2000;

const ACCESS_KEY: &str = "BENCHROOTKEY00000001";
const SECRET_KEY: &str = "bench/root+secret/00000000000000000000001";
const REGION: &str = "us-east-1";

/// A running process of our own.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Its directory; its log lies beside.
    data: PathBuf,
    pid: u32,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    url: String,
}

/// What the server publishes when it is ready.
#[derive(Debug, Deserialize)]
struct Endpoints {
    s3: String,
    pid: u32,
}

impl Running {
    /// Starts `program` with `arguments`, which make it use the directory `data`.
    ///
    /// # Errors
    /// When there is no such program, or no place for its log.
    pub(crate) fn start(program: &Path, arguments: &[OsString], data: &Path) -> Result<Self> {
        let log = fs::File::options().create(true).append(true).open(log_of(data))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        without_our_environment(&mut command);
        command.env("DATAMESH_ROOT_ACCESS_KEY", ACCESS_KEY);
        command.env("DATAMESH_ROOT_SECRET_KEY", SECRET_KEY);
        let child =
            command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let pid = child.id().context("the process ended at once")?;
        Ok(Self { child, data: data.to_owned(), pid })
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// When it had to be killed, or ended with an error.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await;
        asked.context("cannot run kill")?;
        let Ok(ended) = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("a process did not stop within {STOP_TIMEOUT:?}: {}", tail(&log_of(&self.data)));
        };
        let status = ended?;
        if !status.success() {
            bail!("a process ended with {status}: {}", tail(&log_of(&self.data)));
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Server {
    /// Starts `datamesh server` on the data directory `data` and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub(crate) async fn start(program: &Path, data: &Path) -> Result<Self> {
        let words = ["server", "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log", "warn"];
        let mut arguments: Vec<OsString> = words.map(Into::into).into();
        arguments.extend(["--data".into(), data.into()]);
        Self::start_with(program, &arguments, data).await
    }

    /// Starts `program` with `arguments`, which make it use the data directory `data`, and waits
    /// until it is ready.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub(crate) async fn start_with(
        program: &Path,
        arguments: &[OsString],
        data: &Path,
    ) -> Result<Self> {
        let mut running = Running::start(program, arguments, data)?;
        let pid = running.pid();
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(endpoints) = published(data).filter(|endpoints| endpoints.pid == pid) {
                return Ok(Self { running, url: endpoints.s3 });
            }
            let ended = running.child.try_wait()?;
            if ended.is_some() || Instant::now() >= deadline {
                let how = ended.map_or_else(|| "not ready in time".to_owned(), |s| s.to_string());
                bail!("the server did not start ({how}); its log ends\n{}", tail(&log_of(data)));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// When it had to be killed, or ended with an error.
    pub(crate) async fn stop(self) -> Result<()> {
        self.running.stop().await
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(crate) fn process(&self) -> Process {
        Process::Ids([self.pid()].into())
    }
}

fn log_of(data: &Path) -> PathBuf {
    data.with_extension("log")
}

/// Keeps our environment from configuring `command`.
pub(crate) fn without_our_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DATAMESH_") {
            command.env_remove(name);
        }
    }
}

/// Credentials that every server started here accepts.
pub(crate) fn signer() -> Signer {
    Signer::new(ACCESS_KEY, SECRET_KEY, REGION)
}

/// Takes two of the six drives away from a server that does not run.
///
/// # Errors
/// When there are no such drives.
pub(crate) fn take_two_drives(data: &Path) -> Result<()> {
    for drive in ["1", "4"] {
        let from = data.join("devices").join(drive);
        fs::rename(&from, data.join(format!("away-{drive}")))
            .with_context(|| format!("cannot take {} away", from.display()))?;
    }
    Ok(())
}

fn published(data: &Path) -> Option<Endpoints> {
    serde_json::from_slice(&fs::read(data.join("endpoints.json")).ok()?).ok()
}

fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
}
