//! `docs/s3-compatibility.md` claims only what a test shows.
//!
//! Every table of the document has a column `Status` and a last column `Tests`. A status is `yes`,
//! `partly` or `no (501)`; the last cell names tests in backticks, such as
//! `clients::boto3::conditional_put` or `gateway-s3::range::suffix_longer_than_object`.
//!
//! Invariants:
//! - every row names at least one test, `no (501)` included: "answers 501" is a claim, too;
//! - every named test is a function with a test attribute whose package, file, folder and inline
//!   modules contain the path's segments in their order.

use anyhow::{Context, Result, ensure};

use crate::tokens::{functions, tokenize};
use crate::{SourceFile, Violation};

const STATUSES: [&str; 3] = ["yes", "partly", "no (501)"];
/// Path components that say where Rust looks, not what a module is about.
const SILENT_COMPONENTS: [&str; 5] = ["src", "tests", "mod", "lib", "main"];

/// The full paths of all test functions, segment by segment.
#[derive(Debug, Default)]
pub struct TestIndex(Vec<Vec<String>>);

impl TestIndex {
    /// Indexes the Rust files among `files`. `packages` are the folders of the workspace's
    /// packages, relative to the root.
    ///
    /// # Errors
    /// Fails on a file that is not Rust.
    pub fn new(files: &[SourceFile], packages: &[String]) -> Result<Self> {
        let mut index = Self::default();
        for file in files.iter().filter(|file| file.is_rust()) {
            let tokens = tokenize(&file.text).with_context(|| file.path.clone())?;
            let module = module_path(&file.path, packages);
            for function in functions(tokens).into_iter().filter(|function| function.is_test) {
                let mut path = module.clone();
                path.extend(function.modules);
                path.push(function.name);
                index.0.push(path);
            }
        }
        Ok(index)
    }

    fn contains(&self, reference: &str) -> bool {
        let mut wanted: Vec<String> =
            reference.split("::").map(|segment| segment.replace('-', "_")).collect();
        let Some(name) = wanted.pop() else {
            return false;
        };
        self.0.iter().any(|path| {
            let Some((found, modules)) = path.split_last() else {
                return false;
            };
            let mut modules = modules.iter();
            *found == name && wanted.iter().all(|segment| modules.any(|module| module == segment))
        })
    }
}

/// Rows of the document that claim what no test shows.
///
/// # Errors
/// Fails when the document has no table.
pub fn unproven(document: &SourceFile, tests: &TestIndex) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    let mut row_count = 0;
    let mut status_column: Option<usize> = None;
    let mut in_table = false;
    for (index, line) in document.text.lines().enumerate() {
        let mut report = |what: String| found.push(Violation::at(&document.path, index + 1, what));
        let Some(cells) = cells(line) else {
            in_table = false;
            continue;
        };
        if !in_table {
            in_table = true;
            status_column = cells.iter().position(|cell| cell == "Status");
            if status_column.is_none() || cells.last().is_none_or(|last| last != "Tests") {
                report("a table has a column `Status` and a last column `Tests`".to_owned());
            }
            continue;
        }
        if cells.iter().all(|cell| !cell.is_empty() && cell.trim_matches([':', '-']).is_empty()) {
            continue;
        }
        row_count += 1;
        let status = status_column.and_then(|column| cells.get(column));
        if let Some(status) = status.filter(|status| !STATUSES.contains(&status.as_str())) {
            report(format!("status `{status}` is not one of {}", STATUSES.join(", ")));
        }
        missing_tests(cells.last().map_or("", String::as_str), tests)
            .into_iter()
            .for_each(&mut report);
    }
    ensure!(row_count > 0, "{} has no table with rows", document.path);
    Ok(found)
}

