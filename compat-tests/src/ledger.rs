//! What every key may hold.
//!
//! - A key that is not in the ledger must not exist.
//! - An acknowledged write leaves one possible content. A refused one adds its own, because the
//!   server may have done it all the same; reading the key later settles which it was.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::{Response, Wire, percent_encode};
use bytes::Bytes;

/// What one key may hold; `None` is no object.
#[derive(Debug, Clone)]
pub struct Possible(Vec<Option<Bytes>>);

impl Possible {
    /// A key that was never written.
    #[must_use]
    pub fn absent() -> Self {
        Self(vec![None])
    }

    /// A write of `content` was acknowledged.
    pub fn acknowledged(&mut self, content: Option<Bytes>) {
        self.0 = vec![content];
    }

    /// A write of `content` was refused.
    pub fn refused(&mut self, content: Option<Bytes>) {
        self.0.push(content);
    }

    /// The content, when there is only one possibility.
    #[must_use]
    pub fn certain(&self) -> Option<&Bytes> {
        match &self.0[..] {
            [content] => content.as_ref(),
            _ => None,
        }
    }

    /// Settles on the content that `read` is; `None` when there is no object.
    ///
    /// # Panics
    /// When `read` is none of them.
    pub fn settle(&mut self, key: &str, read: Option<&Bytes>) {
        let Some(found) = self.0.iter().find(|possible| possible.as_ref() == read) else {
            let (read, possible) = (read.map(Bytes::len), self.lengths());
            panic!("{key} holds {read:?} bytes that were never all of it; possible: {possible:?}");
        };
        self.0 = vec![found.clone()];
    }

    fn lengths(&self) -> Vec<Option<usize>> {
        self.0.iter().map(|content| content.as_ref().map(Bytes::len)).collect()
    }
}

/// All keys of a bucket.
#[derive(Debug, Clone)]
pub struct Ledger {
    bucket: String,
    keys: BTreeMap<String, Possible>,
}

impl Ledger {
    /// A bucket without objects.
    #[must_use]
    pub fn new(bucket: String) -> Self {
        Self { bucket, keys: BTreeMap::new() }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The request target of a key.
    #[must_use]
    pub fn target(&self, key: &str) -> String {
        format!("/{}/{key}", self.bucket)
    }

    /// Every key and its content, of those that certainly exist.
    pub fn present(&self) -> impl Iterator<Item = (&String, &Bytes)> {
        self.keys.iter().filter_map(|(key, possible)| Some((key, possible.certain()?)))
    }

    /// What a key may hold, to note what came of a write.
    pub fn key(&mut self, key: &str) -> &mut Possible {
        self.keys.entry(key.to_owned()).or_insert_with(Possible::absent)
    }

    /// Takes the keys of one worker out of the ledger, so that it can write to them.
    pub fn take(&mut self, keys: &[String]) -> BTreeMap<String, Possible> {
        let taken = |key: &String| {
            let possible = self.keys.remove(key).unwrap_or_else(Possible::absent);
            (key.clone(), possible)
        };
        keys.iter().map(taken).collect()
    }

    /// Puts the keys of a worker back.
    pub fn give_back(&mut self, keys: BTreeMap<String, Possible>) {
        self.keys.extend(keys);
    }

    /// Stores `body` under `key`.
    ///
    /// # Panics
    /// When the server does not.
    pub fn put(&mut self, wire: &Wire, key: &str, body: Bytes) {
        wire.put(&self.target(key)).body(body.clone()).send().expect_status(200);
        self.key(key).acknowledged(Some(body));
    }

    /// Reads every key back and compares it byte for byte, then compares the listing.
    ///
    /// # Panics
    /// When a key holds what it cannot hold, or the listing shows other keys than reading does.
    pub fn verify(&mut self, wire: &Wire) {
        let unreadable = self.read(wire, |_, answer| {
            panic!("an object cannot be read: {answer:?}");
        });
        assert_eq!(unreadable, 0);
        let present = self.present().map(|(key, body)| (key.clone(), body.len().to_string()));
        let wanted: BTreeSet<(String, String)> = present.collect();
        assert_eq!(list(wire, &self.bucket), wanted, "the listing differs from what can be read");
    }

    /// Reads every key back and hands the answers that are neither its content nor `NoSuchKey` for
    /// a key that may be absent to `refused`; returns how many those were.
    ///
    /// # Panics
    /// When a key holds what it cannot hold.
    pub fn read(&mut self, wire: &Wire, mut refused: impl FnMut(&str, &Response)) -> u64 {
        let mut unreadable = 0;
        for (key, possible) in &mut self.keys {
            let answer = wire.get(&format!("/{}/{key}", self.bucket)).send();
            match answer.status {
                404 => {
                    answer.expect_error(404, "NoSuchKey");
                    possible.settle(key, None);
                }
                200 => possible.settle(key, Some(&answer.body)),
                _ => {
                    unreadable += 1;
                    refused(key, &answer);
                }
            }
        }
        unreadable
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

    fn overwritten() -> Possible {
        let mut possible = Possible::absent();
        possible.acknowledged(Some(Bytes::from_static(b"old")));
        possible.refused(Some(Bytes::from_static(b"newer")));
        possible
    }

    #[test]
    fn a_refused_write_may_have_happened_or_not() {
        for content in ["old", "newer"] {
            let content = Bytes::from_static(content.as_bytes());
            let mut possible = overwritten();
            assert_eq!(possible.certain(), None);
            possible.settle("k", Some(&content));
            assert_eq!(possible.certain(), Some(&content));
        }
    }

    #[test]
    #[should_panic(expected = "never all of it")]
    fn one_changed_byte_is_another_content() {
        overwritten().settle("k", Some(&Bytes::from_static(b"newes")));
    }

    #[test]
    #[should_panic(expected = "never all of it")]
    fn a_lost_object_is_found_out() {
        overwritten().settle("k", None);
    }
}
