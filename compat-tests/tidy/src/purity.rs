//! Which crate may import what.
//!
//! Invariants:
//! - a library with an owner is a dependency of its owners only, tests included: a dependency that
//!   is not in the manifest cannot be imported;
//! - pure crates depend on no runtime and no randomness outside their tests, use only pure crates
//!   of ours, and reach for no file, socket, process or clock.

use anyhow::Result;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::metadata::{Metadata, Package};
use crate::tokens::{is_ident, is_punct, tokenize, visit_groups, without_test_modules};
use crate::{SourceFile, Violation};

/// A library and the only packages that may depend on it.
const OWNED: [(&str, &[&str]); 3] = [
    ("libp2p", &["node-mesh"]),
    ("s3s", &["gateway-s3"]),
    ("rocksdb", &["gateway-meta", "node-store"]),
];
/// Crates without I/O, clock or runtime.
const PURE: [&str; 4] = ["node-proto", "node-stripe", "gateway-seal", "gateway-md5"];
/// What a pure crate must not depend on.
const IMPURE_LIBRARIES: [&str; 9] =
    ["tokio", "async-std", "smol", "mio", "socket2", "hyper", "getrandom", "rand", "rocksdb"];
/// Modules of `std` a pure crate must not use.
const IMPURE_STD: [&str; 5] = ["fs", "net", "process", "thread", "env"];
/// Types of `std` a pure crate must not name.
const IMPURE_TYPES: [&str; 2] = ["SystemTime", "Instant"];

/// Dependencies that the layering forbids.
#[must_use]
pub fn forbidden_dependencies(metadata: &Metadata) -> Vec<Violation> {
    metadata.members().flat_map(forbidden_dependencies_of).collect()
}

fn forbidden_dependencies_of(package: &Package) -> Vec<Violation> {
    let mut found = Vec::new();
    let is_pure = PURE.contains(&package.name.as_str());
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        for (library, owners) in OWNED {
            if name == library && !owners.contains(&package.name.as_str()) {
                let what = format!("depends on {library}, which only {} may", owners.join(", "));
                found.push(Violation::at(&package.name, 0, what));
            }
        }
        if is_pure && !dependency.is_for_tests() && is_impure(name, dependency.path.is_some()) {
            let what = format!("is pure, so it must not depend on {name}");
            found.push(Violation::at(&package.name, 0, what));
        }
    }
    found
}

fn is_impure(name: &str, is_ours: bool) -> bool {
    IMPURE_LIBRARIES.contains(&name) || (is_ours && !PURE.contains(&name))
}

/// Whether `path` belongs to the sources (not the tests) of a pure crate.
#[must_use]
pub fn is_pure_source(path: &str) -> bool {
    PURE.iter().any(|package| {
        let folder = package.replacen('-', "/", 1);
        path.strip_prefix(&folder).is_some_and(|rest| rest.starts_with("/src/"))
    }) && !path.ends_with("/tests.rs")
}

/// Uses of files, sockets, processes and clocks outside test modules.
///
/// # Errors
/// Fails on a file that is not Rust.
pub fn impure_uses(file: &SourceFile) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    visit_groups(without_test_modules(tokenize(&file.text)?), &mut |trees| {
        for (index, tree) in trees.iter().enumerate() {
            if let TokenTree::Ident(ident) = tree
                && IMPURE_TYPES.contains(&ident.to_string().as_str())
            {
                found.push(impure(file, tree, &ident.to_string()));
            }
            if is_ident(tree, "std") {
                for module in std_modules(&trees[index + 1..]) {
                    if IMPURE_STD.contains(&module.as_str()) {
                        found.push(impure(file, tree, &format!("std::{module}")));
                    }
                }
            }
        }
    });
    Ok(found)
}

fn impure(file: &SourceFile, tree: &TokenTree, what: &str) -> Violation {
    let line = tree.span().start().line;
    Violation::at(&file.path, line, format!("{what} in a pure crate"))
}

/// The modules named by `::module` or `::{module, module::Item}` at the start of `rest`.
fn std_modules(rest: &[TokenTree]) -> Vec<String> {
    match rest {
        [colon, other, TokenTree::Ident(module), ..]
            if is_punct(colon, ':') && is_punct(other, ':') =>
        {
            vec![module.to_string()]
        }
        [colon, other, TokenTree::Group(group), ..]
            if is_punct(colon, ':')
                && is_punct(other, ':')
                && group.delimiter() == Delimiter::Brace =>
        {
            first_segments(group.stream())
        }
        _ => Vec::new(),
    }
}

fn first_segments(list: TokenStream) -> Vec<String> {
    let mut segments = Vec::new();
    let mut at_start = true;
    for tree in list {
        match &tree {
            TokenTree::Ident(ident) if at_start => segments.push(ident.to_string()),
            _ => {}
        }
        at_start = is_punct(&tree, ',');
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::sample;

    fn dependencies(package: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Vec<Violation> {
        forbidden_dependencies(&sample::metadata(&[(package, dependencies)]))
    }

    #[test]
    fn an_owned_library_is_refused_elsewhere_also_for_tests() {
        assert_eq!(dependencies("gateway-object", &[("s3s", None, false)]).len(), 1);
        assert_eq!(dependencies("gateway-object", &[("rocksdb", Some("dev"), false)]).len(), 1);
        assert_eq!(dependencies("node-store", &[("libp2p", None, false)]).len(), 1);
        assert_eq!(dependencies("gateway-s3", &[("s3s", None, false)]), []);
        assert_eq!(dependencies("node-store", &[("rocksdb", None, false)]), []);
    }

    #[test]
    fn a_pure_crate_is_refused_a_runtime_and_impure_crates_of_ours() {
        assert_eq!(dependencies("node-stripe", &[("tokio", None, false)]).len(), 1);
        assert_eq!(dependencies("gateway-seal", &[("gateway-meta", None, true)]).len(), 1);
        assert_eq!(dependencies("node-stripe", &[("node-proto", None, true)]), []);
        assert_eq!(dependencies("node-proto", &[("tokio", Some("dev"), false)]), []);
    }

    #[test]
    fn files_clocks_and_sockets_are_found_in_pure_sources() {
        let count = |text: &str| impure_uses(&SourceFile::new("a.rs", text)).unwrap().len();
        assert_eq!(count("use std::fs::File;"), 1);
        assert_eq!(count("use std::{fmt, net::TcpStream, fs};"), 2);
        assert_eq!(count("fn f() { let t = std::time::Instant::now(); }"), 1);
        assert_eq!(count("use std::fmt; use std::sync::Arc; fn fs() {}"), 0);
        assert_eq!(count("#[cfg(test)] mod tests { use std::fs; }"), 0);
    }

    #[test]
    fn pure_sources_are_told_from_their_tests_and_from_other_crates() {
        assert!(is_pure_source("node/stripe/src/codec.rs"));
        assert!(!is_pure_source("node/stripe/tests/model.rs"));
        assert!(!is_pure_source("node/stripe/src/codec/tests.rs"));
        assert!(!is_pure_source("node/store/src/lib.rs"));
    }
}
