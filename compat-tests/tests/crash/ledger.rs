//! What every key may hold.
//!
//! - A key that is not in the ledger must not exist.
//! - An acknowledged write leaves one possible content. A write without an answer adds one; reading
//!   the key later settles which it was.

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

impl Possible {
    /// A key that was never written.
    pub(crate) fn absent() -> Self {
        Self(vec![None])
    }

    /// A write of `content` was acknowledged.
    pub(crate) fn acknowledged(&mut self, content: Option<Content>) {
        self.0 = vec![content];
    }

    /// A write of `content` was sent and not answered.
    pub(crate) fn unanswered(&mut self, content: Option<Content>) {
        self.0.push(content);
    }

    /// The content, when there is only one possibility.
    pub(crate) fn certain(&self) -> Option<Content> {
        match self.0[..] {
            [content] => content,
            _ => None,
        }
    }

    /// Settles on the content that `read` is; `read` is `None` when there is no object.
    pub(crate) fn settle(&mut self, key: &str, read: Option<&Bytes>) {
        let is_what_was_read = |possible: &Option<Content>| match (possible, read) {
            (None, None) => true,
            (Some(content), Some(body)) => content.len == body.len() && content.bytes() == *body,
            _ => false,
        };
        let Some(found) = self.0.iter().copied().find(is_what_was_read) else {
            let len = read.map(Bytes::len);
            panic!("{key} holds {len:?} bytes that were never all of it; possible: {:?}", self.0);
        };
        self.0 = vec![found];
    }
}

/// All keys of the test.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    keys: BTreeMap<String, Possible>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the keys of one worker out of the ledger, so that it can write to them.
    pub(crate) fn take(&mut self, keys: &[String]) -> BTreeMap<String, Possible> {
        let taken = |key: &String| {
            let possible = self.keys.remove(key).unwrap_or_else(Possible::absent);
            (key.clone(), possible)
        };
        keys.iter().map(taken).collect()
    }

    /// Puts the keys of a worker back.
    pub(crate) fn give_back(&mut self, keys: BTreeMap<String, Possible>) {
        self.keys.extend(keys);
    }

    /// Reads every key back and compares it byte for byte, then compares the listing.
    ///
    /// # Panics
    /// When a key holds what it cannot hold, or the listing shows other keys than reading does.
    pub(crate) fn verify(&mut self, wire: &Wire, bucket: &str) {
        for (key, possible) in &mut self.keys {
            let answer = wire.get(&format!("/{bucket}/{key}")).send();
            if answer.status == 404 {
                answer.expect_error(404, "NoSuchKey");
                possible.settle(key, None);
            } else {
                answer.expect_status(200);
                possible.settle(key, Some(&answer.body));
            }
        }
        let present = |(key, possible): (&String, &Possible)| {
            possible.certain().map(|content| (key.clone(), content.len.to_string()))
        };
        let wanted: BTreeSet<(String, String)> = self.keys.iter().filter_map(present).collect();
        assert_eq!(list(wire, bucket), wanted, "the listing differs from what can be read");
    }
}

/// Every key of the bucket with its length.
fn list(wire: &Wire, bucket: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut query = "?list-type=2&max-keys=17".to_owned();
    loop {
        let page = wire.get(&format!("/{bucket}{query}")).send().status_is(200);
        found.extend(page.elements("Key").into_iter().zip(page.elements("Size")));
        match page.element("NextContinuationToken") {
            Some(token) => {
                let token = percent_encode(&token);
                query = format!("?list-type=2&max-keys=17&continuation-token={token}");
            }
            None => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Content = Content { seed: 1, len: 1000 };
    const NEW: Content = Content { seed: 2, len: 2000 };

    fn overwritten() -> Possible {
        let mut possible = Possible::absent();
        possible.acknowledged(Some(OLD));
        possible.unanswered(Some(NEW));
        possible
    }

    #[test]
    fn an_unanswered_write_may_have_happened_or_not() {
        for content in [OLD, NEW] {
            let mut possible = overwritten();
            assert_eq!(possible.certain(), None);
            possible.settle("k", Some(&content.bytes()));
            assert_eq!(possible.certain(), Some(content));
        }
    }

    #[test]
    #[should_panic(expected = "never all of it")]
    fn a_part_of_a_content_is_no_content() {
        overwritten().settle("k", Some(&NEW.bytes().slice(..1999)));
    }

    #[test]
    #[should_panic(expected = "never all of it")]
    fn one_changed_byte_is_another_content() {
        let mut body = OLD.bytes().to_vec();
        body[999] ^= 1;
        overwritten().settle("k", Some(&body.into()));
    }

    #[test]
    #[should_panic(expected = "never all of it")]
    fn a_lost_object_is_found_out() {
        overwritten().settle("k", None);
    }
}
