//! Listings of a few keys, against a reference that sorts and filters all of them.

use std::collections::BTreeSet;

use arbitrary::{Result, Unstructured};
use gateway_meta::{
    AccountId, Batch, BucketId, MemoryMetaStore, MetaStore as _, Op, Table, TxId, VersionId, key,
    record::{Body, ETag, ObjectKind, ObjectMetadata, ObjectRecord, Record as _, SystemHeaders},
};
use node_proto::UnixMillis;

use crate::{ListEntry, list::Walk, rollup::Selection};

/// Characters of keys: those that listings treat specially, at either end of the order, and of
/// every length in UTF-8.
const ALPHABET: [char; 8] = ['a', 'b', '/', '\0', '\u{1}', 'ÿ', '\u{ffff}', '\u{10ffff}'];
const BUCKET: BucketId = BucketId(u64::MAX);
/// Most keys of a bucket.
const KEYS_MAX: usize = 24;

/// A bucket of a few keys, listed page by page from any marker on.
///
/// The pages together are the sorted keys behind the marker that start with the prefix, rolled up
/// at the delimiter, none missing and none twice; no page is longer than asked for.
pub fn listing(data: &[u8]) {
    // The input ended where a choice was due: there is nothing to list.
    let _ = play(&mut Unstructured::new(data));
}

fn play(input: &mut Unstructured<'_>) -> Result<()> {
    let prefix = text(input, 3)?;
    let delimiter = text(input, 2)?;
    let after = if input.arbitrary()? { Some(text(input, 4)?) } else { None };
    let limit = input.int_in_range(1..=4usize)?;
    let mut keys = BTreeSet::new();
    while !input.is_empty() && keys.len() < KEYS_MAX {
        keys.insert(text(input, 5)?);
    }
    keys.remove("");
    let store = filled(&keys);
    let expected = reference(&keys, &prefix, &delimiter, after.as_deref());
    let mut found = Vec::new();
    let mut after = after;
    loop {
        let selection = Selection { prefix: prefix.clone(), delimiter: delimiter.clone() };
        let walk = Walk { bucket: BUCKET, selection, after: after.clone(), limit };
        let page = walk.page(&*store.snapshot()).expect("the rows are sound");
        assert!(page.entries.len() <= limit);
        found.extend(page.entries.into_iter().map(|entry| match entry {
            ListEntry::Object { key, .. } => (false, key),
            ListEntry::CommonPrefix(common) => (true, common),
        }));
        assert!(found.len() <= expected.len(), "{found:?} instead of {expected:?}");
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);
    Ok(())
}

/// Entries in order, common prefixes marked.
fn reference(
    keys: &BTreeSet<String>,
    prefix: &str,
    delimiter: &str,
    after: Option<&str>,
) -> Vec<(bool, String)> {
    let common = |key: &str| {
        let rest = key.strip_prefix(prefix)?;
        let at = if delimiter.is_empty() { None } else { rest.find(delimiter) };
        Some(key[..prefix.len() + at? + delimiter.len()].to_owned())
    };
    let is_behind = |key: &&String| match after {
        None => true,
        // A marker that is a common prefix stands for all of it.
        Some(after) if common(after).as_deref() == Some(after) => {
            key.as_str() > after && !key.starts_with(after)
        }
        Some(after) => key.as_str() > after,
    };
    let mut entries = Vec::new();
    for key in keys.iter().filter(is_behind).filter(|key| key.starts_with(prefix)) {
        let entry = match common(key) {
            Some(common) => (true, common),
            None => (false, key.clone()),
        };
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries
}

fn filled(keys: &BTreeSet<String>) -> MemoryMetaStore {
    let store = MemoryMetaStore::new();
    let put = |name: &String| Op::Put {
        table: Table::Cur,
        key: key::cur(BUCKET, name.as_bytes()),
        value: record().encode(),
    };
    let ops = keys.iter().map(put).collect();
    let batch = Batch { txid: TxId { incarnation: 1, seq: 1 }, guards: Vec::new(), ops };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime of this thread needs nothing");
    runtime.block_on(store.commit(batch)).expect("the store is in memory");
    store
}

fn record() -> ObjectRecord {
    ObjectRecord {
        version: VersionId::Null,
        seq: 1,
        modified: UnixMillis(0),
        kind: ObjectKind::Object(Box::new(ObjectMetadata {
            len_bytes: 0,
            etag: ETag { md5: [0; 16], part_count: None },
            checksum: None,
            headers: SystemHeaders::default(),
            user_metadata: Vec::new(),
            tags: Vec::new(),
            storage_class: String::new(),
            owner: AccountId(1),
            upload: None,
            body: Body::Empty,
            lock: Default::default(),
            encryption: Default::default(),
        })),
    }
}

fn text(input: &mut Unstructured<'_>, len_max: usize) -> Result<String> {
    let len = input.int_in_range(0..=len_max)?;
    (0..len).map(|_| Ok(*input.choose(&ALPHABET)?)).collect()
}