fn missing_tests(cell: &str, tests: &TestIndex) -> Vec<String> {
    let references: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    if references.is_empty() {
        return vec!["the row names no test".to_owned()];
    }
    references
        .into_iter()
        .filter_map(|reference| {
            if !reference.contains("::") {
                Some(format!("`{reference}` is not a path of a test"))
            } else if !tests.contains(reference) {
                Some(format!("there is no test `{reference}`"))
            } else {
                None
            }
        })
        .collect()
}

/// The cells of a table row; `\|` does not separate.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?;
    let hidden = inner.replace("\\|", "\u{0}");
    let hidden = hidden.trim_end().strip_suffix('|').unwrap_or(&hidden);
    Some(hidden.split('|').map(|cell| cell.replace('\u{0}', "|").trim().to_owned()).collect())
}

/// Package and modules of a file, `-` as `_`.
fn module_path(path: &str, packages: &[String]) -> Vec<String> {
    let package = packages
        .iter()
        .filter(|folder| {
            path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
        })
        .max_by_key(|folder| folder.len());
    let (package, rest) = match package {
        Some(folder) => (folder.replace(['/', '-'], "_"), &path[folder.len() + 1..]),
        None => (String::new(), path),
    };
    let modules = rest
        .split('/')
        .map(|component| component.strip_suffix(".rs").unwrap_or(component))
        .filter(|component| !SILENT_COMPONENTS.contains(component))
        .map(|component| component.replace('-', "_"));
    std::iter::once(package).chain(modules).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> TestIndex {
        let files = [
            SourceFile::new(
                "compat-tests/tests/clients/boto3.rs",
                "#[test] fn conditional_put() {} fn not_a_test() {}",
            ),
            SourceFile::new(
                "gateway/s3/src/range.rs",
                "#[cfg(test)] mod tests { #[test] fn suffix() {} }",
            ),
        ];
        TestIndex::new(&files, &["compat-tests".to_owned(), "gateway/s3".to_owned()]).unwrap()
    }

    fn whats(rows: &str) -> Vec<String> {
        let text = format!("# S3\n\n| Operation | Status | Tests |\n|---|:--:|---|\n{rows}\n");
        let found = unproven(&SourceFile::new("d.md", text), &index()).unwrap();
        found.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn rows_with_existing_tests_pass() {
        let rows = "| PutObject `If-Match` a \\| b | yes | `clients::boto3::conditional_put` |\n\
                    | Range | partly | `gateway-s3::range::suffix`, `range::tests::suffix` |\n\
                    | Torrent | no (501) | `compat-tests::conditional_put` |";
        assert_eq!(whats(rows), [""; 0]);
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        let cases = [
            "clients::boto3::conditional_get",
            "clients::s5cmd::conditional_put",
            "gateway-s3::conditional_put",
            "boto3::clients::conditional_put",
            "clients::boto3::not_a_test",
        ];
        for reference in cases {
            let found = whats(&format!("| PutObject | yes | `{reference}` |"));
            assert_eq!(found, [format!("there is no test `{reference}`")]);
        }
    }

    #[test]
    fn a_row_without_a_test_or_with_an_unknown_status_is_found() {
        assert_eq!(whats("| PutObject | yes | |"), ["the row names no test"]);
        assert_eq!(whats("| PutObject | yes | later |"), ["the row names no test"]);
        assert_eq!(whats("| PutObject | yes | `put` |"), ["`put` is not a path of a test"]);
        let planned = whats("| PutObject | planned | `range::suffix` |");
        assert_eq!(planned, ["status `planned` is not one of yes, partly, no (501)"]);
    }

    #[test]
    fn a_table_of_another_shape_and_a_document_without_tables_are_found() {
        let other = SourceFile::new("d.md", "| A | B |\n|---|---|\n| x | `range::suffix` |\n");
        assert_eq!(unproven(&other, &index()).unwrap().len(), 1);
        let none = SourceFile::new("d.md", "# S3\nEverything works.\n");
        assert!(unproven(&none, &index()).is_err());
    }
}
