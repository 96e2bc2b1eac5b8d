//! One opening of a drive: its threads and the queues that feed them.
//!
//! Threads, per drive: intake (hashes payloads), writer, readers, maintenance. All are plain
//! threads, so the crate works under any runtime and never occupies one.
//!
//! *Cancellation:* a caller that goes away loses the answer; the work is done all the same.
//!
//! *Limits:* every queue is as long as the permits that admit to it; writes and reads beyond are
//! `Busy`, deletes and lists wait.

use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering::SeqCst,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use node_proto::{DeleteShardsError, GetShardError, PutShardError, ShardKey, ShardRoot};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use crate::{
    aligned::AlignedBuffer,
    appender::Appender,
    commands::{Arriving, Delete, Put, PutPermits, WriterCommand},
    config::DriveLimits,
    core::Core,
    maintenance,
    record::{PAGE_BYTES, Position, SegmentId, Seq, record_bytes, root_of},
    scrub::Scrubber,
    writer::Writer,
};

/// Unit of the byte permits: semaphores count in `u32`.
const PERMIT_BYTES: u64 = 1 << 10;
/// Commands of the maintenance thread and stop commands that may be queued on top of the admitted.
const EXTRA_COMMANDS: usize = 8;
/// A reader keeps its buffer up to this size between reads. Chosen: a full-size shard.
const SCRATCH_KEPT_BYTES: usize = 4 << 20;

type ReadJob = Box<dyn FnOnce(&Core, &mut AlignedBuffer) + Send>;

enum IntakeCommand {
    Put(Put),
    Stop,
}

enum ReaderCommand {
    Job(ReadJob),
    Stop,
}

/// What recovery found out about where to write next.
pub(crate) struct WriteStart {
    pub(crate) active: Option<Appender>,
    pub(crate) next_seq: Seq,
    pub(crate) next_segment: SegmentId,
}

