//! What every key may hold, and which uploads may be under way.
//!
//! - A key that is not in the ledger must not exist.
//! - An acknowledged write leaves one possible content. A write without an answer adds one; reading
//!   the key later settles which it was.
//! - Each worker has a share of its own, so what a key may hold follows from requests in order.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::content::Content;
use crate::finding::Kind;

/// Earlier contents of a key that are remembered, to tell a lost write from wrong bytes. Chosen.
const FORMER_LEN_MAX: usize = 8;

/// What was read of a key.
#[derive(Debug, Clone)]
pub(crate) enum Read {
    Absent,
    Object {
        body: Bytes,
        etag: String,
    },
    /// The server answers something else than the object or its absence.
    Unreadable {
        answer: String,
    },
}

/// What one key may hold; `None` is no object.
#[derive(Debug, Clone)]
pub(crate) struct Possible {
    now: Vec<Option<Content>>,
    /// What was replaced, the latest last.
    former: VecDeque<Content>,
}

impl Possible {
    /// A key that was never written.
    pub(crate) fn absent() -> Self {
        Self { now: vec![None], former: VecDeque::new() }
    }

    /// A write of `content` was acknowledged.
    pub(crate) fn acknowledged(&mut self, content: Option<Content>) {
        let replaced = std::mem::replace(&mut self.now, vec![content]);
        self.former.extend(replaced.into_iter().flatten());
        while self.former.len() > FORMER_LEN_MAX {
            self.former.pop_front();
        }
    }

    /// A write of `content` was sent and not answered.
    pub(crate) fn unanswered(&mut self, content: Option<Content>) {
        if !self.is_unknown() {
            self.now.push(content);
        }
    }

    /// After a finding anything may be there, until the next acknowledged write.
    pub(crate) fn is_unknown(&self) -> bool {
        self.now.is_empty()
    }

    /// The content, when there is only one possibility.
    pub(crate) fn certain(&self) -> Option<Content> {
        match self.now[..] {
            [content] => content,
            _ => None,
        }
    }

    /// Whether there is exactly one possibility.
    pub(crate) fn is_certain(&self) -> bool {
        self.now.len() == 1
    }

    /// The contents it may have.
    pub(crate) fn contents(&self) -> impl Iterator<Item = Content> {
        self.now.iter().flatten().copied()
    }

    /// The answer to a request says whether a possibility was the one: `keep` tells which remain.
    /// `None` when none would, which cannot be.
    #[must_use]
    pub(crate) fn learn(&mut self, keep: impl Fn(Option<Content>) -> bool) -> Option<()> {
        if self.is_unknown() {
            return Some(());
        }
        self.now.retain(|possible| keep(*possible));
        (!self.now.is_empty()).then_some(())
    }

    /// Settles on what was read, or says what is wrong with it.
    pub(crate) fn settle(&mut self, read: &Read) -> Result<(), (Kind, String)> {
        if self.is_unknown() {
            return Ok(());
        }
        let found = self.now.iter().copied().find(|possible| is_read(*possible, read));
        let verdict = match (found, read) {
            (Some(Some(content)), Read::Object { etag, .. }) if content.etag() != *etag => {
                Err((Kind::HalfVisible, format!("the ETag {etag} is another write's")))
            }
            (Some(_), _) => Ok(()),
            (None, read) => Err(self.explain(read)),
        };
        self.now = if verdict.is_ok() { found.into_iter().collect() } else { Vec::new() };
        verdict
    }

    fn explain(&self, read: &Read) -> (Kind, String) {
        let may_be = || format!("possible: {:?}", self.now);
        match read {
            Read::Absent => (Kind::Lost, format!("is not there; {}", may_be())),
            Read::Unreadable { answer } => (Kind::HalfVisible, format!("answers {answer}")),
            Read::Object { body, .. } => {
                let known = || self.now.iter().flatten().chain(&self.former);
                let (kind, what) = if self.former.iter().any(|old| is_read(Some(*old), read)) {
                    (Kind::Lost, "holds what was replaced")
                } else if known().any(|content| content.bytes().starts_with(body)) {
                    (Kind::HalfVisible, "holds the beginning of a write")
                } else {
                    (Kind::Wrong, "holds bytes that nobody wrote")
                };
                (kind, format!("{what}, {} bytes; {}", body.len(), may_be()))
            }
        }
    }
}

fn is_read(possible: Option<Content>, read: &Read) -> bool {
    match (possible, read) {
        (None, Read::Absent) => true,
        (Some(content), Read::Object { body, .. }) => {
            content.len == body.len() && content.bytes() == *body
        }
        _ => false,
    }
}

/// A key of the ledger.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) possible: Possible,
    /// Written since it was last verified.
    pub(crate) touched: bool,
    /// An unanswered completion names it: it stays as it is until that is settled.
    pub(crate) frozen: bool,
}

