//! Pages of a bucket's versions and uploads, judged by its rules.
//!
//! A page is read from one snapshot, so what it says of a key was true at one moment; the next page
//! goes on behind it, also in the middle of a key that has many versions.

use std::collections::BTreeMap;

use bytes::Bytes;
use gateway_meta::{
    BucketId, Cursor, Guard, KeyRange, MetaSnapshot, Row, Table, UploadId, VersionId, key,
    prefix_end,
    record::{LifecyclePlace, LifecycleRecord, ObjectRecord, Record, UploadRecord, WithinKey},
};
use node_proto::UnixMillis;

use super::{
    ledger::Action,
    pass::Cut,
    rules::{Day, Rules, Standing, Verdict},
};
use crate::{Fault, engine::read_fault};

/// What pages are judged by.
pub(crate) struct Judge {
    pub(crate) bucket: BucketId,
    pub(crate) record: LifecycleRecord,
    pub(crate) day: Day,
    pub(crate) now: UnixMillis,
}

/// What shall become of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doomed {
    pub(crate) version: VersionId,
    pub(crate) seq: u128,
    /// The next newer version of its key when it was judged; `None` for the newest.
    pub(crate) newer: Option<u128>,
}

/// A key with versions that something shall become of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DoomedKey {
    pub(crate) key: String,
    pub(crate) versions: Vec<Doomed>,
}

/// An upload that shall be aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DoomedUpload {
    pub(crate) key: String,
    pub(crate) upload: UploadId,
    pub(crate) initiated: UnixMillis,
}

/// What shall be done about versions of a key, and what says so.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) key: String,
    pub(crate) actions: Vec<(Doomed, Action)>,
    /// Hold while the versions stand as they were judged.
    pub(crate) guards: Vec<Guard>,
}

/// A page, judged.
#[derive(Debug)]
pub(crate) struct Page<D, P> {
    pub(crate) doomed: Vec<D>,
    /// Rows read.
    pub(crate) examined: u64,
    /// Rows that could not be understood.
    pub(crate) damaged: u64,
    /// Where the next page goes on; `None` at the end.
    pub(crate) next: Option<P>,
}

