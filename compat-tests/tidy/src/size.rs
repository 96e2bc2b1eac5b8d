//! Limits on the length of files and functions.
//!
//! Invariants:
//! - the tail is gated, not the average: one long file fails however short the others are.

use anyhow::Result;

use crate::tokens;
use crate::{SourceFile, Violation};

/// Lines of a source file. Source: the house style.
pub const FILE_LINES_MAX: usize = 800;
/// Lines of a function from `fn` to its closing brace. Source: the house style.
pub const FUNCTION_LINES_MAX: usize = 70;

const SOURCE_EXTENSIONS: [&str; 9] =
    [".rs", ".py", ".go", ".java", ".js", ".mjs", ".ts", ".vue", ".sh"];

/// Source files of any language that are too long.
#[must_use]
pub fn long_files(files: &[SourceFile]) -> Vec<Violation> {
    files
        .iter()
        .filter(|file| SOURCE_EXTENSIONS.iter().any(|extension| file.path.ends_with(extension)))
        .filter_map(|file| {
            let lines = file.text.lines().count();
            (lines > FILE_LINES_MAX).then(|| {
                Violation::at(&file.path, 0, format!("{lines} lines, at most {FILE_LINES_MAX}"))
            })
        })
        .collect()
}

/// Rust functions that are too long and are not a flat `match` table.
///
/// # Errors
/// Fails on a file that is not Rust.
pub fn long_functions(file: &SourceFile) -> Result<Vec<Violation>> {
    Ok(tokens::functions(tokens::tokenize(&file.text)?)
        .into_iter()
        .filter(|function| function.line_count > FUNCTION_LINES_MAX && !function.is_match_table)
        .map(|function| {
            let what = format!(
                "function `{}` has {} lines, at most {FUNCTION_LINES_MAX} unless it is one flat \
                 match table",
                function.name, function.line_count
            );
            Violation::at(&file.path, function.line, what)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_found_and_one_at_the_limit_is_not() {
        let at_limit = SourceFile::new("a.rs", "x\n".repeat(FILE_LINES_MAX));
        let over = SourceFile::new("b.py", "x\n".repeat(FILE_LINES_MAX + 1));
        let document = SourceFile::new("c.md", "x\n".repeat(FILE_LINES_MAX + 1));
        let found = long_files(&[at_limit, over, document]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "b.py");
    }

    #[test]
    fn a_function_over_the_limit_is_found_and_one_at_the_limit_is_not() {
        let body = |lines: usize| "    step();\n".repeat(lines);
        let text = format!("fn fits() {{\n{}}}\n\nfn long() {{\n{}}}\n", body(68), body(69));
        let found = long_functions(&SourceFile::new("a.rs", text)).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("`long` has 71 lines"), "{}", found[0]);
        assert_eq!(found[0].line, 72);
    }

    #[test]
    fn a_long_match_table_is_allowed() {
        let rows: String = (0..100).map(|row| format!("        {row} => {row},\n")).collect();
        let text = format!("fn table(x: u8) -> u8 {{\n    match x {{\n{rows}    }}\n}}\n");
        assert!(long_functions(&SourceFile::new("a.rs", text)).unwrap().is_empty());
    }
}
