//! Names: one word per idea, and modules named after a concept.
//!
//! Deliberately absent: words that other libraries force on us at call sites (`block` of the
//! standard library, `fragment` of URIs) are looked for only where we name something ourselves.

use anyhow::Result;
use proc_macro2::TokenTree;

use crate::tokens::{identifiers, tokenize, visit_groups};
use crate::{SourceFile, Violation};

/// Module names that say nothing. Source: the house style.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "manager", "managers", "types"];
/// Words that have a better synonym in the vocabulary and no use by libraries we call.
const WORDS_NOWHERE: [&str; 8] =
    ["blob", "blobs", "heal", "heals", "healed", "healer", "healing", "unhealed"];
/// Words that libraries use, so that only our own items must avoid them.
const WORDS_NOT_OURS: [&str; 8] =
    ["block", "blocks", "fragment", "fragments", "piece", "pieces", "ring", "rings"];
/// Keywords after which an item is named.
const NAMING_KEYWORDS: [&str; 8] =
    ["fn", "struct", "enum", "trait", "type", "mod", "const", "static"];

/// Module files that do not open with `//!`. The unit tests beside a module share its docs.
#[must_use]
pub fn module_docs(file: &SourceFile) -> Option<Violation> {
    let has_docs = file.text.trim_start().starts_with("//!") || file.path.ends_with("/tests.rs");
    (!has_docs).then(|| Violation::at(&file.path, 1, "a module opens with `//!` docs"))
}

/// Modules, files and folders with an empty name.
///
/// # Errors
/// Fails on a file that is not Rust.
pub fn empty_module_names(file: &SourceFile) -> Result<Vec<Violation>> {
    let mut found: Vec<Violation> = file
        .path
        .split('/')
        .map(|component| component.strip_suffix(".rs").unwrap_or(component))
        .filter(|component| EMPTY_NAMES.contains(component))
        .map(|name| Violation::at(&file.path, 0, format!("`{name}` names no concept")))
        .collect();
    visit_groups(tokenize(&file.text)?, &mut |trees| {
        for pair in trees.windows(2) {
            let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair else {
                continue;
            };
            if keyword == "mod" && EMPTY_NAMES.contains(&name.to_string().as_str()) {
                let what = format!("module `{name}` names no concept");
                found.push(Violation::at(&file.path, name.span().start().line, what));
            }
        }
    });
    Ok(found)
}

/// Identifiers that use a word outside the vocabulary.
///
/// # Errors
/// Fails on a file that is not Rust.
pub fn foreign_words(file: &SourceFile) -> Result<Vec<Violation>> {
    let tokens = tokenize(&file.text)?;
    let mut found = Vec::new();
    for (name, line) in identifiers(tokens.clone()) {
        if let Some(word) = word_in(&name, &WORDS_NOWHERE) {
            found.push(Violation::at(&file.path, line, not_in_vocabulary(&name, &word)));
        }
    }
    visit_groups(tokens, &mut |trees| {
        for pair in trees.windows(2) {
            let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair else {
                continue;
            };
            if !NAMING_KEYWORDS.contains(&keyword.to_string().as_str()) {
                continue;
            }
            if let Some(word) = word_in(&name.to_string(), &WORDS_NOT_OURS) {
                let what = not_in_vocabulary(&name.to_string(), &word);
                found.push(Violation::at(&file.path, name.span().start().line, what));
            }
        }
    });
    Ok(found)
}

fn not_in_vocabulary(name: &str, word: &str) -> String {
    format!("`{name}` uses `{word}`, which is not in the vocabulary")
}

fn word_in(name: &str, forbidden: &[&str]) -> Option<String> {
    words(name).into_iter().find(|word| forbidden.contains(&word.as_str()))
}

/// The words of a snake_case, SCREAMING_CASE or CamelCase name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_is_lower = false;
    for character in name.chars() {
        if character == '_' || (character.is_uppercase() && previous_is_lower) {
            words.push(String::new());
        }
        if character != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        previous_is_lower = character.is_lowercase() || character.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile::new(path, text)
    }

    #[test]
    fn names_split_into_words() {
        assert_eq!(words("HealthReport"), ["health", "report"]);
        assert_eq!(words("shard_len_bytes"), ["shard", "len", "bytes"]);
        assert_eq!(words("BLOB_MAX"), ["blob", "max"]);
        assert_eq!(words("putBlob"), ["put", "blob"]);
    }

    #[test]
    fn foreign_words_are_found_also_in_macros_and_locals() {
        let count = |text: &str| foreign_words(&file("a.rs", text)).unwrap().len();
        assert_eq!(count("struct BlobStore;"), 1);
        assert_eq!(count("fn f() { let heal_queue = 1; }"), 1);
        assert_eq!(count("fn f() { vec![healed] }"), 1);
        assert_eq!(count("struct RingEntry; fn split_block() {}"), 2);
    }

    #[test]
    fn words_of_libraries_and_near_words_pass() {
        let text = "fn health() { spawn_blocking(|| uri.fragment()); ring::digest(); } // blob\n\
                    const S: &str = \"blob\"; fn string() {} struct Blocking;";
        assert_eq!(foreign_words(&file("a.rs", text)).unwrap(), []);
    }

    #[test]
    fn empty_module_names_are_found_in_paths_and_inline() {
        let count = |path: &str, text: &str| empty_module_names(&file(path, text)).unwrap().len();
        assert_eq!(count("a/src/util.rs", ""), 1);
        assert_eq!(count("a/tests/common/mod.rs", ""), 1);
        assert_eq!(count("a/src/lib.rs", "mod key; pub mod types { }"), 1);
        assert_eq!(count("a/src/key.rs", "use std::types; fn helpers() {}"), 0);
    }

    #[test]
    fn a_module_without_docs_is_found() {
        assert!(module_docs(&file("a.rs", "use x;\n//! late\n")).is_some());
        assert!(module_docs(&file("a.rs", "// plain comment\n")).is_some());
        assert!(module_docs(&file("a.rs", "//! What it owns.\n")).is_none());
        assert!(module_docs(&file("a/tests.rs", "use super::*;\n")).is_none());
    }
}
