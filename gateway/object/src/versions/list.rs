//! Listing versions: `cur` and `ver` of one snapshot, merged.
//!
//! A key's `cur` row sorts right before its `ver` rows, because its row key is their prefix. So the
//! merge of both tables by row key is the order of the listing, and a page costs the rows that it
//! returns, one seek per common prefix, and one row more.

use gateway_meta::{
    BucketId, Cursor, KeyRange, MetaSnapshot, Row, Table, VersionId, key,
    record::{ObjectKind, ObjectRecord},
};

use super::edit::{null_sequence, sequence};
use crate::{
    Fault, ListError, ListVersions, ObjectInfo, VersionEntry, VersionMarker, VersionPage,
    engine::{Engine, decode, read_fault},
    limits::PAGE_ENTRIES_MAX,
    list::object_key,
    rollup::{Selection, behind_prefix},
};

impl Engine {
    /// Lists the versions of objects.
    pub(crate) async fn list_versions(
        &self,
        request: ListVersions,
    ) -> Result<VersionPage, ListError> {
        let bucket = self
            .find_bucket(&request.bucket)?
            .ok_or_else(|| ListError::NoSuchBucket { bucket: request.bucket.clone() })?;
        if request.limit == 0 {
            return Ok(VersionPage::default());
        }
        let walk = Walk {
            bucket: bucket.id,
            selection: Selection { prefix: request.prefix, delimiter: request.delimiter },
            after: request.after,
            limit: request.limit.min(PAGE_ENTRIES_MAX),
        };
        Ok(self.on_snapshot(move |snapshot| walk.page(snapshot)).await?)
    }
}

/// One page of a listing, to be read from a snapshot.
pub(crate) struct Walk {
    pub(crate) bucket: BucketId,
    pub(crate) selection: Selection,
    pub(crate) after: Option<VersionMarker>,
    pub(crate) limit: usize,
}

/// Where a walk starts in both tables.
struct Start {
    cur: Vec<u8>,
    ver: Vec<u8>,
    /// The `cur` row key of a key whose newest version lies before the start.
    begun: Vec<u8>,
}

impl Walk {
    pub(crate) fn page(&self, snapshot: &dyn MetaSnapshot) -> Result<VersionPage, Fault> {
        let rows = self.selection.rows(self.bucket);
        let start = match &self.after {
            None => Start { cur: Vec::new(), ver: Vec::new(), begun: Vec::new() },
            Some(after) => self.start(snapshot, after)?,
        };
        let mut merge = Merge {
            cur: Peeked::new(snapshot, Table::Cur, &rows, start.cur)?,
            ver: Peeked::new(snapshot, Table::Ver, &rows, start.ver)?,
            begun: start.begun,
        };
        let mut entries = Vec::new();
        let mut last = None;
        while let Some(found) = merge.next()? {
            if entries.len() == self.limit {
                return Ok(VersionPage { entries, next: last });
            }
            let key = object_key(&found.row_key)?;
            if let Some(common) = self.selection.common_prefix(&key) {
                merge.seek(&behind_prefix(self.bucket, common))?;
                last = Some(VersionMarker { key: common.to_owned(), version: None });
                entries.push(VersionEntry::CommonPrefix(common.to_owned()));
            } else {
                // By its sequence, which leads on also when the version is gone by then.
                let version = Some(VersionId::Id(found.record.seq.to_be_bytes()));
                last = Some(VersionMarker { key: key.clone(), version });
                entries.push(entry(key, found));
            }
        }
        Ok(VersionPage { entries, next: None })
    }

