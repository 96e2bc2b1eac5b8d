//! Replays the inputs kept for a fuzz target, so that what fuzzing found stays tested without it.
//!
//! A crate includes this file into the tests of its `fuzzing` module. Inputs are read from the
//! checkout, so a new one takes effect without being listed anywhere.

use std::path::Path;

/// Calls `run` with every input kept for `target`.
///
/// # Panics
/// When there is none: the target was renamed, or its corpus is missing.
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let corpus =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat-tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&corpus)
        .unwrap_or_else(|error| panic!("no corpus {}: {error}", corpus.display()));
    let mut count = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        // Shown when the input makes `run` panic.
        println!("{}", path.display());
        run(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "the corpus {} is empty", corpus.display());
}
