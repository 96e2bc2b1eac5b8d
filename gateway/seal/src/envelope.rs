//! Sealing short values under a 32-byte key: the construction shared by everything that is stored
//! sealed, except what is wrapped to a public key.
//!
//! ```text
//! offset  length  field
//!      0       1  version, 1
//!      1      32  salt, random
//!     33       n  ciphertext
//!   33+n      16  tag
//! ```
//! The key of an envelope is HKDF-SHA256 of the sealing key with the salt and the purpose; it
//! encrypts this one value with AES-256-GCM under the all-zero nonce. Keys of different purposes
//! are unrelated, and two envelopes share a key only if 32 random bytes repeat.
//!
//! Invariants:
//! - the purpose names the kind of value and its format version, the context says whose it is;
//!   both must match for a value to be opened;
//! - a version byte is never reused for another layout.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use crate::random::RandomSource;

/// Length of every symmetric key and of X25519 keys in bytes.
pub(crate) const KEY_LEN_BYTES: usize = 32;
/// Length of an envelope's salt in bytes. As long as the key, so repeats are no concern.
const SALT_LEN_BYTES: usize = 32;
/// Length of an AES-GCM tag in bytes.
pub(crate) const TAG_LEN_BYTES: usize = 16;
/// The version byte of the one layout there is.
pub(crate) const VERSION: u8 = 1;
/// What an envelope is longer than its content, in bytes.
pub(crate) const OVERHEAD_BYTES: usize = 1 + SALT_LEN_BYTES + TAG_LEN_BYTES;
/// Length of an envelope around one key, in bytes.
pub(crate) const KEY_ENVELOPE_LEN_BYTES: usize = KEY_LEN_BYTES + OVERHEAD_BYTES;

/// Stored bytes are not a sealed value of the expected kind: written by a newer version, or
/// damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeSealedError {
    /// The version byte is not known.
    #[error("sealed value of version {version} is unknown to this version")]
    Version {
        /// The unknown version.
        version: u8,
    },
    /// The length does not fit the version.
    #[error("a sealed value of this kind is not {len_bytes} bytes long")]
    Len {
        /// The refused length.
        len_bytes: usize,
    },
}

/// An envelope did not open: another key, purpose or context, or damaged bytes. Cryptography
/// cannot tell which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// Seals `content` in a new envelope.
pub(crate) fn seal(
    key: &[u8; KEY_LEN_BYTES],
    purpose: &'static str,
    context: &[u8],
    content: &[u8],
    random: &mut dyn RandomSource,
) -> Vec<u8> {
    let mut envelope = vec![VERSION; content.len() + OVERHEAD_BYTES];
    let (salt, sealed) = envelope[1..].split_at_mut(SALT_LEN_BYTES);
    random.fill(salt);
    let (ciphertext, tag) = sealed.split_at_mut(content.len());
    derive(key, purpose, salt)
        .seal_out_of_place_scatter(zero_nonce(), Aad::from(context), content, ciphertext, &[], tag)
        .expect("the slices are as long as AES-GCM wants them, and short");
    envelope
}

/// Like [`seal`], for a content that is one key.
pub(crate) fn seal_key(
    key: &[u8; KEY_LEN_BYTES],
    purpose: &'static str,
    context: &[u8],
    content: &[u8; KEY_LEN_BYTES],
    random: &mut dyn RandomSource,
) -> [u8; KEY_ENVELOPE_LEN_BYTES] {
    let envelope = seal(key, purpose, context, content, random);
    envelope.try_into().expect("content and overhead add up")
}

/// Opens `envelope` into `content`, which must be [`OVERHEAD_BYTES`] shorter. When refused,
/// `content` is all zeros.
pub(crate) fn open(
    key: &[u8; KEY_LEN_BYTES],
    purpose: &'static str,
    context: &[u8],
    envelope: &[u8],
    content: &mut [u8],
) -> Result<(), Refused> {
    if envelope.len() != content.len() + OVERHEAD_BYTES || envelope[0] != VERSION {
        content.fill(0);
        return Err(Refused);
    }
    let (salt, sealed) = envelope[1..].split_at(SALT_LEN_BYTES);
    let (ciphertext, tag) = sealed.split_at(content.len());
    derive(key, purpose, salt)
        .open_separate_gather(zero_nonce(), Aad::from(context), ciphertext, tag, content)
        .map_err(|_| {
            // The primitive promises nothing about what a refusal leaves behind.
            content.fill(0);
            Refused
        })
}

/// Checks version and length of a stored form of fixed length.
pub(crate) fn decode_fixed<const LEN: usize>(bytes: &[u8]) -> Result<[u8; LEN], DecodeSealedError> {
    let len_bytes = bytes.len();
    match bytes.first() {
        Some(&VERSION) => bytes.try_into().map_err(|_| DecodeSealedError::Len { len_bytes }),
        Some(&version) => Err(DecodeSealedError::Version { version }),
        None => Err(DecodeSealedError::Len { len_bytes }),
    }
}

/// Joins numbers into a context: big-endian, eight bytes each, so that no two lists of the same
/// purpose share one encoding.
pub(crate) fn context_of<const N: usize>(numbers: [u64; N]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Prints a sealed value by its kind only; it is no secret, but nobody can read it either.
pub(crate) fn debug_sealed(f: &mut fmt::Formatter<'_>, kind: &str, len: usize) -> fmt::Result {
    write!(f, "{kind}({len} sealed bytes)")
}

fn derive(key: &[u8; KEY_LEN_BYTES], purpose: &'static str, salt: &[u8]) -> LessSafeKey {
    let secret = Salt::new(HKDF_SHA256, salt).extract(key);
    let info = [purpose.as_bytes()];
    let derived = secret.expand(&info, &AES_256_GCM).expect("32 bytes are within HKDF's limit");
    LessSafeKey::new(UnboundKey::from(derived))
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests;