    /// Where the rows behind a marker start.
    fn start(&self, snapshot: &dyn MetaSnapshot, after: &VersionMarker) -> Result<Start, Fault> {
        if self.selection.is_common_prefix(&after.key) {
            let behind = behind_prefix(self.bucket, &after.key);
            return Ok(Start { cur: behind.clone(), ver: behind, begun: Vec::new() });
        }
        let key = after.key.as_bytes();
        let cur_key = key::cur(self.bucket, key);
        let older = KeyRange::prefix(&key::ver_prefix(self.bucket, key));
        let mut behind_cur = cur_key.clone();
        behind_cur.push(0x00);
        let get = |table, key: &[u8]| snapshot.get(table, key).map_err(read_fault);
        let cur = get(Table::Cur, &cur_key)?.as_deref().map(decode::<ObjectRecord>).transpose()?;
        let seq = match after.version {
            None => None,
            Some(VersionId::Id(id)) => Some(u128::from_be_bytes(id)),
            Some(VersionId::Null) => match cur.as_ref() {
                Some(record) if record.version == VersionId::Null => Some(record.seq),
                _ => match get(Table::Nul, &key::nul(self.bucket, key))? {
                    Some(row) => Some(null_sequence(&row)?),
                    // It is gone, and nothing says where it was: all that is left follows.
                    None => Some(u128::MAX),
                },
            },
        };
        let Some(seq) = seq else {
            let behind = older.end.unwrap_or_else(|| behind_cur.clone());
            return Ok(Start { cur: behind_cur, ver: behind, begun: Vec::new() });
        };
        let mut ver = key::ver(self.bucket, key, seq);
        if seq < u128::MAX {
            ver.push(0x00);
        }
        let newest = match &cur {
            Some(record) => Some(record.seq),
            None => {
                let first = snapshot.cursor(Table::Ver, older).next().map_err(read_fault)?;
                first.map(|(row_key, _)| sequence(&row_key)).transpose()?
            }
        };
        let begun = newest.is_some_and(|newest| newest >= seq);
        Ok(Start {
            cur: if begun { behind_cur } else { cur_key.clone() },
            ver,
            begun: if begun { cur_key } else { Vec::new() },
        })
    }
}

fn entry(key: String, found: Found) -> VersionEntry {
    let Found { record, is_latest, .. } = found;
    let ObjectRecord { version, modified, kind, .. } = record;
    match kind {
        ObjectKind::Object(metadata) => {
            let info = Box::new(ObjectInfo { version, modified, metadata: *metadata });
            VersionEntry::Version { key, is_latest, info }
        }
        ObjectKind::DeleteMarker => {
            VersionEntry::DeleteMarker { key, is_latest, version, modified }
        }
    }
}

/// A version in the order of the listing.
struct Found {
    row_key: bytes::Bytes,
    record: ObjectRecord,
    is_latest: bool,
}

/// Both tables in one order.
struct Merge<'s> {
    cur: Peeked<'s>,
    ver: Peeked<'s>,
    /// The `cur` row key of the key whose newest version was passed last.
    begun: Vec<u8>,
}

impl Merge<'_> {
    fn next(&mut self) -> Result<Option<Found>, Fault> {
        let is_current = match (&self.cur.next, &self.ver.next) {
            (None, None) => return Ok(None),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((cur, _)), Some((ver, _))) => cur < ver,
        };
        let side = if is_current { &mut self.cur } else { &mut self.ver };
        let Some((row_key, row)) = side.take()? else { return Ok(None) };
        let of_key = match is_current {
            true => &row_key[..],
            false => row_key.split_last_chunk::<16>().map_or(&row_key[..], |(key, _)| key),
        };
        let is_latest = of_key != self.begun;
        if is_latest {
            self.begun = of_key.to_vec();
        }
        Ok(Some(Found { record: decode(&row)?, is_latest, row_key }))
    }

    fn seek(&mut self, to: &[u8]) -> Result<(), Fault> {
        self.cur.seek(to)?;
        self.ver.seek(to)
    }
}

/// A cursor whose next row is known.
struct Peeked<'s> {
    cursor: Box<dyn Cursor + 's>,
    next: Option<Row>,
}

impl<'s> Peeked<'s> {
    fn new(
        snapshot: &'s dyn MetaSnapshot,
        table: Table,
        rows: &KeyRange,
        start: Vec<u8>,
    ) -> Result<Self, Fault> {
        let range = KeyRange { start: rows.start.clone().max(start), end: rows.end.clone() };
        let mut cursor = snapshot.cursor(table, range);
        let next = cursor.next().map_err(read_fault)?;
        Ok(Self { cursor, next })
    }

    fn take(&mut self) -> Result<Option<Row>, Fault> {
        let next = self.cursor.next().map_err(read_fault)?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Goes on at `to`, unless what follows lies behind it already.
    fn seek(&mut self, to: &[u8]) -> Result<(), Fault> {
        if self.next.as_ref().is_some_and(|(row_key, _)| &row_key[..] < to) {
            self.cursor.seek(to);
            self.next = self.cursor.next().map_err(read_fault)?;
        }
        Ok(())
    }
}
