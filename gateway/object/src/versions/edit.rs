//! One key's versions, as one snapshot has them, and what shall become of them.
//!
//! Changes happen in memory. [`Engine::commit_edits`] then writes the difference, guarded by
//! everything that was read: rows by their bytes, and stretches of `ver` that were walked by being
//! as they were. Whoever changes versions therefore says what shall be, and not what could come in
//! between.
//!
//! *Limits:* an edit reads the rows it is asked about, and of `ver` no more than it takes to find
//! the newest version: nothing, while the answer is in memory.

use std::collections::{BTreeMap, btree_map::Entry};

use bytes::Bytes;
use gateway_meta::{
    CommitOutcome, Guard, KeyRange, MetaSnapshot, Op, Table, VersionId,
    key::{self, ctl},
    record::{BucketRecord, ObjectKind, ObjectMetadata, ObjectRecord, Record, Versioning},
};
use node_proto::UnixMillis;

use crate::{
    Fault,
    accounting::UsageChange,
    engine::{Engine, decode, read_fault, unchanged},
    publish::bucket_exists,
};

/// Where a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the newest, and an object.
    Current,
    /// Among the older ones and the delete markers, by inverted sequence.
    Older(u128),
}

/// A row as it was read, and what it shall be.
struct Slot {
    was: Option<Bytes>,
    now: Option<ObjectRecord>,
}

/// How much of a key's rows in `ver` is known, from the newest on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walked {
    Nothing,
    /// Up to and including the row of this inverted sequence.
    To(u128),
    All,
}

/// One key's versions.
pub(crate) struct KeyEdit<'a> {
    engine: &'a Engine,
    bucket: &'a BucketRecord,
    key: &'a str,
    /// `None` for a bucket that was never versioned, which has nothing but `cur`.
    snapshot: Option<Box<dyn MetaSnapshot>>,
    cur: Slot,
    /// By inverted sequence, so newest first.
    ver: BTreeMap<u128, Slot>,
    walked: Walked,
    /// No row of `ver` is newer than this or as new, by inverted sequence, but those in memory: it
    /// was or is the newest version, as sequence numbers of a key grow.
    top: Option<u128>,
    /// The `nul` row, if it was read.
    nul_was: Option<Option<Bytes>>,
    /// What the `nul` row shall be, if that was said.
    nul_now: Option<Option<u128>>,
    usage: UsageChange,
    unlinked: Vec<Op>,
}

/// What became of a commit of edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EditOutcome {
    /// It happened.
    Applied,
    /// The bucket is gone.
    NoBucket,
    /// The key or the bucket's mode changed in between; look again.
    Changed,
    /// This one of the caller's own guards does not hold.
    Refused {
        /// Its place among them.
        guard_index: usize,
    },
}

/// What an edit comes to.
pub(crate) struct Finished {
    pub(crate) guards: Vec<Guard>,
    pub(crate) ops: Vec<Op>,
    pub(crate) usage: UsageChange,
}

impl<'a> KeyEdit<'a> {
    /// Looks at a key as it is now.
    pub(crate) fn begin(
        engine: &'a Engine,
        bucket: &'a BucketRecord,
        key: &'a str,
    ) -> Result<Self, Fault> {
        let is_versioned = bucket.versioning != Versioning::Never;
        let snapshot = is_versioned.then(|| engine.meta.snapshot());
        let row_key = key::cur(bucket.id, key.as_bytes());
        let was = match &snapshot {
            Some(snapshot) => snapshot.get(Table::Cur, &row_key).map_err(read_fault)?,
            None => engine.row(Table::Cur, &row_key)?,
        };
        let now: Option<ObjectRecord> = was.as_deref().map(decode).transpose()?;
        Ok(Self {
            engine,
            bucket,
            key,
            walked: if is_versioned { Walked::Nothing } else { Walked::All },
            snapshot,
            top: now.as_ref().map(|record| !record.seq),
            cur: Slot { was, now },
            ver: BTreeMap::new(),
            nul_was: None,
            nul_now: None,
            usage: UsageChange::default(),
            unlinked: Vec::new(),
        })
    }

    /// The live object, if the newest version is one.
    pub(crate) fn live(&mut self) -> Result<Option<&ObjectMetadata>, Fault> {
        self.settle()?;
        Ok(self.cur.now.as_ref().and_then(metadata))
    }

