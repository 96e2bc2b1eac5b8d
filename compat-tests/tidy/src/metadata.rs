//! The part of `cargo metadata` the checks read, and the checks of manifests themselves.
//!
//! Deliberately absent: packages of other platforms. Asking for them would make every run download
//! libraries that no build here uses.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{SourceFile, Violation};

/// The workspace and everything it depends on, on this platform.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package of the dependency graph.
    pub packages: Vec<Package>,
    /// Ids of the packages of this workspace.
    pub workspace_members: Vec<String>,
    /// Absolute path of the workspace.
    pub workspace_root: String,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Cargo's opaque id.
    pub id: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// Where it comes from; `None` for paths.
    pub source: Option<String>,
    /// Absolute path of its `Cargo.toml`.
    pub manifest_path: String,
    /// Direct dependencies of every kind.
    pub dependencies: Vec<Dependency>,
    /// Libraries, binaries and tests.
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// A direct dependency.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package's name, not its alias.
    pub name: String,
    /// `None` for a normal one, or `dev`, `build`.
    pub kind: Option<String>,
    /// Set when it is a path, so one of ours.
    pub path: Option<String>,
    /// Whether only a feature brings it in.
    #[serde(default)]
    pub optional: bool,
}

/// A build target.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// `lib`, `bin`, `test`, …
    pub kind: Vec<String>,
    /// Absolute path of its root module.
    pub src_path: String,
}

impl Dependency {
    /// Whether only tests need it.
    #[must_use]
    pub fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Metadata {
    /// The packages of this workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// `path` relative to the workspace.
    fn relative<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(&self.workspace_root).unwrap_or(path).trim_start_matches('/')
    }
}

/// Asks cargo about the workspace at `root`, for the platform this runs on. Libraries that the lock
/// file names only because somebody might switch them on are left out: they are never compiled.
///
/// # Errors
/// Fails when cargo or rustc fails, also when `Cargo.lock` is not up to date.
pub fn read(root: &Path) -> Result<Metadata> {
    let version = run(Command::new("rustc").arg("-vV").current_dir(root))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names no host platform")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let json = run(Command::new(&cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(root))?;
    let mut metadata: Metadata =
        serde_json::from_str(&json).context("reading what cargo metadata said")?;
    let tree = run(Command::new(&cargo)
        .args(["tree", "--workspace", "--locked", "--target", host, "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root))?;
    let built: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();
    metadata
        .packages
        .retain(|package| built.contains(&(package.name.as_str(), package.version.as_str())));
    Ok(metadata)
}

/// Reads a line of `cargo tree`, such as `serde v1.0.0 (*)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {stderr}");
    String::from_utf8(output.stdout).with_context(|| format!("output of {command:?}"))
}

/// Packages that are not named after their path.
#[must_use]
pub fn misnamed_packages(metadata: &Metadata) -> Vec<Violation> {
    metadata
        .members()
        .filter_map(|package| {
            let path = metadata.relative(&package.manifest_path);
            let wanted = path.trim_end_matches("/Cargo.toml").replace('/', "-");
            (wanted != package.name).then(|| {
                let what = format!("package `{}` must be named `{wanted}`", package.name);
                Violation::at(path, 0, what)
            })
        })
        .collect()
}

/// Test targets whose name is not that of their file. `make test` selects tests by file name, so a
/// renamed target would silently not run.
#[must_use]
pub fn misnamed_tests(metadata: &Metadata) -> Vec<Violation> {
    metadata
        .members()
        .flat_map(|package| package.targets.iter().map(move |target| (package, target)))
        .filter(|(_, target)| target.kind.iter().any(|kind| kind == "test"))
        .filter_map(|(package, target)| {
            let path = metadata.relative(&target.src_path);
            let folder = metadata.relative(&package.manifest_path).trim_end_matches("Cargo.toml");
            let as_file = format!("{folder}tests/{}.rs", target.name);
            let as_folder = format!("{folder}tests/{}/main.rs", target.name);
            (path != as_file && path != as_folder).then(|| {
                let what = format!("test target `{}` belongs in {as_file}", target.name);
                Violation::at(path, 0, what)
            })
        })
        .collect()
}

/// Members that do not inherit the workspace's lints, so that clippy would not see them.
#[must_use]
pub fn without_lints(file: &SourceFile) -> Option<Violation> {
    let mut section = "";
    let inherits = file.text.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        let is_true = line.replace(' ', "") == "workspace=true";
        section == "[lints]" && is_true
    });
    (!inherits).then(|| Violation::at(&file.path, 0, "[lints] workspace = true is missing"))
}

#[cfg(test)]
pub(crate) mod sample {
    //! Metadata made of literals.

    use super::{Dependency, Metadata, Package};

    /// Name, kind and whether it is one of ours.
    pub(crate) type SampleDependency<'a> = (&'a str, Option<&'a str>, bool);

    /// A workspace whose packages live where their names say.
    pub(crate) fn metadata(members: &[(&str, &[SampleDependency<'_>])]) -> Metadata {
        let packages: Vec<Package> = members
            .iter()
            .map(|(name, dependencies)| Package {
                name: (*name).to_owned(),
                version: "0.1.0".to_owned(),
                id: format!("path+{name}"),
                license: Some("Apache-2.0".to_owned()),
                source: None,
                manifest_path: format!("/w/{}/Cargo.toml", name.replacen('-', "/", 1)),
                dependencies: dependencies
                    .iter()
                    .map(|(name, kind, is_ours)| Dependency {
                        name: (*name).to_owned(),
                        kind: kind.map(str::to_owned),
                        path: is_ours.then(|| "/w".to_owned()),
                        optional: false,
                    })
                    .collect(),
                targets: Vec::new(),
            })
            .collect();
        let workspace_members = packages.iter().map(|package| package.id.clone()).collect();
        Metadata { packages, workspace_members, workspace_root: "/w".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tree_name_packages() {
        assert_eq!(name_and_version("serde v1.0.0 (*)"), Some(("serde", "1.0.0")));
        assert_eq!(name_and_version("node-proto v0.1.0 (path)"), Some(("node-proto", "0.1.0")));
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn a_package_not_named_after_its_path_is_found() {
        let mut metadata = sample::metadata(&[("gateway-s3", &[]), ("node-store", &[])]);
        assert_eq!(misnamed_packages(&metadata), []);
        metadata.packages[0].name = "s3".to_owned();
        let found = misnamed_packages(&metadata);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("must be named `gateway-s3`"), "{}", found[0]);
    }

    #[test]
    fn a_test_target_not_named_after_its_file_is_found() {
        let mut metadata = sample::metadata(&[("gateway-s3", &[])]);
        let target = |name: &str, path: &str| Target {
            name: name.to_owned(),
            kind: vec!["test".to_owned()],
            src_path: format!("/w/gateway/s3/tests/{path}"),
        };
        metadata.packages[0].targets =
            vec![target("model", "model.rs"), target("http", "http/main.rs")];
        assert_eq!(misnamed_tests(&metadata), []);
        metadata.packages[0].targets = vec![target("model", "other.rs")];
        assert_eq!(misnamed_tests(&metadata).len(), 1);
    }

    #[test]
    fn a_manifest_without_inherited_lints_is_found() {
        let manifest = |text: &str| without_lints(&SourceFile::new("Cargo.toml", text));
        assert!(manifest("[package]\n[lints]\nworkspace = true\n").is_none());
        assert!(manifest("[package]\nname = \"x\"\n").is_some());
        assert!(manifest("[lints]\n\n[dependencies.x]\nworkspace = true\n").is_some());
    }
}
