//! The fuzz package, which is a workspace of its own and so out of cargo's sight here.
//!
//! Invariants:
//! - every fuzz target has an entry in the package's manifest and is replayed by a test, so that
//!   what fuzzing finds stays tested without it;
//! - a library that both lock files name has a version in the fuzz package that the other workspace
//!   has too: what is fuzzed is what is built, and the compiled C++ is shared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::{SourceFile, Violation};

/// The fuzz package's folder.
pub const FOLDER: &str = "compat-tests/fuzz";

/// Targets that no manifest entry or no test names.
///
/// # Errors
/// Fails when there are no targets or no manifest.
pub fn unused_targets(files: &[SourceFile]) -> Result<Vec<Violation>> {
    let folder = format!("{FOLDER}/fuzz_targets/");
    let target = |file: &SourceFile| {
        let name = file.path.strip_prefix(&folder)?.strip_suffix(".rs")?;
        Some((file.path.clone(), name.to_owned()))
    };
    let targets: Vec<(String, String)> = files.iter().filter_map(target).collect();
    ensure!(!targets.is_empty(), "{folder} holds no targets");
    let manifest = files.iter().find(|file| file.path == format!("{FOLDER}/Cargo.toml"));
    let manifest = manifest.map_or("", |file| file.text.as_str());
    ensure!(!manifest.is_empty(), "{FOLDER} has no manifest");
    let is_entry = |file: &&SourceFile| file.path.ends_with("/src/fuzzing.rs");
    let mut found = Vec::new();
    for (path, name) in targets {
        if !manifest.lines().any(|line| line == format!("name = \"{name}\"")) {
            found.push(Violation::at(&path, 0, "the manifest does not name it"));
        }
        let replay = format!("kept::replay(\"{name}\",");
        if !files.iter().filter(is_entry).any(|file| file.text.contains(&replay)) {
            found.push(Violation::at(&path, 0, "no test replays its kept inputs"));
        }
    }
    Ok(found)
}

/// Libraries of the fuzz package's lock file whose version the other lock file does not have.
///
/// # Errors
/// Fails when a lock file names no package.
pub fn other_versions(ours: &SourceFile, fuzz: &SourceFile) -> Result<Vec<Violation>> {
    let (known, used) = (versions(&ours.text), versions(&fuzz.text));
    ensure!(!known.is_empty() && !used.is_empty(), "a lock file names no package");
    let mut found = Vec::new();
    for (name, versions) in &used {
        let Some(known) = known.get(name) else {
            continue;
        };
        for version in versions.difference(known) {
            let what = format!("{name} {version} is not the version that is built");
            found.push(Violation::at(&fuzz.path, 0, what));
        }
    }
    Ok(found)
}

fn versions(lock: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        let value = |start| line.strip_prefix(start).and_then(|rest| rest.strip_suffix('"'));
        if let Some(found) = value("name = \"") {
            name = found;
        } else if let Some(version) = value("version = \"") {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(violations: Vec<Violation>) -> Vec<String> {
        violations.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn targets_without_entry_or_replay_are_found() {
        let mut files = vec![
            SourceFile::new("compat-tests/fuzz/fuzz_targets/a.rs", ""),
            SourceFile::new("compat-tests/fuzz/Cargo.toml", "[[bin]]\nname = \"a\"\n"),
            SourceFile::new("node/store/src/fuzzing.rs", "kept::replay(\"a\", a);"),
        ];
        assert_eq!(unused_targets(&files).unwrap(), []);
        files.push(SourceFile::new("compat-tests/fuzz/fuzz_targets/b.rs", ""));
        assert_eq!(
            whats(unused_targets(&files).unwrap()),
            ["the manifest does not name it", "no test replays its kept inputs"]
        );
        assert!(unused_targets(&files[1..3]).is_err());
    }

    #[test]
    fn versions_of_the_fuzz_package_alone_are_found() {
        let lock = |text: &str| SourceFile::new("Cargo.lock", text);
        let package = |name: &str, version: &str| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")
        };
        let ours = lock(&(package("a", "1.0.0") + &package("a", "2.0.0")));
        let same = lock(&(package("a", "2.0.0") + &package("fuzzer", "1.0.0")));
        assert_eq!(other_versions(&ours, &same).unwrap(), []);
        let other = lock(&package("a", "2.0.1"));
        let found = whats(other_versions(&ours, &other).unwrap());
        assert_eq!(found, ["a 2.0.1 is not the version that is built"]);
        assert!(other_versions(&ours, &lock("")).is_err());
    }
}