    /// Where the newest version is.
    pub(crate) fn newest(&mut self) -> Result<Option<Place>, Fault> {
        self.settle()?;
        match self.cur.now {
            Some(_) => Ok(Some(Place::Current)),
            None => Ok(self.newest_older()?.map(Place::Older)),
        }
    }

    /// Where a version is, if it is there.
    pub(crate) fn find(&mut self, version: VersionId) -> Result<Option<Place>, Fault> {
        if self.cur.now.as_ref().is_some_and(|record| record.version == version) {
            return Ok(Some(Place::Current));
        }
        let seq = match version {
            VersionId::Id(id) => u128::from_be_bytes(id),
            VersionId::Null => match self.null_seq()? {
                Some(seq) => seq,
                None => return Ok(None),
            },
        };
        let found = self.load(!seq)?.now.as_ref();
        Ok(found.filter(|record| record.version == version).map(|_| Place::Older(!seq)))
    }

    /// The version at a place that was found.
    pub(crate) fn record(&self, place: Place) -> &ObjectRecord {
        let slot = match place {
            Place::Current => &self.cur,
            Place::Older(at) => &self.ver[&at],
        };
        slot.now.as_ref().expect("the place was found, and nothing was removed there")
    }

    /// The version at a place that was found, to be changed.
    pub(crate) fn record_mut(&mut self, place: Place) -> &mut ObjectRecord {
        let slot = match place {
            Place::Current => Some(&mut self.cur),
            Place::Older(at) => self.ver.get_mut(&at),
        };
        let now = slot.and_then(|slot| slot.now.as_mut());
        now.expect("the place was found, and nothing was removed there")
    }

    /// Removes a version for good. Whether it may go was asked before.
    pub(crate) fn remove(&mut self, place: Place) {
        let slot = match place {
            Place::Current => Some(&mut self.cur),
            Place::Older(at) => self.ver.get_mut(&at),
        };
        let Some(record) = slot.and_then(|slot| slot.now.take()) else { return };
        if let Some(metadata) = metadata(&record) {
            self.usage.remove_object(metadata.len_bytes);
            self.unlinked.extend(self.engine.data.unlink_ops(&metadata.body));
        }
        if record.version == VersionId::Null && place != Place::Current {
            self.nul_now = Some(None);
        }
    }

    /// The sequence number of a version that becomes the newest now.
    pub(crate) fn next_seq(&mut self, now: UnixMillis) -> Result<u128, Fault> {
        let newest = self.newest()?.map(|place| self.record(place).seq);
        Ok(self.engine.sequencer.next(now, newest))
    }

    /// Puts a version on top of all others. What it replaces was removed before; what stays makes
    /// room.
    pub(crate) fn push(&mut self, record: ObjectRecord) {
        self.top.get_or_insert(!record.seq);
        if let Some(replaced) = self.cur.now.take() {
            self.demote(replaced);
        }
        match metadata(&record) {
            Some(metadata) => {
                self.usage.add_object(metadata.len_bytes);
                self.cur.now = Some(record);
            }
            None => self.demote(record),
        }
    }

    /// What the commit must insist on and do.
    pub(crate) fn finish(mut self) -> Result<Finished, Fault> {
        self.settle()?;
        let row_key = key::cur(self.bucket.id, self.key.as_bytes());
        let mut ops = Vec::new();
        ops.extend(self.cur.op(Table::Cur, row_key.clone()));
        for (at, slot) in &self.ver {
            ops.extend(slot.op(Table::Ver, self.older_key(*at)));
        }
        ops.extend(self.nul_op());
        ops.append(&mut self.unlinked);
        let mut guards = vec![unchanged(Table::Cur, row_key, self.cur.was.clone())];
        guards.extend(self.older_guards());
        if let Some(was) = &self.nul_was {
            guards.push(unchanged(Table::Nul, self.nul_key(), was.clone()));
        }
        Ok(Finished { guards, ops, usage: self.usage })
    }

