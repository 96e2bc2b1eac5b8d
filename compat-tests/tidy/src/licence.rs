//! Licences, origins and duplicates of the libraries we ship.
//!
//! Invariants:
//! - every library offers a licence we accept; an expression we cannot read is refused;
//! - every library comes from crates.io;
//! - banned libraries are absent, and no library is there in three versions.
//!
//! This takes seconds where compiling cargo-deny would add over 200 packages to a cold run.
//! Deliberately absent: security advisories, which need a database that changes without a commit.

use std::collections::{BTreeMap, BTreeSet};

use crate::Violation;
use crate::metadata::{Metadata, Package};

/// Permissive licences that ask at most for attribution.
const ACCEPTED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Libraries that must not come in, and what to use instead.
const BANNED: [(&str, &str); 4] = [
    ("openssl-sys", "rustls with aws-lc-rs"),
    ("native-tls", "rustls with aws-lc-rs"),
    ("serde_yaml", "toml"),
    ("chrono", "time"),
];
/// Two versions happen while the ecosystem moves; a third means that nobody looks. Chosen.
const VERSIONS_MAX: usize = 2;
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Libraries whose licence, origin, name or number of versions is refused.
#[must_use]
pub fn refused(metadata: &Metadata) -> Vec<Violation> {
    let mut found: Vec<Violation> = metadata.packages.iter().flat_map(refused_package).collect();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    for (name, versions) in versions {
        if versions.len() > VERSIONS_MAX {
            let list: Vec<&str> = versions.into_iter().collect();
            found.push(Violation::at(name, 0, format!("is there as {}", list.join(", "))));
        }
    }
    found
}

fn refused_package(package: &Package) -> Vec<Violation> {
    let mut whats = Vec::new();
    match package.license.as_deref() {
        None => whats.push("names no licence".to_owned()),
        Some(expression) if !accepts(expression) => {
            whats.push(format!("licence `{expression}` is not accepted"));
        }
        Some(_) => {}
    }
    if package.source.as_deref().is_some_and(|source| source != CRATES_IO) {
        whats.push("does not come from crates.io".to_owned());
    }
    if let Some((_, instead)) = BANNED.iter().find(|(name, _)| *name == package.name) {
        whats.push(format!("is banned: use {instead}"));
    }
    whats.into_iter().map(|what| Violation::at(&package.name, 0, what)).collect()
}

/// Whether an SPDX expression can be satisfied with accepted licences. `/` is the old `OR`.
fn accepts(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) == Some(true) && rest.is_empty()
}

/// `AND` binds tighter than `OR`; `None` is an expression that cannot be read.
fn any_of(rest: &mut &[&str]) -> Option<bool> {
    let mut accepted = all_of(rest)?;
    while let ["OR", tail @ ..] = *rest {
        *rest = tail;
        accepted |= all_of(rest)?;
    }
    Some(accepted)
}

fn all_of(rest: &mut &[&str]) -> Option<bool> {
    let mut accepted = one(rest)?;
    while let ["AND", tail @ ..] = *rest {
        *rest = tail;
        accepted &= one(rest)?;
    }
    Some(accepted)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let accepted = any_of(rest)?;
            let [")", tail @ ..] = *rest else { return None };
            *rest = tail;
            Some(accepted)
        }
        ["OR" | "AND" | "WITH" | ")", ..] | [] => None,
        [licence, "WITH", exception, tail @ ..] => {
            *rest = tail;
            Some(ACCEPTED.contains(&format!("{licence} WITH {exception}").as_str()))
        }
        [licence, tail @ ..] => {
            *rest = tail;
            Some(ACCEPTED.contains(licence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::sample;

    #[test]
    fn expressions_are_satisfied_or_not() {
        let accepted = [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "ISC AND (Apache-2.0 OR ISC)",
        ];
        for expression in accepted {
            assert!(accepts(expression), "{expression}");
        }
    }

    #[test]
    fn copyleft_unknown_and_unreadable_expressions_are_refused() {
        let refused = [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND LGPL-2.1",
            "GPL-2.0 WITH Classpath-exception-2.0",
            "LicenseRef-ours",
            "",
            "MIT OR",
            "(MIT",
            "MIT Apache-2.0",
        ];
        for expression in refused {
            assert!(!accepts(expression), "{expression}");
        }
    }

    #[test]
    fn each_reason_to_refuse_a_library_is_found() {
        let mut metadata = sample::metadata(&[("a", &[]), ("b", &[]), ("c", &[])]);
        assert_eq!(refused(&metadata), []);
        metadata.packages[0].license = None;
        metadata.packages[1].source = Some("git+https://example.org/b".to_owned());
        metadata.packages[2].name = "openssl-sys".to_owned();
        let whats: Vec<String> = refused(&metadata).into_iter().map(|found| found.what).collect();
        assert_eq!(
            whats,
            [
                "names no licence",
                "does not come from crates.io",
                "is banned: use rustls with aws-lc-rs"
            ]
        );
    }

    #[test]
    fn a_third_version_is_found_and_a_second_is_not() {
        let mut metadata = sample::metadata(&[("a", &[]), ("a", &[]), ("a", &[])]);
        metadata.packages[1].version = "0.2.0".to_owned();
        assert_eq!(refused(&metadata), []);
        metadata.packages[2].version = "0.3.0".to_owned();
        assert_eq!(refused(&metadata).len(), 1);
    }
}
