//! What one bucket must do, in the simplest way that can be written down.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use crate::harness::{PART_MIN, hex};

/// An object as the model has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: String,
    pub(crate) tags: Vec<(String, String)>,
}

/// An upload under way.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) parts: BTreeMap<u16, Vec<u8>>,
}

/// A condition on the live object, by what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: *`
    Present,
    /// `If-Match` with the ETag of the live object, or any if there is none.
    MatchesLive,
    /// `If-Match` with an ETag that no object has.
    MatchesOther,
    /// `If-None-Match` with the ETag of the live object.
    DiffersFromLive,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    PreconditionFailed,
    NoSuchKey,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Object { key: String, etag: String },
    CommonPrefix(String),
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Object { key, .. } => key,
            Self::CommonPrefix(prefix) => prefix,
        }
    }
}

/// A bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Object>,
}

impl Bucket {
    /// What a write to `key` under `condition` must answer.
    pub(crate) fn judge(&self, key: &str, condition: Condition) -> Verdict {
        match (condition, self.objects.contains_key(key)) {
            (Condition::None, _)
            | (Condition::Absent | Condition::DiffersFromLive, false)
            | (Condition::Present | Condition::MatchesLive, true) => Verdict::Done,
            (Condition::Absent | Condition::DiffersFromLive | Condition::MatchesOther, true) => {
                Verdict::PreconditionFailed
            }
            (Condition::Present | Condition::MatchesLive | Condition::MatchesOther, false) => {
                Verdict::NoSuchKey
            }
        }
    }

    pub(crate) fn put(&mut self, key: &str, bytes: &[u8], condition: Condition) -> Verdict {
        let verdict = self.judge(key, condition);
        if verdict == Verdict::Done {
            let etag = hex(&Md5::digest(bytes));
            let object = Object { bytes: bytes.to_vec(), etag, tags: Vec::new() };
            self.objects.insert(key.to_owned(), object);
        }
        verdict
    }

    /// Makes an object of the parts with the given numbers. `None` when they make none.
    pub(crate) fn complete(
        &mut self,
        upload: &Upload,
        numbers: &[u16],
        condition: Condition,
    ) -> Option<Verdict> {
        let parts: Option<Vec<_>> = numbers.iter().map(|number| upload.parts.get(number)).collect();
        let (last, others) = parts.as_ref()?.split_last()?;
        if others.iter().any(|part| (part.len() as u64) < PART_MIN) {
            return None;
        }
        let verdict = self.judge(&upload.key, condition);
        if verdict == Verdict::Done {
            let all = others.iter().chain([last]);
            let md5s: Vec<u8> = all.clone().flat_map(Md5::digest).collect();
            let etag = format!("{}-{}", hex(&Md5::digest(md5s)), numbers.len());
            let bytes = all.flat_map(|part| part.iter().copied()).collect();
            let object = Object { bytes, etag, tags: Vec::new() };
            self.objects.insert(upload.key.clone(), object);
        }
        Some(verdict)
    }

    /// A page, and whether entries follow it.
    pub(crate) fn list(
        &self,
        prefix: &str,
        delimiter: &str,
        after: Option<&str>,
        limit: usize,
    ) -> (Vec<Entry>, bool) {
        let mut entries: Vec<Entry> = Vec::new();
        for (key, object) in &self.objects {
            if !key.starts_with(prefix) || after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            let entry = match rolled_up(key, prefix, delimiter) {
                Some(common) => Entry::CommonPrefix(common),
                None => Entry::Object { key: key.clone(), etag: object.etag.clone() },
            };
            let hidden = matches!(&entry, Entry::CommonPrefix(common) if Some(&**common) == after);
            if !hidden && entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        let follows = limit > 0 && entries.len() > limit;
        entries.truncate(limit);
        (entries, follows)
    }
}

/// The name by which the next page is asked for.
pub(crate) fn marker(entries: &[Entry]) -> Option<String> {
    entries.last().map(|entry| entry.name().to_owned())
}

fn rolled_up(key: &str, prefix: &str, delimiter: &str) -> Option<String> {
    let rest = &key[prefix.len()..];
    let (head, _) = rest.split_once(delimiter).filter(|_| !delimiter.is_empty())?;
    Some(format!("{prefix}{head}{delimiter}"))
}