impl Judge {
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules { record: &self.record, day: self.day }
    }

    /// The next page of versions behind `from`. It ends with the key that fills it, unless that has
    /// too many versions.
    pub(crate) fn versions(
        &self,
        snapshot: &dyn MetaSnapshot,
        from: &LifecyclePlace,
        cut: Cut,
    ) -> Result<Page<DoomedKey, LifecyclePlace>, Fault> {
        let mut page = VersionsPage::new(self, from);
        for prefix in self.rules().version_prefixes() {
            let range = KeyRange::prefix(&key::object_prefix(self.bucket, prefix.as_bytes()));
            if range.end.as_ref().is_some_and(|end| *end <= from.key) {
                continue;
            }
            let mut rows = Rows::open(snapshot, range, from)?;
            while let Some((row_key, value)) = rows.next()? {
                page.take(&row_key, &value, rows.peek_key());
                let may_end = page.place.within.is_none() || page.key_rows >= cut.key_rows;
                if page.page.examined >= cut.page_rows && may_end {
                    page.page.next = Some(page.place);
                    return Ok(page.page);
                }
            }
        }
        Ok(page.page)
    }

    /// The next page of at most `rows_max` rows of uploads behind the row of `after`.
    pub(crate) fn uploads(
        &self,
        snapshot: &dyn MetaSnapshot,
        after: &[u8],
        rows_max: u64,
    ) -> Result<Page<DoomedUpload, Vec<u8>>, Fault> {
        let mut page = Page { doomed: Vec::new(), examined: 0, damaged: 0, next: None };
        for prefix in self.rules().upload_prefixes() {
            let mut range = KeyRange::prefix(&key::object_prefix(self.bucket, prefix.as_bytes()));
            if !after.is_empty() {
                range.start = range.start.max([after, &[0x00]].concat());
            }
            let mut cursor = snapshot.cursor(Table::Mpu, range);
            while let Some((row_key, value)) = cursor.next().map_err(read_fault)? {
                page.examined += 1;
                match self.doomed_upload(&row_key, &value) {
                    Some(Some(doomed)) => page.doomed.push(doomed),
                    Some(None) => {}
                    None => page.damaged += 1,
                }
                if page.examined >= rows_max {
                    page.next = Some(row_key.to_vec());
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// `None` for a damaged row, `Some(None)` for an upload that stays.
    fn doomed_upload(&self, row_key: &[u8], value: &[u8]) -> Option<Option<DoomedUpload>> {
        let (_, key, upload) = key::parse_object_row(row_key)?;
        let key = String::from_utf8(key).ok()?;
        let upload = UploadId(upload.try_into().ok()?);
        let record = UploadRecord::decode(value).ok()?;
        let doomed = DoomedUpload { key, upload, initiated: record.initiated };
        Some(Some(doomed).filter(|doomed| self.aborts(doomed)))
    }

    /// Whether an upload is to be aborted now.
    pub(super) fn aborts(&self, upload: &DoomedUpload) -> bool {
        let due = self.rules().aborts(&upload.key, upload.initiated);
        due.is_some_and(|due| due.at <= self.now)
    }

    /// Judges the versions of one key anew, from the newest on, and says what to do about those in
    /// `wanted` that still are doomed. Reads at most `rows_max` rows from the top; of what is behind
    /// them, each version that is wanted and the one above it.
    pub(crate) fn again(
        &self,
        snapshot: &dyn MetaSnapshot,
        wanted: DoomedKey,
        rows_max: u64,
    ) -> Result<Judged, Fault> {
        let row_key = key::cur(self.bucket, wanted.key.as_bytes());
        let from = LifecyclePlace::default();
        let mut rows = Rows::open(snapshot, KeyRange::prefix(&row_key), &from)?;
        let mut left = wanted.versions;
        let mut found = Found { judge: self, key: wanted.key, actions: vec![], rows: vec![] };
        let mut standing = Standing::default();
        let mut above = None;
        while let Some(row) = rows.next()? {
            let Ok(record) = ObjectRecord::decode(&row.1) else { return Ok(found.nothing()) };
            standing.alone = standing.newer == 0 && rows.peek_key().is_none();
            if standing.newer <= self.rules().newer_versions_max() {
                found.rows.push(row.clone());
            }
            if let Some(at) = left.iter().position(|doomed| doomed.seq == record.seq) {
                found.judge(left.swap_remove(at), &record, standing, above.iter().chain([&row]));
            }
            standing.newer += 1;
            standing.newer_modified = Some(record.modified);
            above = Some(row);
            if left.is_empty() || standing.newer >= rows_max {
                break;
            }
        }
        if standing.newer >= rows_max {
            for doomed in left {
                found.judge_behind(snapshot, doomed, standing.newer)?;
            }
        }
        Ok(found.judged())
    }
}

/// What becomes of one key's versions, in the making.
struct Found<'a> {
    judge: &'a Judge,
    key: String,
    actions: Vec<(Doomed, Action)>,
    /// Rows that the judgement rests on.
    rows: Vec<Row>,
}

impl Found<'_> {
    /// Judges one version, by what `rows` say.
    fn judge<'r>(
        &mut self,
        doomed: Doomed,
        record: &ObjectRecord,
        standing: Standing,
        rows: impl Iterator<Item = &'r Row>,
    ) {
        let verdict = self.judge.rules().judge(&self.key, record, standing, self.judge.now);
        if let Some(action) = action(verdict, standing) {
            self.actions.push((doomed, action));
            self.rows.extend(rows.cloned());
        }
    }

    /// Judges a version that has at least `newer` others above it. If the one next to it is gone,
    /// it is older since another moment, which the next pass finds.
    fn judge_behind(
        &mut self,
        snapshot: &dyn MetaSnapshot,
        doomed: Doomed,
        newer: u64,
    ) -> Result<(), Fault> {
        let row = |seq: u128| -> Result<Option<(Row, ObjectRecord)>, Fault> {
            let row_key = key::ver(self.judge.bucket, self.key.as_bytes(), seq);
            let Some(value) = snapshot.get(Table::Ver, &row_key).map_err(read_fault)? else {
                return Ok(None);
            };
            let record = ObjectRecord::decode(&value).ok();
            Ok(record.map(|record| ((row_key.into(), value), record)))
        };
        let Some(above) = doomed.newer else { return Ok(()) };
        let (Some(above), Some(own)) = (row(above)?, row(doomed.seq)?) else { return Ok(()) };
        let newer_modified = Some(above.1.modified);
        let standing = Standing { newer, newer_modified, alone: false };
        self.judge(doomed, &own.1, standing, [&above.0, &own.0].into_iter());
        Ok(())
    }

    fn nothing(self) -> Judged {
        Judged { key: self.key, actions: Vec::new(), guards: Vec::new() }
    }

    fn judged(self) -> Judged {
        if self.actions.is_empty() {
            return self.nothing();
        }
        let rows: BTreeMap<_, _> = self.rows.into_iter().collect();
        let guard = |(row_key, value): Row| {
            let is_cur = key_of(&row_key).len() == row_key.len();
            let table = if is_cur { Table::Cur } else { Table::Ver };
            Guard::Equals { table, key: row_key.to_vec(), value }
        };
        let guards = rows.into_iter().map(guard).collect();
        Judged { key: self.key, actions: self.actions, guards }
    }
}

fn action(verdict: Verdict, standing: Standing) -> Option<Action> {
    match verdict {
        Verdict::Keep => None,
        Verdict::Expire => Some(Action::Expire),
        Verdict::Remove if standing.newer == 0 => Some(Action::RemoveMarker),
        Verdict::Remove => Some(Action::RemoveOlder),
    }
}

/// A page of versions in the making.
struct VersionsPage<'a> {
    judge: &'a Judge,
    page: Page<DoomedKey, LifecyclePlace>,
    place: LifecyclePlace,
    /// Rows of the key at the place.
    key_rows: u64,
}

