//! The files of a checkout as the checks see them.
//!
//! Invariants:
//! - the list is what git would publish: tracked files plus new ones that are not ignored;
//! - paths are relative to the checkout's root and use `/`.
//!
//! Deliberately absent: files that are not UTF-8 (no rule applies to them) and symbolic links.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One text file of the checkout.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Path relative to the root.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A file made of literals, for the tests of the checks.
    #[must_use]
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether the file is Rust source.
    #[must_use]
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The file, or the package, that breaks the rule.
    pub path: String,
    /// One-based line; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

impl Violation {
    /// A violation at a line of a file.
    pub(crate) fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.what)
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.what)
        }
    }
}

/// The root of the checkout to look at: `TIDY_ROOT`, or the workspace this crate was built in.
#[must_use]
pub fn root() -> PathBuf {
    std::env::var_os("TIDY_ROOT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), PathBuf::from)
}

/// Reads every text file of the checkout at `root`.
///
/// # Errors
/// Fails when git cannot list the checkout or a listed file cannot be read.
pub fn read(root: &Path) -> Result<Vec<SourceFile>> {
    // A container often runs as another user than the one who cloned; git would refuse to look.
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("running git ls-files")?;
    ensure!(
        output.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listing = String::from_utf8(output.stdout).context("a file name that is not UTF-8")?;
    let mut files = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        let full = root.join(path);
        // Deleted but not yet committed, or a link: nothing to read.
        let is_file = full.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        if !is_file {
            continue;
        }
        let bytes = std::fs::read(&full).with_context(|| format!("reading {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(SourceFile::new(path, text));
        }
    }
    ensure!(!files.is_empty(), "no files found in {}", root.display());
    Ok(files)
}
