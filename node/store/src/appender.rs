//! Laying records into the active segment.
//!
//! Invariants:
//! - bytes reach the file in whole pages and in order;
//! - what was laid since the last sync can be taken back as if it had never been.

use std::{io, sync::Arc};

use crate::{
    aligned::AlignedBuffer,
    durability::SyncSite,
    record::{PAGE_BYTES, SegmentId},
    vfs::VfsFile,
};

/// Bytes handed to the file at once. Measured: 1 MiB writes reach the speed of larger ones.
const STAGING_BYTES: usize = 1 << 20;

/// The segment being written.
pub(crate) struct Appender {
    file: Arc<dyn VfsFile>,
    segment: SegmentId,
    staging: AlignedBuffer,
    staged: usize,
    /// Where the staged bytes go.
    flushed_bytes: u64,
    durable_bytes: u64,
}

impl Appender {
    /// Continues `file`, which is durable up to `len_bytes`, a page boundary.
    pub(crate) fn new(file: Arc<dyn VfsFile>, segment: SegmentId, len_bytes: u64) -> Self {
        assert!(len_bytes.is_multiple_of(PAGE_BYTES as u64), "segments end on a page boundary");
        Self {
            file,
            segment,
            staging: AlignedBuffer::new(STAGING_BYTES),
            staged: 0,
            flushed_bytes: len_bytes,
            durable_bytes: len_bytes,
        }
    }

    pub(crate) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Where the next byte goes.
    pub(crate) fn end_bytes(&self) -> u64 {
        self.flushed_bytes + self.staged as u64
    }

    /// Bytes laid since the last sync.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.end_bytes() - self.durable_bytes
    }

    pub(crate) fn durable_bytes(&self) -> u64 {
        self.durable_bytes
    }

    pub(crate) fn lay(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.staging.len() - self.staged;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.staging[self.staged..self.staged + now.len()].copy_from_slice(now);
            self.staged += now.len();
            bytes = later;
            self.flush_when_full()?;
        }
        Ok(())
    }

    /// Lays zeros up to the next page boundary.
    pub(crate) fn pad(&mut self) -> io::Result<()> {
        let end = self.staged.next_multiple_of(PAGE_BYTES);
        self.staging[self.staged..end].fill(0);
        self.staged = end;
        self.flush_when_full()
    }

    /// Makes everything laid so far durable. Ends with a whole record, hence a whole page.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        SyncSite::SegmentGroup.sync_data(self.file.as_ref())?;
        self.durable_bytes = self.flushed_bytes;
        Ok(())
    }

    /// Writes what is staged without syncing it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        assert!(self.staged.is_multiple_of(PAGE_BYTES), "records end on a page boundary");
        if self.staged > 0 {
            self.file.write_all_at(&self.staging[..self.staged], self.flushed_bytes)?;
            self.flushed_bytes += self.staged as u64;
            self.staged = 0;
        }
        Ok(())
    }

    /// Takes back everything laid since the last sync.
    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        self.staged = 0;
        self.flushed_bytes = self.durable_bytes;
        self.file.set_len(self.durable_bytes)
    }

    /// Cuts durable bytes off again.
    pub(crate) fn cut(&mut self, len_bytes: u64) -> io::Result<()> {
        self.durable_bytes = len_bytes;
        self.rewind()?;
        SyncSite::SegmentCut.sync_data(self.file.as_ref())
    }

    fn flush_when_full(&mut self) -> io::Result<()> {
        if self.staged == self.staging.len() { self.flush() } else { Ok(()) }
    }
}