impl<'a> VersionsPage<'a> {
    fn new(judge: &'a Judge, from: &LifecyclePlace) -> Self {
        let page = Page { doomed: Vec::new(), examined: 0, damaged: 0, next: None };
        Self { judge, page, place: from.clone(), key_rows: 0 }
    }

    /// Takes in the next row; `next` is the key of the one behind it.
    fn take(&mut self, row_key: &[u8], value: &Bytes, next: Option<&[u8]>) {
        self.page.examined += 1;
        let key = key_of(row_key);
        let above = self.place.within.filter(|_| self.place.key == key);
        self.key_rows = if self.place.key == key { self.key_rows + 1 } else { 1 };
        let goes_on = next.is_some_and(|next| key_of(next) == key);
        let standing = Standing {
            newer: above.map_or(0, |above| above.rank),
            newer_modified: above.and_then(|above| above.newer_modified),
            alone: above.is_none() && !goes_on,
        };
        let parsed = key::parse_object_row(key).and_then(|(_, key, _)| String::from_utf8(key).ok());
        let (seq, modified) = match (parsed, ObjectRecord::decode(value)) {
            (Some(key), Ok(record)) => {
                let verdict = self.judge.rules().judge(&key, &record, standing, self.judge.now);
                if verdict != Verdict::Keep {
                    let newer = above.map(|above| above.seq);
                    self.doom(key, Doomed { version: record.version, seq: record.seq, newer });
                }
                (record.seq, record.modified)
            }
            _ => {
                // Nothing below it can be judged: it stays as if its successor were made just now.
                self.page.damaged += 1;
                let tail = row_key.get(key.len()..).and_then(key::parse_ver_tail);
                (tail.unwrap_or(u128::MAX), UnixMillis(u64::MAX))
            }
        };
        let rank = standing.newer + 1;
        let within = WithinKey { seq, rank, newer_modified: Some(modified) };
        self.place = LifecyclePlace { key: key.to_vec(), within: goes_on.then_some(within) };
    }

    fn doom(&mut self, key: String, version: Doomed) {
        match self.page.doomed.last_mut() {
            Some(last) if last.key == key => last.versions.push(version),
            _ => self.page.doomed.push(DoomedKey { key, versions: vec![version] }),
        }
    }
}

/// The rows of `cur` and `ver`, key by key, newest version first.
struct Rows<'a> {
    cur: Box<dyn Cursor + 'a>,
    ver: Box<dyn Cursor + 'a>,
    next_cur: Option<Row>,
    next_ver: Option<Row>,
}

impl<'a> Rows<'a> {
    /// The rows of a range behind a place.
    fn open(
        snapshot: &'a dyn MetaSnapshot,
        range: KeyRange,
        from: &LifecyclePlace,
    ) -> Result<Self, Fault> {
        let behind_key = match from.key.is_empty() {
            true => Vec::new(),
            false => prefix_end(&from.key).unwrap_or_default(),
        };
        let behind_version = match from.within {
            Some(within) => [&from.key[..], &(!within.seq).to_be_bytes(), &[0x00]].concat(),
            None => behind_key.clone(),
        };
        let behind = |start: Vec<u8>| KeyRange {
            start: range.start.clone().max(start),
            end: range.end.clone(),
        };
        let mut cur = snapshot.cursor(Table::Cur, behind(behind_key));
        let mut ver = snapshot.cursor(Table::Ver, behind(behind_version));
        let next_cur = cur.next().map_err(read_fault)?;
        let next_ver = ver.next().map_err(read_fault)?;
        Ok(Self { cur, ver, next_cur, next_ver })
    }

    fn cur_is_next(&self) -> bool {
        match (&self.next_cur, &self.next_ver) {
            (Some((cur, _)), Some((ver, _))) => cur[..] <= *key_of(ver),
            (cur, _) => cur.is_some(),
        }
    }

    fn next(&mut self) -> Result<Option<Row>, Fault> {
        let (next, cursor) = match self.cur_is_next() {
            true => (&mut self.next_cur, &mut self.cur),
            false => (&mut self.next_ver, &mut self.ver),
        };
        let row = next.take();
        if row.is_some() {
            *next = cursor.next().map_err(read_fault)?;
        }
        Ok(row)
    }

    fn peek_key(&self) -> Option<&[u8]> {
        let next = if self.cur_is_next() { &self.next_cur } else { &self.next_ver };
        next.as_ref().map(|(row_key, _)| &row_key[..])
    }
}

/// Bucket and escaped key: a whole `cur` row key, and a `ver` row key without its sequence. Escaped
/// keys hold `0x00 0x01` only at their end.
fn key_of(row_key: &[u8]) -> &[u8] {
    let end = (8..row_key.len().saturating_sub(1)).find(|&at| row_key[at..at + 2] == [0x00, 0x01]);
    end.map_or(row_key, |at| &row_key[..at + 2])
}
