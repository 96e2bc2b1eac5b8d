//! Every sync of the product, and the sources they are found in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Sites whose sync this server's power cuts miss.
pub(crate) const SHOWN_HERE: [&str; 6] = [
    "segment-group",
    "meta-commit",
    "segment-name",
    "superblock-name",
    "superblock-content",
    "file-content",
];

/// Every site of the product; the table in the docs of this test says who notices each.
const SITES: [&str; 15] = [
    "segment-group",
    "segment-cut",
    "segment-name",
    "segment-removal",
    "drive-name",
    "superblock-content",
    "superblock-name",
    "recovered-segment",
    "index-checkpoint",
    "index-tables",
    "meta-commit",
    "meta-directory",
    "file-content",
    "file-name",
    "directory-name",
];

/// What a sync looks like, and how often each file may have it outside its tests: in the functions
/// that know the sites, in those they call, and in the file systems beneath.
const CALLS: [&str; 5] = ["sync_all(", "sync_data(", "sync_directory(", "set_sync(", "flush_wal("];

/// Folders whose code is in no server.
const NOT_SHIPPED: [&str; 4] = ["tests", "examples", "benches", "fuzzing"];

/// Files that may hold syncs, with how many.
const HOLDERS: [(&str, usize); 12] = [
    ("gateway/meta/src/rocks/database.rs", 2),
    ("node/server/src/durable_file.rs", 3),
    ("node/store/src/appender.rs", 2),
    ("node/store/src/durability.rs", 4),
    ("node/store/src/faults.rs", 3),
    ("node/store/src/index.rs", 1),
    ("node/store/src/open.rs", 1),
    ("node/store/src/recover.rs", 1),
    ("node/store/src/superblock.rs", 2),
    ("node/store/src/vfs.rs", 2),
    ("node/store/src/vfs/real.rs", 4),
    ("node/store/src/writer.rs", 2),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the sources are there") {
        let path = entry.expect("the sources are readable").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && !NOT_SHIPPED.iter().any(|n| name == *n) {
            sources(&path, found);
        } else if name.to_string_lossy().ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The code of the product by path, without comments and tests.
fn code() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above");
    let mut paths = Vec::new();
    for folder in ["gateway", "node"] {
        sources(&root.join(folder), &mut paths);
    }
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("the sources are readable");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let lines: Vec<&str> = code.lines().filter(is_code).collect();
        let path = path.strip_prefix(root).unwrap_or(path);
        (path.display().to_string(), lines.join("\n"))
    };
    paths.iter().map(read).collect()
}

#[test]
fn every_sync_is_a_site_and_every_site_is_listed() {
    let code = code();
    let named: BTreeSet<&str> = code
        .values()
        .flat_map(|text| text.split("\"skip-sync::").skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(named, BTreeSet::from(SITES));
    assert!(SHOWN_HERE.iter().all(|site| SITES.contains(site)));
    let count = |text: &String| CALLS.iter().map(|call| text.matches(call).count()).sum::<usize>();
    let found: BTreeMap<&str, usize> = code
        .iter()
        .map(|(path, text)| (path.as_str(), count(text)))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(found, BTreeMap::from(HOLDERS), "a sync was added or removed: give it a site");
}
