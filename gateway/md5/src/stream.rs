//! One stream: its state, and the bytes that do not fill a step yet.
//!
//! Invariants:
//! - `partial` holds the last `len_bytes % 64` bytes; everything before them is in `state`.

use crate::rounds::{INITIAL_STATE, STEP_LEN_BYTES, State};
use crate::scalar;

/// Bytes of a digest. Source: RFC 1321.
pub const DIGEST_LEN_BYTES: usize = 16;

/// Where the length begins in the last step. Source: RFC 1321, section 3.2.
const LEN_OFFSET: usize = STEP_LEN_BYTES - 8;

/// The running MD5 of one stream.
#[derive(Clone)]
pub struct Md5 {
    pub(crate) state: State,
    len_bytes: u64,
    partial: [u8; STEP_LEN_BYTES],
}

/// Bytes of an update, divided.
pub(crate) type Steps<'a> = &'a [[u8; STEP_LEN_BYTES]];

impl Default for Md5 {
    fn default() -> Self {
        Self::new()
    }
}

impl Md5 {
    /// The MD5 of no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: INITIAL_STATE, len_bytes: 0, partial: [0; STEP_LEN_BYTES] }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> [u8; DIGEST_LEN_BYTES] {
        let mut md5 = Self::new();
        md5.update(bytes);
        md5.finish()
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        let steps = self.take_ends(bytes);
        scalar::advance(&mut self.state, steps);
    }

    /// The digest of everything that was taken.
    #[must_use]
    pub fn finish(mut self) -> [u8; DIGEST_LEN_BYTES] {
        let bits = self.len_bytes.wrapping_mul(8).to_le_bytes();
        let used = self.partial_len();
        self.partial[used] = 0x80;
        self.partial[used + 1..].fill(0);
        if used >= LEN_OFFSET {
            scalar::advance(&mut self.state, &[self.partial]);
            self.partial.fill(0);
        }
        self.partial[LEN_OFFSET..].copy_from_slice(&bits);
        scalar::advance(&mut self.state, &[self.partial]);
        let mut digest = [0; DIGEST_LEN_BYTES];
        let (words, _) = digest.as_chunks_mut::<4>();
        for (out, word) in words.iter_mut().zip(self.state) {
            *out = word.to_le_bytes();
        }
        digest
    }

    fn partial_len(&self) -> usize {
        (self.len_bytes % STEP_LEN_BYTES as u64) as usize
    }

    /// Takes what completes the step that was begun, and the bytes after the last whole step.
    /// Returns the whole steps between, over which the caller advances the state.
    pub(crate) fn take_ends<'a>(&mut self, bytes: &'a [u8]) -> Steps<'a> {
        let used = self.partial_len();
        self.len_bytes = self.len_bytes.wrapping_add(bytes.len() as u64);
        let missing = (STEP_LEN_BYTES - used) % STEP_LEN_BYTES;
        if bytes.len() < missing {
            self.partial[used..used + bytes.len()].copy_from_slice(bytes);
            return &[];
        }
        let (completing, rest) = bytes.split_at(missing);
        if !completing.is_empty() {
            self.partial[used..].copy_from_slice(completing);
            scalar::advance(&mut self.state, &[self.partial]);
        }
        let (steps, tail) = rest.as_chunks();
        self.partial[..tail.len()].copy_from_slice(tail);
        steps
    }
}

impl std::fmt::Debug for Md5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Md5").field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}