pub(crate) struct Session {
    pub(crate) core: Arc<Core>,
    put_slots: Arc<Semaphore>,
    put_bytes: Arc<Semaphore>,
    put_bytes_max: u32,
    delete_slots: Arc<Semaphore>,
    read_slots: Arc<Semaphore>,
    list_slots: Arc<Semaphore>,
    intake: SyncSender<IntakeCommand>,
    writer: SyncSender<WriterCommand>,
    readers: crossbeam_channel::Sender<ReaderCommand>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Session {
    /// Starts the threads of an opening.
    pub(crate) fn start(
        core: Arc<Core>,
        start: WriteStart,
        scrubber: Scrubber,
    ) -> io::Result<Self> {
        let limits = core.config().limits;
        let writer_len = limits.write_queue_len + limits.delete_queue_len + EXTRA_COMMANDS;
        let (intake, intake_commands) = sync_channel(limits.write_queue_len + 1);
        let (writer, writer_commands) = sync_channel(writer_len);
        let reader_len = limits.read_queue_len + limits.list_queue_len + limits.reader_threads;
        // Waking one reader for each job; a receiver behind a lock wakes them one by one.
        let (readers, reader_commands) = crossbeam_channel::bounded(reader_len);
        let session = Self {
            put_slots: Arc::new(Semaphore::new(limits.write_queue_len)),
            put_bytes: Arc::new(Semaphore::new(byte_permits(&limits) as usize)),
            put_bytes_max: byte_permits(&limits),
            delete_slots: Arc::new(Semaphore::new(limits.delete_queue_len)),
            read_slots: Arc::new(Semaphore::new(limits.read_queue_len)),
            list_slots: Arc::new(Semaphore::new(limits.list_queue_len)),
            intake,
            writer: writer.clone(),
            readers,
            threads: Mutex::default(),
            core,
        };
        if let Some(active) = &start.active {
            session.core.active.store(active.segment().0, SeqCst);
        }
        let worker = Writer::new(
            Arc::clone(&session.core),
            start.active,
            start.next_seq,
            start.next_segment,
        );
        session.spawn("writer", move |_| worker.run(&writer_commands))?;
        let to_writer = writer.clone();
        session.spawn("intake", move |core| take_in(core, &intake_commands, &to_writer))?;
        for _ in 0..limits.reader_threads {
            let commands = reader_commands.clone();
            session.spawn("reader", move |core| read(core, &commands))?;
        }
        session.spawn("upkeep", move |core| maintenance::run(core, writer, scrubber))?;
        Ok(session)
    }

    fn spawn(&self, role: &str, work: impl FnOnce(&Arc<Core>) + Send + 'static) -> io::Result<()> {
        let core = Arc::clone(&self.core);
        let name = format!("drive{}-{role}", core.device().0);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let guard = PanicGuard(core);
            work(&guard.0);
        })?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Admits a write and passes it on; the answer comes through the channel.
    pub(crate) fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
        replace: bool,
    ) -> Result<oneshot::Receiver<Result<(), PutShardError>>, PutShardError> {
        let device = self.core.device();
        if self.core.failed().is_some() {
            return Err(self.put_offline());
        }
        let Ok(payload_bytes) = u32::try_from(payload.len()) else {
            // No record is that long, so no drive has room for it.
            return Err(PutShardError::Full { device });
        };
        let payload_bytes = u64::from(payload_bytes);
        let wanted = u32::try_from(payload_bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let busy = |error| match error {
            TryAcquireError::NoPermits => PutShardError::Busy { device },
            TryAcquireError::Closed => self.put_offline(),
        };
        let slot = Arc::clone(&self.put_slots).try_acquire_owned().map_err(busy)?;
        let bytes = Arc::clone(&self.put_bytes)
            .try_acquire_many_owned(wanted.min(self.put_bytes_max))
            .map_err(busy)?;
        let was_easy = self.core.space.ease_percent() > 0;
        let Some(space) = self.core.space.reserve(record_bytes(payload_bytes)) else {
            if was_easy {
                // The first refusal; compaction must not sleep now.
                self.core.stop.wake();
            }
            return Err(PutShardError::Full { device });
        };
        let (answer, answered) = oneshot::channel();
        let put = Put {
            key,
            root,
            payload,
            replace,
            answer,
            permits: PutPermits { slot, bytes, space },
            arriving: Some(Arriving::new(&self.core.arriving)),
        };
        self.intake.try_send(IntakeCommand::Put(put)).map_err(|_| self.put_offline())?;
        Ok(answered)
    }

    /// Passes deletions on, waiting for a slot.
    pub(crate) async fn delete(
        &self,
        keys: Vec<ShardKey>,
    ) -> Result<oneshot::Receiver<Result<(), DeleteShardsError>>, DeleteShardsError> {
        let offline = || DeleteShardsError::Offline {
            device: self.core.device(),
            reason: self.core.offline_reason(),
        };
        let slot = Arc::clone(&self.delete_slots).acquire_owned().await;
        let permit = slot.map_err(|_| offline())?;
        let (answer, answered) = oneshot::channel();
        let delete = Delete { keys, answer, permit };
        self.writer.try_send(WriterCommand::Delete(delete)).map_err(|_| offline())?;
        Ok(answered)
    }

    /// A slot for one read, if there is one.
    pub(crate) fn read_slot(&self) -> Result<OwnedSemaphorePermit, GetShardError> {
        let device = self.core.device();
        Arc::clone(&self.read_slots).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => GetShardError::Busy { device },
            TryAcquireError::Closed => {
                GetShardError::Offline { device, reason: self.core.offline_reason() }
            }
        })
    }

    /// A slot for one list, waiting for it; `None` when the drive closes.
    pub(crate) async fn list_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.list_slots).acquire_owned().await.ok()
    }

    /// Runs `work` on a reader thread. The channel is closed without a value when the drive stops.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        slot: OwnedSemaphorePermit,
        work: impl FnOnce(&Core, &mut AlignedBuffer) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        let job: ReadJob = Box::new(move |core, scratch| {
            // A caller that went away needs neither the read nor the answer.
            if !answer.is_closed() {
                let result = work(core, scratch);
                drop(slot);
                let _ = answer.send(result);
            }
        });
        // When the readers are gone the job is dropped, which closes the channel.
        let _ = self.readers.try_send(ReaderCommand::Job(job));
        answered
    }

    /// Up to where this opening has synced.
    pub(crate) fn durable_end(&self) -> Position {
        *self.core.durable_end.lock()
    }

    /// Tells every thread to end after the work already admitted. Returns at once.
    pub(crate) fn stop(&self) {
        self.core.stop.stop();
        for slots in [
            &self.put_slots,
            &self.put_bytes,
            &self.delete_slots,
            &self.read_slots,
            &self.list_slots,
        ] {
            slots.close();
        }
        // The queues have room for these; a queue that is gone has ended already.
        let _ = self.intake.try_send(IntakeCommand::Stop);
        for _ in 0..self.core.config().limits.reader_threads {
            let _ = self.readers.try_send(ReaderCommand::Stop);
        }
    }

    /// Waits until every thread has ended. Call [`Self::stop`] first.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A panic was noticed by the thread's guard.
            let _ = thread.join();
        }
    }

    fn put_offline(&self) -> PutShardError {
        PutShardError::Offline { device: self.core.device(), reason: self.core.offline_reason() }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
    }
}

fn byte_permits(limits: &DriveLimits) -> u32 {
    u32::try_from(limits.write_queue_bytes / PERMIT_BYTES).unwrap_or(u32::MAX >> 4)
}

/// Takes the drive offline when one of its threads panics.
struct PanicGuard(Arc<Core>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a thread of the drive panicked".to_owned());
        }
    }
}

/// Checks payloads against their roots on the way to the writer.
fn take_in(core: &Core, commands: &Receiver<IntakeCommand>, writer: &SyncSender<WriterCommand>) {
    let pass_on = |put: Put| {
        if root_of(&put.payload) != put.root {
            let key = put.key;
            return put.answer_with(Err(PutShardError::RootMismatch { key }));
        }
        if let Err(refused) = writer.send(WriterCommand::Put(put))
            && let WriterCommand::Put(put) = refused.0
        {
            put.answer_with(Err(PutShardError::Offline {
                device: core.device(),
                reason: core.offline_reason(),
            }));
        }
    };
    while let Ok(IntakeCommand::Put(put)) = commands.recv() {
        pass_on(put);
    }
    while let Ok(command) = commands.try_recv() {
        if let IntakeCommand::Put(put) = command {
            pass_on(put);
        }
    }
    // A writer that is gone needs no stop.
    let _ = writer.send(WriterCommand::Stop);
}

/// Runs read jobs.
fn read(core: &Core, commands: &crossbeam_channel::Receiver<ReaderCommand>) {
    let mut scratch = AlignedBuffer::new(PAGE_BYTES);
    while let Ok(ReaderCommand::Job(job)) = commands.recv() {
        job(core, &mut scratch);
        if scratch.len() > SCRATCH_KEPT_BYTES {
            scratch = AlignedBuffer::new(PAGE_BYTES);
        }
    }
}
