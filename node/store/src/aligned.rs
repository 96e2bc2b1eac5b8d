//! Memory that O_DIRECT accepts.
//!
//! Invariant: [`AlignedBuffer`]'s bytes start on a page boundary and never move.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::record::PAGE_BYTES;

/// A fixed-size, page-aligned run of bytes.
pub(crate) struct AlignedBuffer {
    /// One page longer than needed; never grown, so that the allocation stays where it is.
    storage: Box<[u8]>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// A zeroed buffer of at least `len` bytes, rounded up to whole pages.
    pub(crate) fn new(len: usize) -> Self {
        let len = len.next_multiple_of(PAGE_BYTES);
        let storage = vec![0; len + PAGE_BYTES].into_boxed_slice();
        let start = storage.as_ptr().align_offset(PAGE_BYTES);
        assert!(start < PAGE_BYTES, "a byte pointer can be aligned to a page");
        Self { storage, start, len }
    }

    /// Makes room for `len` bytes; the content is lost when it has to grow.
    pub(crate) fn ensure(&mut self, len: usize) {
        if self.len < len {
            *self = Self::new(len);
        }
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

/// Buffers that are used again, because fresh memory costs a page fault per page.
///
/// *Limits:* keeps at most `kept_bytes_max`; buffers beyond are given back to the allocator.
pub(crate) struct BufferPool {
    kept: Mutex<Vec<AlignedBuffer>>,
    kept_bytes_max: usize,
}

impl BufferPool {
    pub(crate) fn new(kept_bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), kept_bytes_max }
    }

    /// A buffer of at least `len` bytes with arbitrary content.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> PooledBuffer {
        let mut kept = self.kept.lock();
        let fitting = kept.iter().position(|buffer| buffer.len() >= len);
        let found = fitting.map(|at| kept.swap_remove(at));
        drop(kept);
        let buffer = found.unwrap_or_else(|| AlignedBuffer::new(len));
        PooledBuffer { buffer: Some(buffer), pool: Arc::clone(self) }
    }
}

/// A buffer that returns to its pool when dropped.
pub(crate) struct PooledBuffer {
    /// Emptied on drop only.
    buffer: Option<AlignedBuffer>,
    pool: Arc<BufferPool>,
}

impl PooledBuffer {
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().expect("the buffer is there until it is dropped")
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().expect("the buffer is there until it is dropped")
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut kept = self.pool.kept.lock();
        let kept_bytes: usize = kept.iter().map(|buffer| buffer.len()).sum();
        if let Some(buffer) = self.buffer.take()
            && kept_bytes + buffer.len() <= self.pool.kept_bytes_max
        {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_whole_pages() {
        for len in [1, 4096, 5000, 1 << 20] {
            let buffer = AlignedBuffer::new(len);
            assert_eq!(buffer.as_ptr().align_offset(PAGE_BYTES), 0);
            assert!(buffer.len() >= len && buffer.len().is_multiple_of(PAGE_BYTES));
        }
    }

    #[test]
    fn the_pool_reuses_buffers_up_to_its_bound() {
        let pool = Arc::new(BufferPool::new(3 * PAGE_BYTES));
        let (one, two) = (pool.take(2 * PAGE_BYTES), pool.take(2 * PAGE_BYTES));
        let address = one.as_ref().as_ptr();
        drop(one);
        drop(two);
        assert_eq!(pool.kept.lock().len(), 1);
        assert_eq!(pool.take(PAGE_BYTES).as_ref().as_ptr(), address);
        assert!(pool.take(3 * PAGE_BYTES).as_ref().len() == 3 * PAGE_BYTES);
    }
}
