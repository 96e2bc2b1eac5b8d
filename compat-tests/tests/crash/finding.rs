//! What the server did that it must not do.

use parking_lot::Mutex;

/// How many findings are printed. Chosen: enough to see a pattern.
const PRINTED_MAX: usize = 20;

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An acknowledged write is not there.
    Lost,
    /// A wrong byte, or an answer that cannot be right.
    Wrong,
    /// Something shows a write that other requests, or its own bytes, do not.
    HalfVisible,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<Vec<(Kind, String)>>);

impl Findings {
    pub(crate) fn add(&self, kind: Kind, what: String) {
        let mut findings = self.0.lock();
        if findings.len() < PRINTED_MAX {
            eprintln!("{kind:?}: {what}");
        }
        findings.push((kind, what));
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.0.lock().iter().filter(|(found, _)| *found == kind).count()
    }

    /// The first of them, a line each; empty when there are none.
    pub(crate) fn first(&self) -> Vec<String> {
        let findings = self.0.lock();
        let line = |(kind, what): &(Kind, String)| format!("{kind:?}: {what}");
        findings.iter().take(PRINTED_MAX).map(line).collect()
    }
}
