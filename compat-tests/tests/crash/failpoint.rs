//! The failpoints the server is killed at.
//!
//! - The list is complete: a test compares it with the sources, so a failpoint that is added there
//!   and not driven here fails.
//! - Every point is reached, or the crash test fails.

use std::time::Duration;

/// A place in the server where a kill can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failpoint {
    pub(crate) name: &'static str,
    /// How many times at most it is passed before the kill, at random.
    pub(crate) passes_max: u64,
    /// What has to be there for it to be reached.
    pub(crate) needs: Needs,
}

/// What reaches a failpoint beyond clients at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// A drive that lost everything.
    EmptyDrive,
    /// Sealed segments with dead shards, which restarts and overwrites leave.
    DeadSegments,
}

/// How long clients work before a failpoint counts as out of reach. Chosen: reclamation waits for
/// two seconds, and compaction for a segment to be dead enough.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

const fn at(name: &'static str, passes_max: u64) -> Failpoint {
    Failpoint { name, passes_max, needs: Needs::Nothing }
}

const fn on_empty_drive(name: &'static str, passes_max: u64) -> Failpoint {
    Failpoint { name, passes_max, needs: Needs::EmptyDrive }
}

const fn on_dead_segments(name: &'static str, passes_max: u64) -> Failpoint {
    Failpoint { name, passes_max, needs: Needs::DeadSegments }
}

/// All of them.
pub(crate) const FAILPOINTS: &[Failpoint] = &[
    at("after-first-shard", 150),
    at("before-lease-commit", 0),
    at("put-before-commit", 60),
    at("put-after-commit", 60),
    at("delete-before-commit", 10),
    at("delete-after-commit", 10),
    at("part-before-commit", 6),
    at("part-after-commit", 6),
    at("complete-before-commit", 2),
    at("complete-after-commit", 2),
    at("abort-before-commit", 1),
    at("abort-after-commit", 1),
    at("mid-reclaim", 1),
    at("mid-discard", 2),
    at("mid-sweep", 2),
    on_empty_drive("mid-repair", 8),
    on_empty_drive("mid-rebuild", 0),
    // The first of these are passed while the server starts.
    at("meta-before-write", 150),
    at("meta-after-write-before-ack", 150),
    at("node-store::before-append", 300),
    at("node-store::after-append-before-sync", 300),
    at("node-store::after-sync-before-index", 300),
    at("node-store::after-superblock-temporary", 11),
    on_dead_segments("node-store::mid-compaction", 3),
    on_dead_segments("node-store::before-unlink", 2),
    on_dead_segments("node-store::after-unlink", 2),
];

impl Failpoint {
    /// The value of `FAILPOINTS` that kills the server when it gets here after `passes` times.
    pub(crate) fn setting(&self, passes: u64) -> String {
        match passes {
            0 => format!("{}=panic(kill)", self.name),
            _ => format!("{}={passes}*off->panic(kill)", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    const MARK: &str = "fail_point!(\"";

    /// Points that leave a sync out instead: a kill does not show that, only a loss of power does.
    const LEFT_OUT: &str = "skip-sync::";

    /// Points that a server with a layout of its own that never changes does not reach. Tests with
    /// simulated devices stop moves at any point.
    const MOVES: [&str; 2] = ["relocate-before-commit", "relocate-after-commit"];

    fn collect(dir: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).expect("the sources are readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, names);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let named = text.split(MARK).skip(1).filter_map(|rest| rest.split('"').next());
                names.extend(named.filter(|name| !name.starts_with(LEFT_OUT)).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_failpoint_of_the_sources_is_driven() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut names = BTreeSet::new();
        for source in ["node/store/src", "gateway/meta/src", "gateway/object/src"] {
            collect(&root.join(source), &mut names);
        }
        let driven = FAILPOINTS.iter().map(|failpoint| failpoint.name).chain(MOVES);
        assert_eq!(driven.map(str::to_owned).collect::<BTreeSet<_>>(), names);
    }
}
