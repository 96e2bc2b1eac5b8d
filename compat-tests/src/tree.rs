//! Directory trees for the clients that copy whole directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::payload;

/// When the files say they were modified. Clients that compare times to whole seconds would send
/// a file again that is as new as its upload.
const MODIFIED: Duration = Duration::from_secs(1_700_000_000);

/// Writes files of many sizes and awkward names below `dir`; `seed` determines their content.
///
/// # Panics
/// When a file cannot be written.
pub fn write(dir: &Path, seed: u64) {
    let files = [
        ("empty", 0),
        ("one byte", 1),
        ("sub/inline.bin", 3000),
        ("sub/packed.bin", 60_000),
        ("sub/deeper/stripe.bin", 900_000),
        ("sub/deeper/ünï cödé + 100%.txt", 12_345),
        ("a&b='quoted' (1).dat", 777),
        ("large.bin", 7 * 1024 * 1024 + 5),
    ];
    for (index, (name, len)) in (0..).zip(files) {
        let path = dir.join(name);
        let parent = path.parent().expect("every file is below the directory");
        fs::create_dir_all(parent).expect("the directory is writable");
        fs::write(&path, payload::bytes(seed + index, len)).expect("the directory is writable");
        let file = fs::File::options().write(true).open(&path).expect("the file is there");
        file.set_modified(UNIX_EPOCH + MODIFIED).expect("a file's time can be set");
    }
}

/// Every file below `dir` by its path relative to it.
///
/// # Panics
/// When the directory cannot be read.
#[must_use]
pub fn read(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(current) = pending.pop() {
        for entry in fs::read_dir(&current).expect("the directory is readable") {
            let path = entry.expect("the directory is readable").path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).expect("the walk stays below its start").to_owned();
            files.insert(name, fs::read(&path).expect("the file is readable"));
        }
    }
    files
}

/// Checks that two trees hold the same files with the same bytes.
///
/// # Panics
/// With the names that differ.
pub fn assert_same(actual: &Path, wanted: &Path) {
    let (actual, wanted) = (read(actual), read(wanted));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&actual), names(&wanted), "the trees hold other files");
    for (name, content) in &wanted {
        assert!(actual[name] == *content, "{} differs", name.display());
    }
}
