//! What the checks need to know about Rust source, read from its tokens.
//!
//! Invariants:
//! - braces inside strings, characters and comments never count: the lexer is rustc's own grammar;
//! - every function with a body is found, nested ones and those in macros included.
//!
//! Deliberately absent: types, name resolution, expansion of macros.

use std::str::FromStr;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Arms of a match table stay at most this long: an arm that does more is code, not a row.
/// Chosen; a struct literal with a handful of fields fits.
const MATCH_TABLE_ARM_LINES_MAX: usize = 8;

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Inline modules around it, outermost first.
    pub modules: Vec<String>,
    /// One-based line of the `fn` keyword.
    pub line: usize,
    /// Lines from the `fn` keyword to the closing brace, both included.
    pub line_count: usize,
    /// The body is nothing but one `match` whose arms are rows without statements.
    pub is_match_table: bool,
    /// Carries `#[test]`, `#[tokio::test]` or another attribute whose last path segment is `test`.
    pub is_test: bool,
}

/// Splits Rust source into tokens.
///
/// # Errors
/// Fails when the text is not a sequence of Rust tokens with balanced delimiters.
pub fn tokenize(text: &str) -> Result<TokenStream> {
    TokenStream::from_str(text).map_err(|error| anyhow!("not Rust: {error}"))
}

/// Every function with a body, in source order.
#[must_use]
pub fn functions(tokens: TokenStream) -> Vec<Function> {
    let mut found = Vec::new();
    collect_functions(tokens, &mut Vec::new(), &mut found);
    found
}

/// Every identifier with its line, those inside macros included.
pub fn identifiers(tokens: TokenStream) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    visit_groups(tokens, &mut |trees| {
        for tree in trees {
            if let TokenTree::Ident(ident) = tree {
                found.push((plain(ident), ident.span().start().line));
            }
        }
    });
    found
}

/// Calls `visit` with the tokens of every nesting level, outermost first.
pub fn visit_groups(tokens: TokenStream, visit: &mut impl FnMut(&[TokenTree])) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    visit(&trees);
    for tree in trees {
        if let TokenTree::Group(group) = tree {
            visit_groups(group.stream(), visit);
        }
    }
}

/// The tokens without `#[cfg(test)]` modules.
#[must_use]
pub fn without_test_modules(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut under_cfg_test = false;
    for tree in tokens {
        if let TokenTree::Group(group) = &tree {
            if group.delimiter() == Delimiter::Bracket && follows_hash(&kept) {
                under_cfg_test |= is_cfg_test(group);
            } else if group.delimiter() == Delimiter::Brace {
                if std::mem::take(&mut under_cfg_test) {
                    continue;
                }
                let mut inner = Group::new(group.delimiter(), without_test_modules(group.stream()));
                inner.set_span(group.span());
                kept.push(TokenTree::Group(inner));
                continue;
            }
        } else if is_punct(&tree, ';') {
            under_cfg_test = false;
        }
        kept.push(tree);
    }
    kept.into_iter().collect()
}

pub(crate) fn is_punct(tree: &TokenTree, wanted: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

pub(crate) fn is_ident(tree: &TokenTree, wanted: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == wanted)
}

/// Whether `tree`, preceded by `before`, is the bracket of an attribute.
pub(crate) fn follows_hash(before: &[TokenTree]) -> bool {
    match before {
        [.., last] if is_punct(last, '#') => true,
        [.., hash, bang] => is_punct(hash, '#') && is_punct(bang, '!'),
        _ => false,
    }
}

