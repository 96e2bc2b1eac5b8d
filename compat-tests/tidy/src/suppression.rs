//! Lints and tests are switched off only with a reason.

use anyhow::Result;
use proc_macro2::{Delimiter, Group, TokenTree};

use crate::tokens::{follows_hash, is_ident, is_punct, tokenize, visit_groups};
use crate::{SourceFile, Violation};

/// `#[allow]` and `#[expect]` without `reason = "…"`, and `#[ignore]` without `= "…"`.
///
/// # Errors
/// Fails on a file that is not Rust.
pub fn without_reason(file: &SourceFile) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    visit_groups(tokenize(&file.text)?, &mut |trees| {
        for (index, tree) in trees.iter().enumerate() {
            if let TokenTree::Group(group) = tree
                && group.delimiter() == Delimiter::Bracket
                && follows_hash(&trees[..index])
            {
                check_attribute(file, group, &mut found);
            }
        }
    });
    Ok(found)
}

fn check_attribute(file: &SourceFile, attribute: &Group, found: &mut Vec<Violation>) {
    let line = attribute.span().start().line;
    let trees: Vec<TokenTree> = attribute.stream().into_iter().collect();
    if let [only] = trees.as_slice()
        && is_ident(only, "ignore")
    {
        found.push(Violation::at(&file.path, line, "#[ignore] needs a reason: #[ignore = \"…\"]"));
    }
    // Also inside `cfg_attr(…, allow(…))`.
    visit_groups(attribute.stream(), &mut |trees| {
        for pair in trees.windows(2) {
            let [name, TokenTree::Group(lints)] = pair else {
                continue;
            };
            let suppresses = is_ident(name, "allow") || is_ident(name, "expect");
            if suppresses && lints.delimiter() == Delimiter::Parenthesis && !has_reason(lints) {
                let what = format!("#[{name}({})] needs reason = \"…\"", lints.stream());
                found.push(Violation::at(&file.path, line, what));
            }
        }
    });
}

fn has_reason(lints: &Group) -> bool {
    let trees: Vec<TokenTree> = lints.stream().into_iter().collect();
    trees.windows(3).any(|window| {
        is_ident(&window[0], "reason")
            && is_punct(&window[1], '=')
            && matches!(&window[2], TokenTree::Literal(text) if text.to_string().len() > 2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        without_reason(&SourceFile::new("a.rs", text)).unwrap().len()
    }

    #[test]
    fn suppressions_without_a_reason_are_found() {
        assert_eq!(count("#[allow(dead_code)] fn a() {}"), 1);
        assert_eq!(count("#![expect(missing_docs)]"), 1);
        assert_eq!(count("#[expect(dead_code, reason = \"\")] fn a() {}"), 1);
        assert_eq!(count("mod m { #[cfg_attr(test, allow(dead_code))] fn a() {} }"), 1);
        assert_eq!(count("#[test] #[ignore] fn a() {}"), 1);
    }

    #[test]
    fn suppressions_with_a_reason_and_lookalikes_pass() {
        assert_eq!(count("#[expect(dead_code, reason = \"used on Windows\")] fn a() {}"), 0);
        assert_eq!(count("#[ignore = \"takes an hour\"] fn a() {}"), 0);
        assert_eq!(
            count("fn a() { b.expect(\"open\"); let s = \"#[allow(x)]\"; } // #[allow(x)]"),
            0
        );
    }
}