    /// Makes the newest version current, if it is an object.
    fn settle(&mut self) -> Result<(), Fault> {
        if self.cur.now.is_some() {
            return Ok(());
        }
        let Some(at) = self.newest_older()? else { return Ok(()) };
        let slot = self.ver.get_mut(&at).expect("it was just found");
        if slot.now.as_ref().is_some_and(|record| metadata(record).is_some()) {
            self.cur.now = slot.now.take();
            if self.cur.now.as_ref().is_some_and(|record| record.version == VersionId::Null) {
                self.nul_now = Some(None);
            }
        }
        Ok(())
    }

    /// Puts a version among the older ones.
    fn demote(&mut self, record: ObjectRecord) {
        if record.version == VersionId::Null {
            self.nul_now = Some(Some(record.seq));
        }
        let slot = self.ver.entry(!record.seq).or_insert(Slot { was: None, now: None });
        slot.now = Some(record);
    }

    fn newest_older(&mut self) -> Result<Option<u128>, Fault> {
        loop {
            let end = match self.walked {
                Walked::Nothing => self.top,
                Walked::To(end) => self.top.max(Some(end)),
                Walked::All => Some(u128::MAX),
            };
            let mut known = end.into_iter().flat_map(|end| self.ver.range(..=end));
            let known = known.find(|(_, slot)| slot.now.is_some()).map(|(at, _)| *at);
            if known.is_some() || self.walked == Walked::All {
                return Ok(known);
            }
            self.walk()?;
        }
    }

    /// Reads the next row of `ver`.
    fn walk(&mut self) -> Result<(), Fault> {
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let mut range = self.older_rows();
        if let Walked::To(at) = self.walked {
            range.start = self.older_key(at);
            range.start.push(0x00);
        }
        let Some((row_key, row)) = snapshot.cursor(Table::Ver, range).next().map_err(read_fault)?
        else {
            self.walked = Walked::All;
            return Ok(());
        };
        let at = !sequence(&row_key)?;
        if let Entry::Vacant(vacant) = self.ver.entry(at) {
            vacant.insert(Slot { now: Some(decode(&row)?), was: Some(row) });
        }
        self.walked = Walked::To(at);
        Ok(())
    }

    /// Reads a row of `ver`.
    fn load(&mut self, at: u128) -> Result<&Slot, Fault> {
        if !self.ver.contains_key(&at) {
            let row_key = self.older_key(at);
            let was = match &self.snapshot {
                Some(snapshot) => snapshot.get(Table::Ver, &row_key).map_err(read_fault)?,
                None => None,
            };
            let now = was.as_deref().map(decode).transpose()?;
            self.ver.insert(at, Slot { was, now });
        }
        Ok(&self.ver[&at])
    }

    /// The sequence of the `null` version in `ver`.
    fn null_seq(&mut self) -> Result<Option<u128>, Fault> {
        if let Some(said) = self.nul_now {
            return Ok(said);
        }
        let Some(snapshot) = &self.snapshot else { return Ok(None) };
        let was = match &self.nul_was {
            Some(was) => was.clone(),
            None => snapshot.get(Table::Nul, &self.nul_key()).map_err(read_fault)?,
        };
        let seq = was.as_deref().map(null_sequence).transpose()?;
        self.nul_was = Some(was);
        Ok(seq)
    }

    /// Hold while everything that was read of `ver` is unchanged.
    fn older_guards(&self) -> Vec<Guard> {
        let mut guards = Vec::new();
        if self.snapshot.is_none() {
            return guards;
        }
        let rows = self.older_rows();
        let mut next = rows.start.clone();
        for (at, slot) in &self.ver {
            let row_key = self.older_key(*at);
            let is_walked = match self.walked {
                Walked::Nothing => false,
                Walked::To(end) => *at <= end,
                Walked::All => true,
            };
            if !is_walked {
                guards.push(unchanged(Table::Ver, row_key, slot.was.clone()));
            } else if let Some(was) = &slot.was {
                guards.extend(empty(next, Some(row_key.clone())));
                next = row_key.clone();
                next.push(0x00);
                guards.push(unchanged(Table::Ver, row_key, Some(was.clone())));
            }
        }
        if self.walked == Walked::All {
            guards.extend(empty(next, rows.end));
        }
        guards
    }

