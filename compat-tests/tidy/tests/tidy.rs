//! Applies every check to this checkout. Exceptions are listed in `src/exceptions.rs`.

use anyhow::{Context, Result};
use compat_tests_tidy::exceptions::EXCEPTIONS;
use compat_tests_tidy::{
    Check, SourceFile, Violation, arrows, compatibility, fuzzing, licence, machine, metadata,
    naming, purity, size, suppression, tree, unexcused,
};

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
const COMPATIBILITY: &str = "docs/s3-compatibility.md";

#[test]
fn files_are_short() {
    expect_none(Check::FileLength, &size::long_files(&files()));
}

#[test]
fn functions_are_short() {
    expect_none(Check::FunctionLength, &each_rust_file(size::long_functions));
}

#[test]
fn modules_are_named_after_concepts() {
    expect_none(Check::ModuleName, &each_rust_file(naming::empty_module_names));
}

#[test]
fn modules_open_with_docs() {
    let found = each_rust_file(|file| Ok(naming::module_docs(file).into_iter().collect()));
    expect_none(Check::ModuleDocs, &found);
}

#[test]
fn identifiers_use_the_vocabulary() {
    expect_none(Check::Vocabulary, &each_rust_file(naming::foreign_words));
}

#[test]
fn suppressions_have_reasons() {
    expect_none(Check::SuppressionReason, &each_rust_file(suppression::without_reason));
}

#[test]
fn nothing_depends_on_one_machine() {
    let found: Vec<Violation> = files()
        .iter()
        .flat_map(|file| [machine::paths(file), machine::registries(file)].concat())
        .collect();
    expect_none(Check::Machine, &found);
}

#[test]
fn manifests_follow_the_layout() {
    let metadata = workspace();
    let mut found = metadata::misnamed_packages(&metadata);
    found.extend(metadata::misnamed_tests(&metadata));
    let manifests = files();
    let members = manifests.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    found.extend(members.filter_map(metadata::without_lints));
    expect_none(Check::Manifest, &found);
}

#[test]
fn arrows_are_those_of_the_architecture_document() {
    let document = document(ARCHITECTURE);
    let found = arrows::differences(&document.path, &document.text, &workspace())
        .expect("the document lists the arrows");
    expect_none(Check::Arrows, &found);
}

#[test]
fn layers_import_only_what_they_own() {
    let mut found = purity::forbidden_dependencies(&workspace());
    found.extend(each_rust_file(|file| {
        if purity::is_pure_source(&file.path) { purity::impure_uses(file) } else { Ok(Vec::new()) }
    }));
    expect_none(Check::Purity, &found);
}

#[test]
fn libraries_have_accepted_licences() {
    expect_none(Check::Licence, &licence::refused(&workspace()));
}

#[test]
fn compatibility_claims_are_tested() {
    let files = files();
    let packages: Vec<String> = files
        .iter()
        .filter_map(|file| file.path.strip_suffix("/Cargo.toml"))
        .map(str::to_owned)
        .collect();
    let tests = compatibility::TestIndex::new(&files, &packages).expect("sources are Rust");
    let found = compatibility::unproven(&document(COMPATIBILITY), &tests)
        .expect("the document holds tables");
    expect_none(Check::Compatibility, &found);
}

#[test]
fn fuzz_targets_are_replayed_on_the_versions_that_are_built() {
    let mut found = fuzzing::unused_targets(&files()).expect("there are targets");
    let locks = (document("Cargo.lock"), document(&format!("{}/Cargo.lock", fuzzing::FOLDER)));
    found.extend(fuzzing::other_versions(&locks.0, &locks.1).expect("they name packages"));
    expect_none(Check::Fuzzing, &found);
}

fn files() -> Vec<SourceFile> {
    tree::read(&tree::root()).expect("the checkout can be read")
}

fn workspace() -> metadata::Metadata {
    metadata::read(&tree::root()).expect("cargo describes the workspace")
}

fn document(path: &str) -> SourceFile {
    let text = std::fs::read_to_string(tree::root().join(path));
    SourceFile::new(path, text.unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn each_rust_file(check: impl Fn(&SourceFile) -> Result<Vec<Violation>>) -> Vec<Violation> {
    files()
        .iter()
        .filter(|file| file.is_rust())
        .flat_map(|file| check(file).with_context(|| file.path.clone()).expect("the file is Rust"))
        .collect()
}

fn expect_none(check: Check, violations: &[Violation]) {
    let remaining = unexcused(check, violations, EXCEPTIONS);
    assert!(remaining.is_empty(), "{} violations:\n  {}", remaining.len(), remaining.join("\n  "));
}
