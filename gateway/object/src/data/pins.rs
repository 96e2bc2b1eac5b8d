//! Bodies that are being read, which reclamation leaves alone.
//!
//! Invariants:
//! - a body is pinned from before its rows are looked up until its reader is dropped;
//! - pins live in memory: a crash ends all readers.

use std::collections::HashMap;
use std::sync::Arc;

use node_proto::ManifestId;
use parking_lot::Mutex;

/// How many readers each body has.
#[derive(Clone, Default)]
pub(crate) struct Pins {
    readers: Arc<Mutex<HashMap<ManifestId, usize>>>,
}

/// One reader of a body.
pub(crate) struct Pin {
    manifest: ManifestId,
    pins: Pins,
}

impl Pins {
    pub(crate) fn pin(&self, manifest: ManifestId) -> Pin {
        *self.readers.lock().entry(manifest).or_insert(0) += 1;
        Pin { manifest, pins: self.clone() }
    }

    pub(crate) fn is_pinned(&self, manifest: ManifestId) -> bool {
        self.readers.lock().contains_key(&manifest)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut readers = self.pins.readers.lock();
        if let Some(count) = readers.get_mut(&self.manifest) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.manifest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_pinned_until_its_last_reader_is_gone() {
        let pins = Pins::default();
        let (first, second) = (pins.pin(ManifestId(1)), pins.pin(ManifestId(1)));
        assert!(pins.is_pinned(ManifestId(1)));
        assert!(!pins.is_pinned(ManifestId(2)));
        drop(first);
        assert!(pins.is_pinned(ManifestId(1)));
        drop(second);
        assert!(!pins.is_pinned(ManifestId(1)));
    }
}
