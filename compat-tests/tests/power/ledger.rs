//! What every key may hold.
//!
//! - An acknowledged write leaves one possible content; a write without an answer adds one.
//! - Reading a key settles which it was, and it stays that.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use compat_tests::payload;
use compat_tests::wire::{Wire, percent_encode};

/// The content of an object: generated from `seed`, `len` bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) len: usize,
}

impl Content {
    pub(crate) fn bytes(self) -> Bytes {
        payload::bytes(self.seed, self.len)
    }
}

/// What one key may hold; `None` is no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Possible(Vec<Option<Content>>);

impl Default for Possible {
    fn default() -> Self {
        Self(vec![None])
    }
}

impl Possible {
    /// A write of `content` was acknowledged.
    pub(crate) fn acknowledged(&mut self, content: Option<Content>) {
        self.0 = vec![content];
    }

    /// A write of `content` was sent and may or may not have happened.
    pub(crate) fn unanswered(&mut self, content: Option<Content>) {
        self.0.push(content);
    }

    /// Settles on the content that was read; says whether it was possible.
    pub(crate) fn settle(&mut self, read: Option<&Bytes>) -> bool {
        let is_what_was_read = |possible: &Option<Content>| match (possible, read) {
            (None, None) => true,
            (Some(content), Some(body)) => content.len == body.len() && content.bytes() == *body,
            _ => false,
        };
        let found = self.0.iter().copied().find(is_what_was_read);
        if let Some(found) = found {
            self.0 = vec![found];
        }
        found.is_some()
    }

    fn len(&self) -> Option<usize> {
        match self.0[..] {
            [content] => content.map(|content| content.len),
            _ => None,
        }
    }
}

/// All keys.
pub(crate) type Ledger = BTreeMap<String, Possible>;

/// Reads every key back, compares byte for byte, and compares the listing.
///
/// # Errors
/// The first thing that is not as it was acknowledged.
pub(crate) fn verify(ledger: &mut Ledger, wire: &Wire, bucket: &str) -> Result<(), String> {
    for (key, possible) in &mut *ledger {
        let answer = wire.get(&format!("/{bucket}/{key}")).try_send()?;
        let read = match answer.status {
            200 => Some(&answer.body),
            404 if answer.element("Code").as_deref() == Some("NoSuchKey") => None,
            status => return Err(format!("GET {key} answers {status}")),
        };
        let len = read.map(Bytes::len);
        if !possible.settle(read) {
            return Err(format!("{key} holds {len:?} bytes; possible: {possible:?}"));
        }
    }
    let present = |(key, possible): (&String, &Possible)| {
        possible.len().map(|len| (key.clone(), len.to_string()))
    };
    let wanted: BTreeSet<(String, String)> = ledger.iter().filter_map(present).collect();
    let found = list(wire, bucket)?;
    if found == wanted {
        return Ok(());
    }
    Err(format!("the listing shows {found:?} instead of {wanted:?}"))
}

/// Every key of the bucket with its length.
fn list(wire: &Wire, bucket: &str) -> Result<BTreeSet<(String, String)>, String> {
    let mut found = BTreeSet::new();
    let mut query = "?list-type=2&max-keys=17".to_owned();
    loop {
        let page = wire.get(&format!("/{bucket}{query}")).try_send()?;
        if page.status != 200 {
            return Err(format!("listing answers {}", page.status));
        }
        found.extend(page.elements("Key").into_iter().zip(page.elements("Size")));
        match page.element("NextContinuationToken") {
            Some(token) => {
                let token = percent_encode(&token);
                query = format!("?list-type=2&max-keys=17&continuation-token={token}");
            }
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_settles_a_key() {
        let (old, new) = (Content { seed: 1, len: 1000 }, Content { seed: 2, len: 2000 });
        let mut possible = Possible::default();
        possible.acknowledged(Some(old));
        possible.unanswered(Some(new));
        assert!(!possible.clone().settle(None), "an acknowledged object is gone");
        assert!(!possible.clone().settle(Some(&new.bytes().slice(..1999))), "cut off");
        let mut changed = old.bytes().to_vec();
        changed[999] ^= 1;
        assert!(!possible.clone().settle(Some(&changed.into())), "one byte changed");
        assert!(possible.clone().settle(Some(&old.bytes())));
        assert!(possible.settle(Some(&new.bytes())));
        assert!(!possible.settle(Some(&old.bytes())), "was settled otherwise");
    }
}
