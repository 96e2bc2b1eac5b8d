//! Memory that O_DIRECT accepts.
//!
//! Invariant: [`AlignedBuffer`]'s bytes start on a page boundary and never move.

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
        assert!(
            start < PAGE_BYTES,
            "a byte pointer can be aligned to a page"
        );
        Self {
            storage,
            start,
            len,
        }
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
}