/// An upload in parts that goes on over kills.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) content: Content,
    /// The ETags of acknowledged parts.
    pub(crate) parts: Vec<Option<String>>,
}

/// The request that ends an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Completion,
    Abortion,
}

/// What one worker owns.
#[derive(Debug, Default)]
pub(crate) struct Share {
    pub(crate) keys: BTreeMap<String, Entry>,
    /// Uploads that are under way.
    pub(crate) uploads: Vec<Upload>,
    /// Uploads whose end was not answered.
    pub(crate) ending: Vec<(Upload, Ending)>,
    /// Uploads that are over, since the last verification.
    pub(crate) ended: Vec<String>,
    /// Uploads that may have begun without the client learning their ids.
    pub(crate) begun_unanswered: u64,
}

/// Everything the server was asked to keep.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) shares: Vec<Share>,
}

impl Share {
    fn new(worker: usize, keys: usize) -> Self {
        let entry = |number: usize| {
            let possible = Possible::absent();
            (format!("w{worker}/k{number}"), Entry { possible, touched: false, frozen: false })
        };
        Self { keys: (0..keys).map(entry).collect(), ..Self::default() }
    }

    /// The entry of a key of this share.
    ///
    /// # Panics
    /// When it has no such key.
    pub(crate) fn entry(&mut self, key: &str) -> &mut Entry {
        self.keys.get_mut(key).expect("a worker writes to its own keys")
    }

    /// A write of `content` was acknowledged.
    pub(crate) fn acknowledged(&mut self, key: &str, content: Option<Content>) {
        let entry = self.entry(key);
        entry.touched = true;
        entry.possible.acknowledged(content);
    }

    /// A write of `content` was sent and not answered.
    pub(crate) fn unanswered(&mut self, key: &str, content: Option<Content>) {
        let entry = self.entry(key);
        entry.touched = true;
        entry.possible.unanswered(content);
    }
}

impl Ledger {
    /// An empty ledger for `workers` with `keys` each.
    pub(crate) fn new(workers: usize, keys: usize) -> Self {
        Self { shares: (0..workers).map(|worker| Share::new(worker, keys)).collect() }
    }

    /// The objects that are there for certain, by key.
    pub(crate) fn objects(&self) -> BTreeMap<String, Content> {
        let keys = self.shares.iter().flat_map(|share| &share.keys);
        keys.filter_map(|(key, entry)| Some((key.clone(), entry.possible.certain()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old() -> Content {
        Content::new(1, 1000)
    }

    fn new() -> Content {
        Content::new(2, 2000)
    }

    fn overwritten() -> Possible {
        let mut possible = Possible::absent();
        possible.acknowledged(Some(old()));
        possible.unanswered(Some(new()));
        possible
    }

    fn object(content: Content) -> Read {
        Read::Object { body: content.bytes(), etag: content.etag() }
    }

    fn kind(mut possible: Possible, read: &Read) -> Option<Kind> {
        possible.settle(read).err().map(|(kind, _)| kind)
    }

    #[test]
    fn an_unanswered_write_may_have_happened_or_not() {
        for content in [old(), new()] {
            let mut possible = overwritten();
            assert!(!possible.is_certain());
            assert_eq!(possible.settle(&object(content)), Ok(()));
            assert_eq!(possible.certain(), Some(content));
        }
    }

    #[test]
    fn a_part_of_a_content_is_half_visible() {
        let read = Read::Object { body: new().bytes().slice(..1999), etag: new().etag() };
        assert_eq!(kind(overwritten(), &read), Some(Kind::HalfVisible));
    }

    #[test]
    fn bytes_of_one_write_under_the_etag_of_another_are_half_visible() {
        let read = Read::Object { body: new().bytes(), etag: old().etag() };
        assert_eq!(kind(overwritten(), &read), Some(Kind::HalfVisible));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_half_visible() {
        let read = Read::Unreadable { answer: "500".to_owned() };
        assert_eq!(kind(overwritten(), &read), Some(Kind::HalfVisible));
    }

    #[test]
    fn one_changed_byte_is_wrong() {
        let mut body = old().bytes().to_vec();
        body[999] ^= 1;
        let read = Read::Object { body: body.into(), etag: old().etag() };
        assert_eq!(kind(overwritten(), &read), Some(Kind::Wrong));
    }

    #[test]
    fn a_missing_object_is_lost() {
        assert_eq!(kind(overwritten(), &Read::Absent), Some(Kind::Lost));
    }

    #[test]
    fn an_object_that_is_back_is_a_lost_write() {
        let mut possible = overwritten();
        possible.acknowledged(None);
        assert_eq!(kind(possible, &object(old())), Some(Kind::Lost));
    }

    #[test]
    fn refused_conditions_tell_what_is_there() {
        let mut possible = overwritten();
        assert_eq!(possible.learn(|content| content != Some(old())), Some(()));
        assert_eq!(possible.certain(), Some(new()));
        assert_eq!(possible.learn(|content| content.is_none()), None);
    }
}
