//! `bench load` as a process, against an S3 server in this test that checks every signature.

#![expect(clippy::unwrap_used, reason = "a test helper that unwraps fails its test")]

mod report;
mod server;

use std::process::{Command, Output};

use serde_json::Value;
use server::{Flaw, Server};

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn bench(server: &Server, arguments: &[&str]) -> Output {
    bench_as(server, SECRET_KEY, arguments)
}

fn bench_as(server: &Server, secret_key: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("load")
        .args(arguments)
        .args(["--endpoint", &server.url(), "--warm-up", "0s"])
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", secret_key)
        .env_remove("AWS_SESSION_TOKEN")
        .output()
        .expect("the program starts")
}

/// Runs with `--json` and returns exit code and result.
fn result(server: &Server, arguments: &[&str]) -> (Option<i32>, Value) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("result.json");
    let mut arguments = arguments.to_vec();
    arguments.extend(["--json", path.to_str().unwrap()]);
    let output = bench(server, &arguments);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), serde_json::from_str(&text).unwrap())
}

fn server() -> Server {
    Server::start(ACCESS_KEY, SECRET_KEY, Flaw::None)
}

#[test]
fn every_operation_succeeds_with_both_kinds_of_payload() {
    let server = server();
    let operations = ["put", "get", "ranged-get", "stat", "list", "delete", "multipart", "mixed"];
    for operation in operations {
        for payload in ["signed", "unsigned"] {
            let mut arguments = vec![operation, "--payload", payload, "--count", "20"];
            arguments.extend(["--size", "1:1,4KiB:2,70001:1", "--concurrency", "3"]);
            if operation != "delete" {
                arguments.extend(["--objects", "12"]);
            }
            let (code, result) = result(&server, &arguments);
            assert_eq!(code, Some(0), "{operation} {payload}: {result}");
            assert_eq!(result["errors"], serde_json::json!({}), "{operation}");
            let measured = result["operations"].as_array().unwrap();
            let count: u64 = measured.iter().map(|each| each["count"].as_u64().unwrap()).sum();
            assert_eq!(count, 20, "{operation}");
            assert!(result["client"]["cpu_seconds"].is_number());
        }
    }
    assert_eq!(server.refused_signatures(), 0);
    assert_eq!(server.objects(), 0, "a run removes what it wrote");
}

#[test]
fn large_objects_go_up_in_parts_and_come_down_whole() {
    let server = server();
    let arguments = ["multipart", "--size", "12MiB", "--part-size", "5MiB", "--count", "1"];
    let (code, result) = result(&server, &arguments);
    assert_eq!(code, Some(0), "{result}");
    assert_eq!(server.parts_received(), 3);
    let arguments = ["get", "--size", "12MiB", "--objects", "1", "--count", "2"];
    let (code, result) = self::result(&server, &arguments);
    assert_eq!((code, &result["operations"][0]["bytes"]), (Some(0), &(24 << 20).into()));
}

#[test]
fn kept_objects_are_reused() {
    let server = server();
    let common = ["--size", "4KiB", "--objects", "5", "--count", "10"];
    let kept = bench(&server, &[&["get", "--keep"][..], &common].concat());
    assert!(kept.status.success());
    assert_eq!(server.objects(), 5);
    let (code, _) = result(&server, &[&["get", "--reuse"][..], &common].concat());
    assert_eq!(code, Some(0));
    assert_eq!(server.objects(), 5, "what another run prepared is not removed");
}

#[test]
fn a_wrong_byte_fails_the_run_and_is_named() {
    for flaw in [Flaw::FlippedByte, Flaw::ShortBody] {
        let server = Server::start(ACCESS_KEY, SECRET_KEY, flaw);
        let arguments = ["get", "--size", "64KiB", "--objects", "2", "--count", "4"];
        let (code, result) = result(&server, &arguments);
        assert_eq!(code, Some(1), "{flaw:?}");
        assert_eq!(result["wrong_reads"], 4, "{flaw:?}");
        let example = result["error_examples"][0].as_str().unwrap();
        assert!(example.contains("wrong byte in bench/1/o/000000000"), "{example}");
    }
}

#[test]
fn a_listing_that_misses_a_key_fails_the_run() {
    let server = Server::start(ACCESS_KEY, SECRET_KEY, Flaw::MissingKey);
    let arguments = ["list", "--size", "1", "--objects", "5", "--count", "2"];
    let (code, result) = result(&server, &arguments);
    assert_eq!((code, &result["wrong_reads"]), (Some(1), &2.into()));
}

#[test]
fn errors_are_counted_by_code() {
    let server = Server::start(ACCESS_KEY, SECRET_KEY, Flaw::SlowDownOnGet);
    let arguments = ["get", "--size", "1KiB", "--objects", "2", "--count", "6"];
    let (code, result) = result(&server, &arguments);
    assert_eq!(code, Some(1), "nothing succeeded");
    assert_eq!(result["errors"], serde_json::json!({ "SlowDown": 6 }));
}

#[test]
fn a_wrong_secret_is_reported_before_anything_is_measured() {
    let server = server();
    let output = bench_as(&server, "wrong", &["put", "--count", "1"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("cannot use bucket") && text.contains("403"), "{text}");
    assert!(server.refused_signatures() > 0);
}

#[test]
fn missing_credentials_and_dead_endpoints_are_named() {
    let without = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["load", "put"])
        .env_remove("AWS_ACCESS_KEY_ID")
        .output()
        .unwrap();
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("AWS_ACCESS_KEY_ID"));
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let dead = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["load", "put", "--endpoint", &format!("http://{closed}")])
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .output()
        .unwrap();
    assert_eq!(dead.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&dead.stderr).contains("cannot connect"));
}

#[test]
fn the_cost_of_a_named_process_is_measured() {
    let server = server();
    let pid = std::process::id().to_string();
    let arguments = ["put", "--size", "1MiB", "--count", "20", "--server-pid", &pid];
    let (code, result) = result(&server, &arguments);
    assert_eq!(code, Some(0));
    assert!(result["server"]["rss_peak_bytes"].as_u64().unwrap() > 1 << 20, "{result}");
}

#[test]
fn results_can_be_compared() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    let path = path.to_str().unwrap();
    let arguments = ["stat", "--size", "1", "--objects", "2", "--count", "5", "--json", path];
    assert!(bench(&server, &arguments).status.success());
    let compared =
        Command::new(env!("CARGO_BIN_EXE_bench")).args(["compare", path, path]).output().unwrap();
    assert!(compared.status.success());
    let text = String::from_utf8(compared.stdout).unwrap();
    assert!(text.contains("stat rate") && text.contains("1.00"), "{text}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_with_a_report_and_without_leftovers() {
    let server = server();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["load", "put", "--size", "1KiB", "--duration", "60s", "--warm-up", "0s"])
        .args(["--endpoint", &server.url()])
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while server.objects() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(text.contains("interrupted"), "{text}");
    assert_eq!(server.objects(), 0);
}
