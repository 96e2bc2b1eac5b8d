//! Runs one external program to its end, bounded in time, with its output kept.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long one client program may run. Chosen: several times what the slowest one needs on a
/// busy two-core machine; a client that retries for ever is stopped here.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(180);

/// What may be inherited from the environment: where programs and libraries are, nothing that
/// configures a client or sends it through a proxy.
const INHERITED_VARIABLES: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "JAVA_HOME"];

/// A program to run with a clean environment.
#[derive(Debug)]
pub struct Program {
    command: Command,
    line: String,
    input: Option<Vec<u8>>,
}

/// What a finished program left behind.
#[derive(Debug)]
pub struct Output {
    line: String,
    /// The exit status; `None` when a signal ended the program.
    pub code: Option<i32>,
    /// Everything written to standard output.
    pub stdout: Vec<u8>,
    /// Everything written to standard error, with invalid UTF-8 replaced.
    pub stderr: String,
}

impl Program {
    /// `program` with no arguments, `home` as its home directory, and of the environment only
    /// what locates programs.
    pub fn new(program: impl AsRef<OsStr>, home: &Path) -> Self {
        let mut command = Command::new(&program);
        command.env_clear();
        for name in INHERITED_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", home).env("LANG", "C.UTF-8").env("NO_PROXY", "*");
        let line = Path::new(program.as_ref()).file_name().unwrap_or_default().to_string_lossy();
        Self { command, line: line.into_owned(), input: None }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let shown = arg.as_ref().to_string_lossy();
        let _ = write!(self.line, " {shown}");
        self.command.arg(arg);
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in `dir`.
    #[must_use]
    pub fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Feeds `input` to standard input, which is closed otherwise.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Runs to the end, whatever the exit status.
    ///
    /// # Panics
    /// When the program cannot be started or does not end within three minutes; it is killed then.
    #[must_use]
    pub fn run(self) -> Output {
        crate::blocking::run(self.run_async())
    }

    async fn run_async(mut self) -> Output {
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let line = self.line;
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start `{line}`: {error}"),
        };
        let stdin = child.stdin.take();
        let input = self.input;
        let feed = async move {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A program that stops reading early closes the pipe; its status says whether
                // that was an error.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, &input).await;
            }
        };
        let finish = async {
            let (output, ()) = tokio::join!(child.wait_with_output(), feed);
            output
        };
        match tokio::time::timeout(PROGRAM_TIMEOUT, finish).await {
            Ok(Ok(output)) => Output {
                line,
                code: output.status.code(),
                stdout: output.stdout,
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            },
            Ok(Err(error)) => panic!("cannot wait for `{line}`: {error}"),
            Err(_) => panic!("`{line}` did not end within {PROGRAM_TIMEOUT:?}"),
        }
    }

    /// Runs to the end and expects exit status 0.
    ///
    /// # Panics
    /// With the program's output when it failed.
    pub fn succeed(self) -> Output {
        let output = self.run();
        assert!(output.code == Some(0), "{}", output.describe("failed"));
        output
    }

    /// Runs to the end and expects a failing exit status and `reason` in the output.
    ///
    /// # Panics
    /// With the program's output when it succeeded or failed for another reason.
    pub fn fail_with(self, reason: &str) -> Output {
        let output = self.run();
        assert!(output.code != Some(0), "{}", output.describe("succeeded, but should fail"));
        let said = output.stderr.contains(reason) || output.text().contains(reason);
        assert!(said, "{}", output.describe(&format!("did not mention {reason:?}")));
        output
    }
}

impl Output {
    /// Standard output as text, with invalid UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}", self.describe("did not print JSON")))
    }

    /// The non-empty lines of standard output.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.text().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn describe(&self, what: &str) -> String {
        let status = self.code.map_or("a signal".to_owned(), |code| format!("status {code}"));
        format!(
            "`{}` {what} ({status})\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.text(),
            self.stderr
        )
    }
}
