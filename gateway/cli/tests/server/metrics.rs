//! Metrics: what is exported is documented, and what is documented is exported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Machine;
use crate::s3::payload;

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Name and type of every row of the tables in `docs/metrics.md`.
fn documented() -> BTreeMap<String, String> {
    let text = fs::read_to_string(tree().join("docs/metrics.md")).expect("the document is there");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells.get(1)?.strip_prefix("`datamesh_")?.strip_suffix('`')?;
        assert_eq!(cells.len(), 7, "a row has five cells: {line}");
        assert!(cells[2..6].iter().all(|cell| !cell.is_empty()), "an empty cell: {line}");
        Some((format!("datamesh_{name}"), cells[2].to_owned()))
    };
    let rows: Vec<_> = text.lines().filter_map(row).collect();
    let names: BTreeMap<_, _> = rows.iter().cloned().collect();
    assert_eq!(names.len(), rows.len(), "a metric is documented twice");
    names
}

/// Every metric name in the sources of a folder, tests left out.
fn in_sources(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                in_sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("sources are text");
            let names = text.split("\"datamesh_").skip(1).filter_map(|rest| {
                let (name, _) = rest.split_once('"')?;
                let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                is_name.then(|| format!("datamesh_{name}"))
            });
            found.extend(names);
        }
    }
}

#[test]
fn sources_and_document_name_the_same_metrics() {
    let mut found = BTreeSet::new();
    for part in ["node", "gateway"] {
        let packages = fs::read_dir(tree().join(part)).expect("the packages are there");
        for package in packages {
            let sources = package.expect("the folder can be read").path().join("src");
            if sources.is_dir() {
                in_sources(&sources, &mut found);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    let documented: BTreeSet<_> = documented().into_keys().collect();
    let undocumented: Vec<_> = found.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&found).collect();
    assert!(undocumented.is_empty(), "not in docs/metrics.md: {undocumented:?}");
    assert!(invented.is_empty(), "in docs/metrics.md only: {invented:?}");
}

#[test]
fn exported_metrics_are_documented_with_their_type() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    for (index, len) in [0, 1_000, 100 << 10, 9 << 20].into_iter().enumerate() {
        let (target, body) = (format!("/bkt/{index}"), payload(index as u64, len));
        s3.put(&target, &body);
        s3.expect_object(&target, &body);
    }
    s3.delete("/bkt/2");
    s3.get("/bkt/2").expect_status(404);
    s3.get("/bkt?list-type=2").expect_status(200);
    machine.admin(&["scrub", "start"]).succeeded();

    let (status, text) = server.admin_get("/metrics");
    assert_eq!(status, 200);
    let documented = documented();
    let exported: BTreeMap<_, _> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (name, kind) in &exported {
        let expected = documented.get(*name).map(String::as_str);
        assert_eq!(expected, Some(*kind), "{name} in docs/metrics.md");
    }
    for essential in [
        "datamesh_drive_state",
        "datamesh_drive_written_bytes_total",
        "datamesh_meta_commits_total",
    ] {
        assert!(exported.contains_key(essential), "{essential} is not exported:\n{text}");
    }
    let states = text.lines().filter(|line| line.starts_with("datamesh_drive_state{"));
    assert_eq!(states.clone().count(), 6, "{text}");
    assert!(states.clone().all(|line| line.ends_with(" 0")), "a drive is not online:\n{text}");
    server.stop();
}
