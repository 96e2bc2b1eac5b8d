//! Who may move or delete the shards of a body.
//!
//! Invariants:
//! - while the shards of a body move, nobody deletes shards of it: a copy that no commit names yet
//!   looks like garbage;
//! - while somebody decides what of a body is garbage and deletes it, nothing of it moves: what was
//!   garbage when it was looked at must not be named by the time it is deleted.
//!
//! Both sides give way at once instead of waiting: moves and sweeps are repeated anyway.
//!
//! *Crash consistency:* all of this is memory. After a crash nothing moves, and what had been copied
//! without being committed is garbage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use node_proto::ManifestId;
use parking_lot::Mutex;

/// Bodies that are being moved or looked at. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Moves {
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    moving: BTreeSet<ManifestId>,
    /// With how many look at each.
    judged: BTreeMap<ManifestId, usize>,
}

/// The shards of one body may be moved while this lives.
pub(crate) struct Moving {
    manifest: ManifestId,
    moves: Moves,
}

/// Shards of these bodies may be deleted while this lives.
pub(crate) struct Judged {
    manifests: BTreeSet<ManifestId>,
    moves: Moves,
}

impl Moves {
    /// Claims a body for moving; `None` while it is claimed already, for whatever.
    pub(crate) fn begin(&self, manifest: ManifestId) -> Option<Moving> {
        let mut held = self.held.lock();
        if held.judged.contains_key(&manifest) || !held.moving.insert(manifest) {
            return None;
        }
        Some(Moving { manifest, moves: self.clone() })
    }

    /// Claims those of `manifests` that are not being moved.
    pub(crate) fn judge(&self, manifests: impl IntoIterator<Item = ManifestId>) -> Judged {
        let mut held = self.held.lock();
        let wanted: BTreeSet<ManifestId> = manifests.into_iter().collect();
        let manifests: BTreeSet<ManifestId> = wanted.difference(&held.moving).copied().collect();
        for manifest in &manifests {
            *held.judged.entry(*manifest).or_insert(0) += 1;
        }
        Judged { manifests, moves: self.clone() }
    }

    /// Bodies that are being moved now.
    pub(crate) fn moving(&self) -> BTreeSet<ManifestId> {
        self.held.lock().moving.clone()
    }

    /// Whether a body is being moved now.
    pub(crate) fn is_moving(&self, manifest: ManifestId) -> bool {
        self.held.lock().moving.contains(&manifest)
    }
}

impl Judged {
    /// Whether shards of `manifest` may be deleted.
    pub(crate) fn contains(&self, manifest: ManifestId) -> bool {
        self.manifests.contains(&manifest)
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.moves.held.lock().moving.remove(&self.manifest);
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        let mut held = self.moves.held.lock();
        for manifest in &self.manifests {
            if let Some(count) = held.judged.get_mut(manifest) {
                *count -= 1;
                if *count == 0 {
                    held.judged.remove(manifest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ManifestId = ManifestId(1);
    const TWO: ManifestId = ManifestId(2);

    #[test]
    fn what_moves_is_not_judged_and_what_is_judged_does_not_move() {
        let moves = Moves::default();
        let moving = moves.begin(ONE).unwrap();
        assert!(moves.begin(ONE).is_none());
        let (first, second) = (moves.judge([ONE, TWO]), moves.judge([TWO]));
        assert!(!first.contains(ONE) && first.contains(TWO) && second.contains(TWO));
        assert!(moves.begin(TWO).is_none());
        drop(first);
        assert!(moves.begin(TWO).is_none());
        drop((second, moving));
        assert!(moves.begin(TWO).is_some() && moves.judge([ONE]).contains(ONE));
        assert!(moves.moving().is_empty());
    }
}
