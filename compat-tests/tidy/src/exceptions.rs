//! Excused violations. The list only ever shrinks.

use crate::Violation;

/// What a test of `tests/tidy.rs` checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Length of files.
    FileLength,
    /// Length of functions.
    FunctionLength,
    /// Names of modules.
    ModuleName,
    /// Docs of modules.
    ModuleDocs,
    /// Words of identifiers.
    Vocabulary,
    /// Reasons of suppressions.
    SuppressionReason,
    /// Paths and registries of one machine.
    Machine,
    /// Names and lints of packages and test targets.
    Manifest,
    /// Dependency arrows.
    Arrows,
    /// Forbidden imports.
    Purity,
    /// Licences, origins, bans, duplicates.
    Licence,
    /// Claims of the compatibility table.
    Compatibility,
    /// Targets and versions of the fuzz package.
    Fuzzing,
}

/// One excused pair of check and path.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The check that would fail.
    pub check: Check,
    /// The path, or the package, as the violation names it.
    pub path: &'static str,
    /// Why it is excused, and what ends it.
    pub reason: &'static str,
}

/// Every exception of this tree.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        check: Check::Licence,
        path: "chrono",
        reason: "a dependency of s3s; nothing of ours uses it. Ends when s3s drops it",
    },
    Exception { check: Check::Licence, path: "getrandom", reason: OLD_RAND },
    Exception { check: Check::Licence, path: "rand", reason: OLD_RAND },
    Exception { check: Check::Licence, path: "rand_core", reason: OLD_RAND },
];

const OLD_RAND: &str =
    "fail 0.5, the newest, asks for rand 0.8, the metrics exporter for 0.9, proptest for 0.10";

/// What remains of `violations` after `exceptions`, plus every exception that excuses nothing.
#[must_use]
pub fn unexcused(check: Check, violations: &[Violation], exceptions: &[Exception]) -> Vec<String> {
    let of_check = || exceptions.iter().filter(move |exception| exception.check == check);
    let remaining = violations
        .iter()
        .filter(|violation| !of_check().any(|exception| exception.path == violation.path))
        .map(Violation::to_string);
    let stale = of_check()
        .filter(|exception| {
            exception.reason.is_empty()
                || !violations.iter().any(|violation| violation.path == exception.path)
        })
        .map(|exception| format!("{}: the exception for {check:?} is not needed", exception.path));
    remaining.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCUSED: Exception =
        Exception { check: Check::FileLength, path: "a.rs", reason: "generated" };

    #[test]
    fn an_exception_excuses_its_check_and_path_only() {
        let violations = [Violation::at("a.rs", 0, "long"), Violation::at("b.rs", 3, "long")];
        assert_eq!(unexcused(Check::FileLength, &violations, &[EXCUSED]), ["b.rs:3: long"]);
        assert_eq!(unexcused(Check::ModuleDocs, &violations, &[EXCUSED]).len(), 2);
    }

    #[test]
    fn an_exception_that_excuses_nothing_is_reported() {
        let found = unexcused(Check::FileLength, &[], &[EXCUSED]);
        assert_eq!(found, ["a.rs: the exception for FileLength is not needed"]);
    }
}
