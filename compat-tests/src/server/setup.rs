//! What a server of a test is started with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Running, Server};

/// Arguments, environment and place of a server that a test starts for itself.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) command: Option<Vec<String>>,
}

impl Setup {
    /// A server with six devices in a directory of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds command line arguments after the harness's.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Sets an environment variable; [`Running::set_environment`] changes it for later starts.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Keeps the data in `path`, the argument of `--data`, instead of a directory that is removed
    /// with the server. The harness's own files stay beside it.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Runs another command than `server` with its flags: everything after the program's name. It
    /// must keep its data in [`Setup::data_dir`].
    #[must_use]
    pub fn command(mut self, command: &[&str]) -> Self {
        self.command = Some(command.iter().map(|&argument| argument.to_owned()).collect());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When there is no binary, or the server does not become ready.
    #[must_use]
    pub fn start(self) -> Server {
        Server { running: Arc::new(Running::start(self)) }
    }
}