fn plain(ident: &proc_macro2::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

fn is_cfg_test(attribute: &Group) -> bool {
    let trees: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match trees.as_slice() {
        [name, TokenTree::Group(condition)] if is_ident(name, "cfg") => {
            condition.stream().into_iter().next().is_some_and(|tree| is_ident(&tree, "test"))
        }
        _ => false,
    }
}

fn is_test_attribute(attribute: &Group) -> bool {
    attribute
        .stream()
        .into_iter()
        .take_while(|tree| !matches!(tree, TokenTree::Group(_)))
        .last()
        .is_some_and(|tree| is_ident(&tree, "test"))
}

fn collect_functions(tokens: TokenStream, modules: &mut Vec<String>, found: &mut Vec<Function>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut is_test = false;
    let mut module: Option<String> = None;
    let mut index = 0;
    while index < trees.len() {
        match &trees[index] {
            TokenTree::Ident(keyword) if keyword == "mod" => {
                module = match trees.get(index + 1) {
                    Some(TokenTree::Ident(name)) => Some(plain(name)),
                    _ => None,
                };
            }
            TokenTree::Ident(keyword) if keyword == "fn" => {
                if let Some((function, body_index)) = function_at(&trees, index, modules, is_test) {
                    found.push(function);
                    // The loop's next turn descends into the body, with the attributes spent.
                    index = body_index;
                    is_test = false;
                    module = None;
                    continue;
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => {
                is_test = false;
                module = None;
            }
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Bracket && follows_hash(&trees[..index]) =>
            {
                is_test |= is_test_attribute(group);
            }
            TokenTree::Group(group) => {
                let entered = module.take().map(|name| modules.push(name));
                collect_functions(group.stream(), modules, found);
                if entered.is_some() {
                    modules.pop();
                }
                if group.delimiter() == Delimiter::Brace {
                    is_test = false;
                }
            }
            _ => {}
        }
        index += 1;
    }
}

/// The function whose `fn` keyword is at `index`, and the index of its body.
fn function_at(
    trees: &[TokenTree],
    index: usize,
    modules: &[String],
    is_test: bool,
) -> Option<(Function, usize)> {
    let name = match trees.get(index + 1)? {
        TokenTree::Ident(name) => plain(name),
        // `fn $name` in a macro's template.
        dollar if is_punct(dollar, '$') => trees.get(index + 2)?.to_string(),
        // `fn(u8) -> u8` is a type.
        _ => return None,
    };
    let (body_index, body) =
        trees[index..].iter().take_while(|tree| !is_punct(tree, ';')).enumerate().find_map(
            |(offset, tree)| match tree {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    Some((index + offset, group))
                }
                _ => None,
            },
        )?;
    let line = trees[index].span().start().line;
    let function = Function {
        name,
        modules: modules.to_vec(),
        line,
        line_count: body.span_close().end().line.saturating_sub(line) + 1,
        is_match_table: is_match_table(body),
        is_test,
    };
    Some((function, body_index))
}

fn is_match_table(body: &Group) -> bool {
    let trees: Vec<TokenTree> = body.stream().into_iter().collect();
    // A table may shorten its names first: `use ErrorCode as E;`.
    let mut rest = trees.as_slice();
    while rest.first().is_some_and(|tree| is_ident(tree, "use")) {
        let Some(end) = rest.iter().position(|tree| is_punct(tree, ';')) else {
            return false;
        };
        rest = &rest[end + 1..];
    }
    let [keyword, scrutinee @ .., TokenTree::Group(arms)] = rest else {
        return false;
    };
    is_ident(keyword, "match")
        && arms.delimiter() == Delimiter::Brace
        && !scrutinee.iter().any(is_brace_or_statement_end)
        && !contains_statement(arms.stream())
        && longest_arm_lines(arms.stream()) <= MATCH_TABLE_ARM_LINES_MAX
}

fn is_brace_or_statement_end(tree: &TokenTree) -> bool {
    is_punct(tree, ';') || is_brace(tree)
}

fn is_brace(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn contains_statement(tokens: TokenStream) -> bool {
    let mut found = false;
    visit_groups(tokens, &mut |trees| found |= trees.iter().any(|tree| is_punct(tree, ';')));
    found
}

/// Lines from a `=>` to the end of its arm, at most over all arms.
fn longest_arm_lines(arms: TokenStream) -> usize {
    let trees: Vec<TokenTree> = arms.into_iter().collect();
    let mut longest = 0;
    let mut arrow_line: Option<usize> = None;
    for (index, tree) in trees.iter().enumerate() {
        let is_arrow = is_punct(tree, '>') && index > 0 && is_punct(&trees[index - 1], '=');
        match arrow_line {
            None if is_arrow => arrow_line = Some(tree.span().start().line),
            Some(start) => {
                let previous_is_arrow = is_punct(&trees[index - 1], '>')
                    && index > 1
                    && is_punct(&trees[index - 2], '=');
                let ends_arm = is_punct(tree, ',') || (is_brace(tree) && previous_is_arrow);
                longest = longest.max(tree.span().end().line.saturating_sub(start) + 1);
                if ends_arm {
                    arrow_line = None;
                }
            }
            None => {}
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions_of(text: &str) -> Vec<Function> {
        functions(tokenize(text).unwrap())
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_end_a_function() {
        let text = "fn a() {\n let s = \"}\"; // }\n /* } */ let c = '}';\n let l: &'static str = \
                    r#\"}\"#;\n}\nfn b() {}\n";
        let found = functions_of(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].line_count), (1, 5));
        assert_eq!((found[1].line, found[1].line_count), (6, 1));
    }

    #[test]
    fn nested_functions_methods_and_macro_templates_are_found() {
        let text = "mod m { impl T { fn outer(&self) -> u8 { fn inner() {} 1 } } }\n\
                    trait U { fn required(&self); fn provided(&self) {} }\n\
                    macro_rules! q { ($n:ident) => { fn $n() {} } }\n\
                    type F = fn(u8) -> u8;\n";
        let names: Vec<String> = functions_of(text)
            .into_iter()
            .map(|function| [function.modules, vec![function.name]].concat().join("::"))
            .collect();
        assert_eq!(names, ["m::outer", "m::inner", "provided", "n"]);
    }

    #[test]
    fn test_attributes_are_recognised_and_do_not_leak_to_the_next_function() {
        let text = "#[test]\nfn a() {}\nfn b() {}\n#[tokio::test(start_paused = true)]\n\
                    async fn c() {}\n#[cfg(test)]\nmod x { fn d() {} }\n";
        let flags: Vec<bool> = functions_of(text).iter().map(|found| found.is_test).collect();
        assert_eq!(flags, [true, false, true, false]);
    }

    #[test]
    fn a_single_match_of_rows_is_a_table() {
        let text = "fn t(e: E) -> u16 {\n use E::*;\n match e {\n A | B => 1,\n C { x } => f(x),\n \
                    D => { 4 }\n _ => S { a: 1 },\n }\n}\n";
        assert!(functions_of(text)[0].is_match_table);
    }

    #[test]
    fn a_match_with_statements_or_long_arms_or_company_is_not_a_table() {
        let statement = "fn t(e: E) -> u16 { match e { A => { let x = 1; x } _ => 2 } }";
        let company = "fn t(e: E) -> u16 { let x = 1; match e { A => x, _ => 2 } }";
        let after = "fn t(e: E) -> u16 { match e { A => 1, _ => 2 } + 1 }";
        let long_arm =
            format!("fn t(e: E) -> u16 {{ match e {{ A => f({}1), _ => 2 }} }}", "1,\n".repeat(9));
        for text in [statement, company, after, &long_arm] {
            assert!(!functions_of(text)[0].is_match_table, "{text}");
        }
    }

    #[test]
    fn test_modules_are_cut_out_and_the_rest_stays() {
        let tokens = tokenize(
            "fn keep() {} #[cfg(test)] mod tests { fn drop_me() {} } mod n { #[cfg(test)] mod t { \
             fn drop_too() {} } fn keep_too() {} } #[cfg(test)] mod file; fn keep_last() {}",
        )
        .unwrap();
        let names: Vec<String> =
            functions(without_test_modules(tokens)).into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["keep", "keep_too", "keep_last"]);
    }
}
