//! The writer: one thread per drive that appends records, syncs them and updates the index.
//!
//! Invariants:
//! - an answer `Ok` is sent after the records are durable and the index shows them;
//! - a record never spans segments, and a group never spans a change of segment;
//! - a shard is moved only while the index still points to the place it was moved from, so in
//!   position order every record of a key precedes the tombstone that kills it;
//! - after an error that is not about space nothing is written any more.
//!
//! *Crash consistency:* records are synced before their rows are written; rows that a crash takes
//! are found again behind the checkpoint. A segment is unlinked after the checkpoint that says
//! nothing lives in it.
//!
//! *Limits:* a group is closed at `group_bytes`; the queue is bounded by the permits its commands
//! carry.

use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering::SeqCst,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::Instant,
};

use fail::fail_point;
use node_proto::{DeleteShardsError, PutShardError, ShardKey, ShardRoot};

use crate::{
    appender::Appender,
    changes::Changes,
    commands::{Delete, Put, Relocate, RelocateError, WriterCommand},
    core::Core,
    durability::SyncSite,
    index::IndexError,
    record::{
        Position, RecordHeader, RecordKind, SegmentId, Seq, TOMBSTONE_BYTES, Tombstone,
        encode_tombstones, encode_trailer, record_bytes, root_of,
    },
    rows::{Checkpoint, ShardRow},
    segments::{SEGMENT_DIRECTORY, segment_path},
    vfs::{OpenMode, is_no_space},
};

/// Tombstones in one record at most. Chosen: a record of about half a megabyte.
pub(crate) const TOMBSTONES_PER_RECORD: usize = 16 << 10;

const NO_SPACE_FOR_DELETIONS: &str = "there is no space left even for deletions";

/// Why something was not appended.
#[derive(Debug)]
enum AppendError {
    /// No space; nothing of the group was kept.
    NoSpace,
    /// The drive has failed.
    Failed,
}

/// A command whose records wait for the sync of their group.
enum Pending {
    Put(Put),
    Delete(Delete),
    Relocate(Relocate),
}

/// What one opening writes with.
pub(crate) struct Writer {
    core: Arc<Core>,
    active: Option<Appender>,
    changes: Changes,
    pending: Vec<Pending>,
    next_seq: Seq,
    /// The highest number in the group.
    laid_seq: Option<Seq>,
    next_segment: SegmentId,
    unchecked_bytes: u64,
}

impl Writer {
    pub(crate) fn new(
        core: Arc<Core>,
        active: Option<Appender>,
        next_seq: Seq,
        next_segment: SegmentId,
    ) -> Self {
        Self {
            core,
            active,
            changes: Changes::default(),
            pending: Vec::new(),
            next_seq,
            laid_seq: None,
            next_segment,
            unchecked_bytes: 0,
        }
    }

    /// Works until told to stop or until nobody can send any more.
    pub(crate) fn run(mut self, commands: &Receiver<WriterCommand>) {
        let mut go_on = true;
        while go_on && let Ok(first) = commands.recv() {
            go_on = self.take(first) && self.collect(commands);
            self.commit();
        }
        // Whoever was admitted before the stop is still served.
        while let Ok(command) = commands.try_recv() {
            self.take(command);
        }
        self.commit();
        self.checkpoint();
    }

