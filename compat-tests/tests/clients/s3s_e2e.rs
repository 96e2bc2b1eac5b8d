//! s3s-e2e: the tests of the library `s3s`, against any S3 endpoint.

use compat_tests::clients::{aws_environment, installed};
use compat_tests::program::Program;

/// The tests that fail, and why; everything else passes.
const EXPECTED_FAILURES: [(&str, &str); 2] = [
    ("Advanced/STS/test_assume_role", "there is no token service: AssumeRole answers 501"),
    (
        "Basic/Put/test_put_object_with_non_ascii_metadata",
        "metadata is told as it was given, not encoded after RFC 2047",
    ),
];

/// How many tests the suite has at the version that is pinned.
const TESTS: usize = 18;

#[test]
fn all_but_the_expected_tests_pass() {
    let server = crate::shared();
    let report = server.work_dir().join("report.json");
    let program = Program::new(installed("s3s-e2e", "bin/s3s-e2e"), &server.home_dir());
    let program = aws_environment(program, &server, server.root());
    // Its status is that of the whole suite; which tests failed is in the report.
    let output = program.arg("--json").arg(&report).run();
    let report = std::fs::read(&report).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let report: serde_json::Value = serde_json::from_slice(&report).expect("a report is JSON");
    let mut failed = Vec::new();
    let mut count = 0;
    for suite in list(&report["suites"]) {
        for fixture in list(&suite["fixtures"]) {
            for case in list(&fixture["cases"]) {
                count += 1;
                if case["passed"] != true {
                    failed.push(format!("{}/{}/{}", name(suite), name(fixture), name(case)));
                }
            }
        }
    }
    failed.sort();
    let expected: Vec<&str> = EXPECTED_FAILURES.iter().map(|(test, _)| *test).collect();
    assert_eq!(failed, expected, "{}", output.text());
    assert_eq!(count, TESTS);
}

fn list(value: &serde_json::Value) -> &[serde_json::Value] {
    value.as_array().expect("a report has lists")
}

fn name(value: &serde_json::Value) -> &str {
    value["name"].as_str().expect("everything in a report has a name")
}
