//! The dependency arrows of `docs/ARCHITECTURE.md` against those of the manifests.
//!
//! The document holds one fenced code block with the info string `arrows`. Each line is a package
//! and what it depends on; a package without arrows stands alone; `(tests)` marks an arrow that
//! only tests need:
//!
//! ```text
//! node-proto
//! gateway-meta -> node-proto
//! gateway-object -> gateway-meta, node-proto, node-store (tests)
//! ```
//!
//! Invariants:
//! - every package of the workspace has exactly one line;
//! - the lines and the manifests name the same arrows, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use crate::Violation;
use crate::metadata::{Dependency, Metadata, Package};

const FENCE: &str = "```";
const INFO: &str = "arrows";
const TESTS_ONLY: &str = " (tests)";

/// For each package what it depends on, as the document spells it.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Differences between the `document` (at `path`) and the manifests.
///
/// # Errors
/// Fails when the document has no readable arrows.
pub fn differences(path: &str, document: &str, metadata: &Metadata) -> Result<Vec<Violation>> {
    let documented = parse(document).with_context(|| format!("reading {path}"))?;
    let actual: Arrows =
        metadata.members().map(|package| (package.name.clone(), arrows_of(package))).collect();
    let mut found = Vec::new();
    let names: BTreeSet<&String> = documented.keys().chain(actual.keys()).collect();
    for name in names {
        match (documented.get(name), actual.get(name)) {
            (Some(documented), Some(actual)) => {
                for target in actual.difference(documented) {
                    found.push(format!("{name} -> {target} exists but is not listed"));
                }
                for target in documented.difference(actual) {
                    found.push(format!("{name} -> {target} is listed but does not exist"));
                }
            }
            (None, _) => found.push(format!("package {name} has no line")),
            (_, None) => found.push(format!("{name} is listed but is no package")),
        }
    }
    Ok(found.into_iter().map(|what| Violation::at(path, 0, what)).collect())
}

fn arrows_of(package: &Package) -> BTreeSet<String> {
    // A package that needs itself for tests only switches on one of its features.
    let is_ours =
        |dependency: &&Dependency| dependency.path.is_some() && dependency.name != package.name;
    let ours = || package.dependencies.iter().filter(is_ours);
    // No feature that ships brings a package in: an optional one is there for tests and fuzzing.
    let for_tests = |dependency: &&Dependency| dependency.optional || dependency.is_for_tests();
    let always: BTreeSet<String> = ours()
        .filter(|dependency| !for_tests(dependency))
        .map(|dependency| dependency.name.clone())
        .collect();
    let tests_only = ours()
        .filter(|dependency| for_tests(dependency) && !always.contains(&dependency.name))
        .map(|dependency| format!("{}{TESTS_ONLY}", dependency.name));
    tests_only.chain(always.iter().cloned()).collect()
}

fn parse(document: &str) -> Result<Arrows> {
    let mut lines = document.lines();
    let opening = |line: &str| line.trim().strip_prefix(FENCE).is_some_and(|info| info == INFO);
    ensure!(lines.any(opening), "no code block with the info string `{INFO}`");
    let mut arrows = Arrows::new();
    for line in lines {
        let line = line.trim();
        if line == FENCE {
            ensure!(!arrows.is_empty(), "the list of arrows is empty");
            return Ok(arrows);
        }
        if line.is_empty() {
            continue;
        }
        let (name, targets) = line.split_once("->").unwrap_or((line, ""));
        let targets: BTreeSet<String> = targets
            .split(',')
            .map(str::trim)
            .filter(|target| !target.is_empty())
            .map(str::to_owned)
            .collect();
        let name = name.trim();
        let is_word = |text: &str| !text.contains(' ');
        let readable = is_word(name)
            && targets.iter().all(|to| is_word(to.strip_suffix(TESTS_ONLY).unwrap_or(to)));
        ensure!(readable, "`{line}` is not `package -> package, package`");
        if arrows.insert(name.to_owned(), targets).is_some() {
            bail!("{name} has two lines");
        }
    }
    bail!("the list of arrows is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::sample;

    const DOCUMENT: &str = "# Map\n```arrows\nnode-proto\ngateway-meta -> node-proto\n\
        gateway-object -> gateway-meta, node-proto (tests)\n```\n";

    fn workspace() -> Metadata {
        sample::metadata(&[
            ("node-proto", &[("serde", None, false)]),
            ("gateway-meta", &[("node-proto", None, true), ("node-proto", Some("dev"), true)]),
            ("gateway-object", &[("gateway-meta", None, true), ("node-proto", Some("dev"), true)]),
        ])
    }

    fn whats(document: &str) -> Vec<String> {
        let found = differences("A.md", document, &workspace()).unwrap();
        found.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn equal_arrows_pass() {
        assert_eq!(whats(DOCUMENT), [""; 0]);
    }

    #[test]
    fn an_unlisted_and_a_stale_arrow_are_found() {
        let unlisted = DOCUMENT.replace("gateway-meta -> node-proto", "gateway-meta");
        assert_eq!(whats(&unlisted), ["gateway-meta -> node-proto exists but is not listed"]);
        let stale =
            DOCUMENT.replace("```arrows\nnode-proto", "```arrows\nnode-proto -> gateway-meta");
        assert_eq!(whats(&stale), ["node-proto -> gateway-meta is listed but does not exist"]);
    }

    #[test]
    fn an_arrow_for_tests_is_not_an_arrow_for_everything() {
        assert_eq!(whats(&DOCUMENT.replace(" (tests)", "")).len(), 2);
    }

    #[test]
    fn an_optional_arrow_is_one_for_tests() {
        let mut workspace = workspace();
        workspace.packages[1].dependencies.remove(1);
        workspace.packages[1].dependencies[0].optional = true;
        let document =
            DOCUMENT.replace("gateway-meta -> node-proto", "gateway-meta -> node-proto (tests)");
        assert_eq!(differences("A.md", &document, &workspace).unwrap(), []);
        assert_eq!(differences("A.md", DOCUMENT, &workspace).unwrap().len(), 2);
    }

    #[test]
    fn a_missing_and_an_invented_package_are_found() {
        let renamed = DOCUMENT.replace("```arrows\nnode-proto", "```arrows\nnode-prato");
        assert_eq!(
            whats(&renamed),
            ["node-prato is listed but is no package", "package node-proto has no line"]
        );
    }

    #[test]
    fn a_document_without_a_readable_list_is_an_error() {
        let unreadable = [
            "# Map\n",
            "```arrows\n```\n",
            "```arrows\nnode-proto\n",
            "```arrows\nnode-proto\nnode-proto\n```\n",
            "```arrows\nnode-proto to gateway-meta\n```\n",
            "```arrows\nnode-proto -> gateway-meta -> gateway-iam\n```\n",
        ];
        for document in unreadable {
            assert!(differences("A.md", document, &workspace()).is_err(), "{document}");
        }
    }
}