    /// Takes what is queued into the group, and waits briefly for writes already admitted.
    fn collect(&mut self, commands: &Receiver<WriterCommand>) -> bool {
        let limits = self.core.config().limits;
        let deadline = Instant::now() + limits.group_wait;
        while self.group_bytes() < limits.group_bytes {
            let command = match commands.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if self.core.arriving.load(SeqCst) == 0 || left.is_zero() {
                        return true;
                    }
                    match commands.recv_timeout(left) {
                        Ok(command) => command,
                        Err(RecvTimeoutError::Timeout) => return true,
                        Err(RecvTimeoutError::Disconnected) => return false,
                    }
                }
            };
            if !self.take(command) {
                return false;
            }
        }
        true
    }

    fn group_bytes(&self) -> u64 {
        self.active.as_ref().map_or(0, Appender::pending_bytes)
    }

    /// Handles one command; false when it says stop.
    fn take(&mut self, command: WriterCommand) -> bool {
        match command {
            WriterCommand::Put(mut put) => {
                put.arriving = None;
                self.put(put);
            }
            WriterCommand::Delete(delete) => self.delete(delete, false),
            WriterCommand::Relocate(relocate) => self.relocate(relocate),
            WriterCommand::Seal { dead_bytes_min } => {
                self.commit();
                let entry = self.core.table.lock().get(self.core.active_segment());
                if entry.is_some_and(|entry| entry.dead_bytes() >= dead_bytes_min) {
                    self.seal();
                }
            }
            WriterCommand::Retire { segment, done } => {
                self.commit();
                // The maintenance thread may have gone; then nobody needs the answer.
                let _ = done.send(self.retire(segment));
            }
            WriterCommand::Stop => return false,
        }
        true
    }

    fn put(&mut self, put: Put) {
        if self.core.failed().is_some() {
            return put.answer_with(Err(self.put_offline()));
        }
        if !put.replace {
            match self.changes.shard(self.core.base(), &put.key) {
                Ok(None) => {}
                Ok(Some(row)) if row.root == put.root => {
                    // Stored already, perhaps in this very group: the answer waits for its sync.
                    self.pending.push(Pending::Put(put));
                    return;
                }
                Ok(Some(_)) => {
                    let key = put.key;
                    return put.answer_with(Err(PutShardError::Conflict { key }));
                }
                Err(error) => {
                    self.core.fail_index(&error);
                    return put.answer_with(Err(self.put_offline()));
                }
            }
        }
        let seq = self.take_seq();
        match self.append_shard(put.key, seq, put.root, &put.payload) {
            Ok(()) => self.pending.push(Pending::Put(put)),
            Err(AppendError::NoSpace) => {
                let device = self.core.device();
                put.answer_with(Err(PutShardError::Full { device }));
            }
            Err(AppendError::Failed) => put.answer_with(Err(self.put_offline())),
        }
    }

    /// Appends tombstones for the shards that exist. `retried`: the reserve was already tried.
    fn delete(&mut self, mut delete: Delete, retried: bool) {
        if self.core.failed().is_some() {
            return delete.answer_with(Err(self.delete_offline()));
        }
        delete.keys.sort_unstable();
        delete.keys.dedup();
        match self.append_deletions(&delete.keys) {
            Ok(()) => self.pending.push(Pending::Delete(delete)),
            Err(AppendError::NoSpace) if !retried => self.delete(delete, true),
            Err(AppendError::NoSpace) => delete.answer_with(Err(DeleteShardsError::Offline {
                device: self.core.device(),
                reason: NO_SPACE_FOR_DELETIONS.to_owned(),
            })),
            Err(AppendError::Failed) => delete.answer_with(Err(self.delete_offline())),
        }
    }

    fn append_deletions(&mut self, keys: &[ShardKey]) -> Result<(), AppendError> {
        let mut live = Vec::new();
        for key in keys {
            let row = self.changes.shard(self.core.base(), key);
            if self.or_fail(row)?.is_some() {
                live.push(*key);
            }
        }
        for keys in live.chunks(TOMBSTONES_PER_RECORD) {
            let bytes = (keys.len() * TOMBSTONE_BYTES) as u64;
            let origin = self.make_room(record_bytes(bytes))?.segment;
            let seq = self.take_seq();
            let tombstones: Vec<Tombstone> =
                keys.iter().map(|key| Tombstone { key: *key, seq, origin }).collect();
            self.append_tombstones(seq, &tombstones)?;
            for key in keys {
                let deleted = self.changes.delete(self.core.base(), *key);
                self.or_fail(deleted)?;
            }
        }
        Ok(())
    }

    /// Copies what compaction wants to keep, as far as it is still current.
    fn relocate(&mut self, relocate: Relocate) {
        if self.core.failed().is_some() {
            return relocate.answer_with(Err(RelocateError::Stopped));
        }
        match self.append_relocated(&relocate) {
            Ok(()) => self.pending.push(Pending::Relocate(relocate)),
            Err(AppendError::NoSpace) => relocate.answer_with(Err(RelocateError::NoSpace)),
            Err(AppendError::Failed) => relocate.answer_with(Err(RelocateError::Stopped)),
        }
    }

    fn append_relocated(&mut self, relocate: &Relocate) -> Result<(), AppendError> {
        for shard in &relocate.shards {
            let row = self.changes.shard(self.core.base(), &shard.key);
            if self.or_fail(row)? == Some(shard.row) {
                self.append_shard(shard.key, shard.row.seq, shard.row.root, &shard.payload)?;
            }
        }
        for tombstones in relocate.tombstones.chunks(TOMBSTONES_PER_RECORD) {
            self.make_room(record_bytes((tombstones.len() * TOMBSTONE_BYTES) as u64))?;
            let seq = self.take_seq();
            self.append_tombstones(seq, tombstones)?;
        }
        for source in &relocate.tombstone_sources {
            let dropped = self.changes.drop_tombstones(self.core.base(), *source);
            self.or_fail(dropped)?;
        }
        Ok(())
    }

    fn append_shard(
        &mut self,
        key: ShardKey,
        seq: Seq,
        root: ShardRoot,
        payload: &[u8],
    ) -> Result<(), AppendError> {
        let payload_bytes =
            u32::try_from(payload.len()).expect("longer payloads are refused on admission");
        let position = self.make_room(record_bytes(u64::from(payload_bytes)))?;
        let header = RecordHeader {
            kind: RecordKind::Shard,
            key: Some(key),
            seq,
            position,
            payload_bytes,
            root,
        };
        self.lay(&header, payload)?;
        let row = ShardRow { position, seq, payload_bytes, root };
        let stored = self.changes.store(self.core.base(), key, row);
        self.or_fail(stored)
    }

    /// Appends a tombstone record where [`Self::make_room`] made room for it.
    fn append_tombstones(&mut self, seq: Seq, tombstones: &[Tombstone]) -> Result<(), AppendError> {
        let payload = encode_tombstones(tombstones);
        let position = self.make_room(record_bytes(payload.len() as u64))?;
        let header = RecordHeader {
            kind: RecordKind::Tombstones,
            key: None,
            seq,
            position,
            payload_bytes: u32::try_from(payload.len()).expect("bounded by the chunk length"),
            root: root_of(&payload),
        };
        self.lay(&header, &payload)?;
        let count = u32::try_from(tombstones.len()).expect("bounded by the chunk length");
        let added = self.changes.add_tombstones(self.core.base(), position, count);
        self.or_fail(added)
    }

    /// Makes sure the active segment takes `bytes` more, and says where they go.
    fn make_room(&mut self, bytes: u64) -> Result<Position, AppendError> {
        let segment_bytes = self.core.space.segment_bytes();
        let is_full = |active: &Appender| {
            active.end_bytes() > 0 && active.end_bytes() + bytes > segment_bytes
        };
        if self.active.as_ref().is_some_and(is_full) {
            self.seal();
        }
        if self.core.failed().is_some() {
            return Err(AppendError::Failed);
        }
        let active = match &self.active {
            Some(active) => active,
            None => self.start_segment()?,
        };
        Ok(Position { segment: active.segment(), offset_bytes: active.end_bytes() })
    }

    fn start_segment(&mut self) -> Result<&Appender, AppendError> {
        self.check_present()?;
        let segment = self.next_segment;
        let config = self.core.config();
        let opened = config
            .vfs
            .open(&segment_path(&config.directory, segment), OpenMode::Append)
            .and_then(|file| {
                let names = config.directory.join(SEGMENT_DIRECTORY);
                SyncSite::SegmentName.sync_directory(config.vfs.as_ref(), &names)?;
                Ok(file)
            });
        let file = match opened {
            Ok(file) => file,
            Err(error) => return Err(self.append_failed(&error)),
        };
        self.next_segment = SegmentId(segment.0 + 1);
        self.changes.touch(self.core.base(), segment);
        self.core.table.lock().set_file_bytes(segment, 0);
        *self.core.durable_end.lock() = Position { segment, offset_bytes: 0 };
        self.core.active.store(segment.0, SeqCst);
        Ok(self.active.insert(Appender::new(file, segment, 0)))
    }

    /// Looks whether the directory is still this drive's before a file in it is made or removed:
    /// another drive's may have taken its place, with segments of the same numbers.
    fn check_present(&self) -> Result<(), AppendError> {
        self.core.check_present().map_err(|reason| {
            self.core.fail(reason);
            AppendError::Failed
        })
    }

    /// Ends the active segment after making it durable.
    fn seal(&mut self) {
        self.commit();
        if self.active.as_ref().is_some_and(|active| active.end_bytes() > 0) {
            self.active = None;
            self.core.active.store(0, SeqCst);
            self.checkpoint();
        }
    }

    fn lay(&mut self, header: &RecordHeader, payload: &[u8]) -> Result<(), AppendError> {
        let encoded = header.encode(self.core.superblock.uuid);
        let active = self.active.as_mut().expect("room was made in the active segment");
        let laid = before_append().and_then(|()| {
            active.lay(&encoded)?;
            active.lay(payload)?;
            active.lay(&encode_trailer(header.seq))?;
            active.pad()
        });
        self.laid_seq = self.laid_seq.max(Some(header.seq));
        laid.map_err(|error| self.append_failed(&error))
    }

    /// Sorts an append error out: without space the group is taken back, else the drive fails.
    fn append_failed(&mut self, error: &io::Error) -> AppendError {
        if is_no_space(error) && self.take_group_back().is_ok() {
            return AppendError::NoSpace;
        }
        self.core.fail(format!("writing failed: {error}"));
        self.give_up_group();
        AppendError::Failed
    }

    /// Undoes the group for lack of space. Deletions are tried once more on their own: they need
    /// little, and giving space back depends on them.
    fn take_group_back(&mut self) -> io::Result<()> {
        self.core.space.exhausted();
        if let Some(active) = &mut self.active {
            active.rewind()?;
        }
        self.changes.clear();
        self.laid_seq = None;
        let device = self.core.device();
        let mut deletes = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Put(put) => put.answer_with(Err(PutShardError::Full { device })),
                Pending::Relocate(relocate) => relocate.answer_with(Err(RelocateError::NoSpace)),
                Pending::Delete(delete) => deletes.push(delete),
            }
        }
        for delete in deletes {
            self.delete(delete, true);
        }
        Ok(())
    }

    /// Makes the group durable and visible, then answers.
    fn commit(&mut self) {
        if self.core.failed().is_none()
            && let Err(reason) = self.make_durable_and_visible()
        {
            match reason {
                CommitError::NoSpace => return self.commit_without_space(),
                CommitError::Failed(reason) => self.core.fail(reason),
            }
        }
        if self.core.failed().is_some() {
            return self.give_up_group();
        }
        self.answer_group();
        if self.unchecked_bytes >= self.core.config().limits.checkpoint_bytes {
            self.checkpoint();
        }
    }

    fn make_durable_and_visible(&mut self) -> Result<(), CommitError> {
        let before = *self.core.durable_end.lock();
        self.make_durable()?;
        let visible = self.make_visible();
        if matches!(visible, Err(CommitError::NoSpace)) {
            // The records have their space and the index has none: without rows they must go.
            self.cut_back(before)
                .map_err(|error| CommitError::Failed(format!("cutting back failed: {error}")))?;
        }
        visible
    }

    /// Takes durable records back that got no rows.
    fn cut_back(&mut self, to: Position) -> io::Result<()> {
        let core = &self.core;
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        // A group never spans segments: when the segment is younger, it began with the group.
        let keep = if to.segment == active.segment() { to.offset_bytes } else { 0 };
        let gone = active.durable_bytes() - keep;
        active.cut(keep)?;
        *core.durable_end.lock() = Position { segment: active.segment(), offset_bytes: keep };
        core.table.lock().set_file_bytes(active.segment(), keep);
        core.space.shrink(gone);
        Ok(())
    }

    fn make_durable(&mut self) -> Result<(), CommitError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let bytes = active.pending_bytes();
        if bytes == 0 {
            return Ok(());
        }
        let started = Instant::now();
        let synced = active.flush().and_then(|()| before_sync()).map_err(|error| {
            if is_no_space(&error) {
                CommitError::NoSpace
            } else {
                CommitError::Failed(format!("writing failed: {error}"))
            }
        });
        synced?;
        active.sync().map_err(|error| CommitError::Failed(format!("a sync failed: {error}")))?;
        let (segment, durable_bytes) = (active.segment(), active.durable_bytes());
        let core = &self.core;
        *core.durable_end.lock() = Position { segment, offset_bytes: durable_bytes };
        core.table.lock().set_file_bytes(segment, durable_bytes);
        let copied_bytes = |pending: &Pending| match pending {
            Pending::Relocate(relocate) => relocate.shard_bytes(),
            Pending::Put(_) | Pending::Delete(_) => 0,
        };
        core.space.lend(self.pending.iter().map(copied_bytes).sum());
        core.space.grow(bytes);
        if core.space.ease_percent() < 100 {
            // Compaction must not sleep while space goes.
            core.stop.wake();
        }
        self.unchecked_bytes += bytes;
        let telemetry = &core.shared.telemetry;
        telemetry.written_bytes.increment(bytes);
        telemetry.syncs.increment(1);
        telemetry.sync_seconds.record(started.elapsed());
        telemetry.group_writes.record(u32::try_from(self.pending.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    fn make_visible(&mut self) -> Result<(), CommitError> {
        let core = &self.core;
        before_index().map_err(|error| CommitError::Failed(error.to_string()))?;
        match self.changes.commit(core.base(), true) {
            Ok(()) => {}
            Err(IndexError::NoSpace) => {
                core.index_starved.store(true, SeqCst);
                return Err(CommitError::NoSpace);
            }
            Err(error) => {
                core.fail_index(&error);
                return Err(CommitError::Failed(error.to_string()));
            }
        }
        core.shard_count.store(core.table.lock().shard_count(), SeqCst);
        if let Some(Seq(mark)) = self.laid_seq.take() {
            core.mark.fetch_max(mark, SeqCst);
        }
        Ok(())
    }

    /// The last bytes of a group found no space: takes the group back.
    fn commit_without_space(&mut self) {
        if let Err(error) = self.take_group_back() {
            self.core.fail(format!("writing failed: {error}"));
        }
        if self.core.failed().is_some() {
            return self.give_up_group();
        }
        // Only deletions can be left, small enough to be staged; they get one more chance.
        match self.make_durable_and_visible() {
            Ok(()) => self.answer_group(),
            Err(CommitError::Failed(reason)) => {
                self.core.fail(reason);
                self.give_up_group();
            }
            Err(CommitError::NoSpace) => {
                let rewound = self.active.as_mut().map_or(Ok(()), Appender::rewind);
                if let Err(error) = rewound {
                    self.core.fail(format!("writing failed: {error}"));
                }
                self.give_up_group_for(NO_SPACE_FOR_DELETIONS);
            }
        }
    }

    fn answer_group(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Put(put) => {
                    if put.replace {
                        self.core.shared.damaged.remove(&put.key);
                    }
                    put.answer_with(Ok(()));
                }
                Pending::Delete(delete) => {
                    delete.keys.iter().for_each(|key| self.core.shared.damaged.remove(key));
                    delete.answer_with(Ok(()));
                }
                Pending::Relocate(relocate) => relocate.answer_with(Ok(())),
            }
        }
    }

    /// Answers the group with the drive's failure and forgets it.
    fn give_up_group(&mut self) {
        let reason = self.core.offline_reason();
        self.give_up_group_for(&reason);
    }

    fn give_up_group_for(&mut self, reason: &str) {
        self.changes.clear();
        self.laid_seq = None;
        let device = self.core.device();
        let reason = || reason.to_owned();
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Put(put) => {
                    put.answer_with(Err(PutShardError::Offline { device, reason: reason() }));
                }
                Pending::Delete(delete) => {
                    delete
                        .answer_with(Err(DeleteShardsError::Offline { device, reason: reason() }));
                }
                Pending::Relocate(relocate) => relocate.answer_with(Err(RelocateError::Stopped)),
            }
        }
    }

    /// Unlinks a sealed segment in which nothing lives; false when something does.
    fn retire(&mut self, segment: SegmentId) -> bool {
        let core = Arc::clone(&self.core);
        if core.failed().is_some() || segment == core.active_segment() {
            return false;
        }
        let first = Position { segment, offset_bytes: 0 };
        match core.index.has_place_from(first) {
            Ok(false) => {}
            Ok(true) => return false,
            Err(error) => {
                core.fail_index(&error);
                return false;
            }
        }
        if let Err(error) = self.changes.retire(core.base(), segment) {
            core.index_failed(&error);
            return false;
        }
        if !self.checkpoint() || self.check_present().is_err() {
            return false;
        }
        core.files.forget(segment);
        fail_point!("node-store::before-unlink", |_| false);
        let config = core.config();
        let unlinked = match config.vfs.remove_file(&segment_path(&config.directory, segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => SyncSite::SegmentRemoval
                .sync_directory(config.vfs.as_ref(), &config.directory.join(SEGMENT_DIRECTORY)),
        };
        if let Err(error) = unlinked {
            core.fail(format!("unlinking a segment failed: {error}"));
            return false;
        }
        fail_point!("node-store::after-unlink", |_| false);
        // Without space the row stays, marked; the next opening finds it and no file.
        if let Err(error) = core.index.forget_segment(segment) {
            core.index_failed(&error);
        }
        if let Some(entry) = core.table.lock().remove(segment) {
            core.space.take_loan_back();
            core.space.shrink(entry.file_bytes);
        }
        true
    }

    /// Makes the index durable up to the last sync; says whether that worked.
    fn checkpoint(&mut self) -> bool {
        let core = &self.core;
        if core.failed().is_some() {
            return false;
        }
        let checkpoint = Checkpoint {
            uuid: core.superblock.uuid,
            position: *core.durable_end.lock(),
            next_seq: self.next_seq,
            next_segment: self.next_segment,
        };
        self.unchecked_bytes = 0;
        match core.index.write_checkpoint(&checkpoint) {
            Ok(()) => true,
            Err(error) => {
                core.index_failed(&error);
                false
            }
        }
    }

    fn take_seq(&mut self) -> Seq {
        let seq = self.next_seq;
        self.next_seq = Seq(seq.0 + 1);
        seq
    }

    /// An index that does not answer fails the drive.
    fn or_fail<T>(&mut self, result: Result<T, IndexError>) -> Result<T, AppendError> {
        result.map_err(|error| {
            self.core.fail_index(&error);
            AppendError::Failed
        })
    }

    fn put_offline(&self) -> PutShardError {
        PutShardError::Offline { device: self.core.device(), reason: self.core.offline_reason() }
    }

    fn delete_offline(&self) -> DeleteShardsError {
        DeleteShardsError::Offline {
            device: self.core.device(),
            reason: self.core.offline_reason(),
        }
    }
}

/// Why a group did not become durable and visible.
enum CommitError {
    NoSpace,
    Failed(String),
}

fn before_append() -> io::Result<()> {
    fail_point!("node-store::before-append", |_| Err(io::Error::other("failpoint")));
    Ok(())
}

fn before_sync() -> io::Result<()> {
    fail_point!("node-store::after-append-before-sync", |_| Err(io::Error::other("failpoint")));
    Ok(())
}

fn before_index() -> io::Result<()> {
    fail_point!("node-store::after-sync-before-index", |_| Err(io::Error::other("failpoint")));
    Ok(())
}
