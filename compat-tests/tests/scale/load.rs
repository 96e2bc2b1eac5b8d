//! `bench load` against a server of a test.

use std::process::{Command, Stdio};

use compat_tests::server::{self, Server};
use serde_json::Value;

/// The mix of objects: most so small that they are kept in the metadata, some in shards. Chosen:
/// a million of them take some 5 GB on the drives.
const SIZES: &str = "1KiB:9,8KiB:1";

/// Requests at once. Chosen: enough that commits and drive writes are grouped.
const CONCURRENCY: &str = "32";

/// Runs `bench load` on the test's objects and returns its result.
///
/// # Panics
/// When it fails: a request without success after its attempts, or a wrong byte.
pub(crate) fn bench(server: &Server, bucket: &str, objects: u64, arguments: &[&str]) -> Value {
    let result = server.work_dir().join("bench.json");
    let output = Command::new(server::program("bench"))
        .arg("load")
        .args(arguments)
        .args(["--endpoint", &server.s3_url(), "--bucket", bucket])
        .args(["--size", SIZES, "--objects", &objects.to_string(), "--warm-up", "0s"])
        .args(["--server-pid", &server.pid().to_string(), "--keep"])
        .args(["--concurrency", CONCURRENCY, "--json"])
        .arg(&result)
        .env("AWS_ACCESS_KEY_ID", &server.root().access_key)
        .env("AWS_SECRET_ACCESS_KEY", &server.root().secret_key)
        .stdin(Stdio::null())
        .output()
        .expect("bench is built with the tests");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "bench {arguments:?}: {said}");
    let text = std::fs::read(&result).expect("bench wrote its result");
    let report: Value = serde_json::from_slice(&text).expect("results are JSON");
    assert_eq!(report["wrong_reads"], 0, "{report}");
    assert_eq!(report["errors"].as_object().map(serde_json::Map::len), Some(0), "{report}");
    report
}

/// A figure of the operation that `bench` measured.
///
/// # Panics
/// When there is none of this name.
pub(crate) fn figure(report: &Value, name: &str) -> f64 {
    let measured = &report["operations"][0];
    measured[name].as_f64().unwrap_or_else(|| panic!("{name} is missing in {report}"))
}
