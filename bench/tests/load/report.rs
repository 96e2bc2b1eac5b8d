//! `bench report --rehearse` as a process: every kind of figure once, on a real server.

use std::{path::Path, process::Command};

use serde_json::Value;

/// The server's program, where a build of the workspace puts it.
fn server_is_built() -> bool {
    Path::new(env!("CARGO_BIN_EXE_bench")).with_file_name("datamesh").is_file()
}

#[test]
fn a_rehearsed_report_has_every_row_and_leaves_nothing_behind() {
    if !server_is_built() {
        eprintln!("skipped: `datamesh` is not built; `make test` builds it");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let summary = directory.path().join("made/summary.json");
    let document = directory.path().join("performance.md");
    std::fs::write(
        &document,
        "# Title\n<!-- bench report: begin -->\n<!-- bench report: end -->\nrest\n",
    )
    .unwrap();
    let work = directory.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["report", "--rehearse"])
        .args(["--directory".as_ref(), work.as_os_str()])
        .args(["--json".as_ref(), summary.as_os_str()])
        .args(["--markdown".as_ref(), document.as_os_str()])
        .output()
        .expect("the program starts");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let rows: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(&summary).unwrap()).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["row"].as_str().unwrap()).collect();
    for part in [
        "PUT 9MiB, 4 at once",
        "GET 9MiB, 2 at once, two drives gone",
        "PUT 9MiB, 2 at once (limit with HTTP on the same cores)",
        "ranged GET",
        "multipart",
        "stat",
        "delete",
        "mixed",
        "list page after 200 deletes",
        "peak memory, 8 uploads at once",
        "PUT 9MiB, 2 at once through six nodes (limit: lanes alone)",
        "GET 9MiB, 2 at once through six nodes (limit: raw TCP)",
    ] {
        assert!(names.iter().any(|name| name.contains(part)), "{part} is not in {names:?}");
    }
    for row in &rows {
        assert!(row["value"].as_f64().unwrap() > 0.0, "{row}");
        if row["limit"].is_null() && row["unit"] == "CPU-s/GB" {
            // Too little processor time in so short a figure.
            continue;
        }
        assert!(row["limit"].as_f64().unwrap() > 0.0, "{row}");
        let ratio = row["value"].as_f64().unwrap() / row["limit"].as_f64().unwrap();
        assert!((row["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9 * ratio, "{row}");
        assert!(!row["bound_by"].as_str().unwrap().is_empty() && row["unit"].is_string(), "{row}");
    }
    let text = std::fs::read_to_string(&document).unwrap();
    assert!(text.contains("| PUT 9MiB, 4 at once |") && text.ends_with("\nrest\n"), "{text}");
    assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0, "the directory is empty again");
    let compared = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["compare".as_ref(), summary.as_os_str(), summary.as_os_str()])
        .output()
        .unwrap();
    assert!(compared.status.success(), "a summary can be compared");
}

#[test]
fn a_report_without_a_server_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["report", "--rehearse", "--server", "/nonexistent/datamesh"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/datamesh"));
}