    fn nul_op(&self) -> Option<Op> {
        Some(match self.nul_now? {
            Some(seq) => Op::Put {
                table: Table::Nul,
                key: self.nul_key(),
                value: Bytes::copy_from_slice(&seq.to_be_bytes()),
            },
            None => Op::Delete { table: Table::Nul, key: self.nul_key() },
        })
    }

    fn older_rows(&self) -> KeyRange {
        KeyRange::prefix(&key::ver_prefix(self.bucket.id, self.key.as_bytes()))
    }

    fn older_key(&self, at: u128) -> Vec<u8> {
        key::ver(self.bucket.id, self.key.as_bytes(), !at)
    }

    fn nul_key(&self) -> Vec<u8> {
        key::nul(self.bucket.id, self.key.as_bytes())
    }
}

impl Slot {
    /// What makes the row what it shall be.
    fn op(&self, table: Table, key: Vec<u8>) -> Option<Op> {
        match (&self.was, &self.now) {
            (None, None) => None,
            (Some(_), None) => Some(Op::Delete { table, key }),
            (was, Some(now)) => {
                let value = now.encode();
                (was.as_ref() != Some(&value)).then_some(Op::Put { table, key, value })
            }
        }
    }
}

impl Engine {
    /// Commits edits of one bucket's keys if, besides what they read, `guards` hold.
    pub(crate) async fn commit_edits(
        &self,
        bucket: &BucketRecord,
        edits: Vec<KeyEdit<'_>>,
        guards: &[Guard],
    ) -> Result<EditOutcome, Fault> {
        let mut usage = UsageChange::default();
        let mut ops = Vec::new();
        let mut all = standing_guards(bucket).to_vec();
        for edit in edits {
            let finished = edit.finish()?;
            usage.add(finished.usage);
            ops.extend(finished.ops);
            all.extend(finished.guards);
        }
        if ops.is_empty() {
            return Ok(EditOutcome::Applied);
        }
        ops.extend(usage.ops(bucket.owner, bucket.id, self.clock.now()));
        let own_from = all.len();
        all.extend_from_slice(guards);
        Ok(edit_outcome(self.commits.commit(all, ops).await?, own_from))
    }
}

/// Hold while the bucket is there and treats versions as it did. [`edit_outcome`] knows their
/// places.
pub(crate) fn standing_guards(bucket: &BucketRecord) -> [Guard; 2] {
    let mode = unchanged(Table::Ctl, ctl::bucket_mode(bucket.id), bucket.mode());
    [bucket_exists(bucket), mode]
}

/// What the outcome of a commit means that began with [`standing_guards`] and whose guards from
/// `own_from` on were the caller's own.
pub(crate) fn edit_outcome(outcome: CommitOutcome, own_from: usize) -> EditOutcome {
    match outcome {
        CommitOutcome::Applied => EditOutcome::Applied,
        CommitOutcome::GuardFailed { guard_index: 0 } => EditOutcome::NoBucket,
        CommitOutcome::GuardFailed { guard_index } if guard_index < own_from => {
            EditOutcome::Changed
        }
        CommitOutcome::GuardFailed { guard_index } => {
            EditOutcome::Refused { guard_index: guard_index - own_from }
        }
    }
}

/// The metadata of an object; `None` for delete markers.
fn metadata(record: &ObjectRecord) -> Option<&ObjectMetadata> {
    match &record.kind {
        ObjectKind::Object(metadata) => Some(metadata),
        ObjectKind::DeleteMarker => None,
    }
}

fn empty(start: Vec<u8>, end: Option<Vec<u8>>) -> Option<Guard> {
    let range = KeyRange { start, end };
    (!range.is_void()).then_some(Guard::RangeEmpty { table: Table::Ver, range })
}

/// The sequence number that a `ver` row key ends with.
pub(crate) fn sequence(row_key: &[u8]) -> Result<u128, Fault> {
    let tail = row_key.last_chunk::<16>().and_then(|tail| key::parse_ver_tail(tail));
    tail.ok_or_else(|| Fault::Corrupt { reason: "a version row key is too short".to_owned() })
}

/// Reads a `nul` row.
pub(crate) fn null_sequence(row: &[u8]) -> Result<u128, Fault> {
    let seq = row.try_into().map(u128::from_be_bytes);
    seq.map_err(|_| Fault::Corrupt { reason: "a null version row is damaged".to_owned() })
}
