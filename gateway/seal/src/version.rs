//! The key of one version, for versions that are sealed under somebody else's key as well.
//!
//! Its bytes come from a client (SSE-C) or from a key service (SSE-KMS). Together with the bucket
//! key it makes the key that the version's data keys are wrapped under, so that neither opens a
//! body without the other:
//!
//! ```text
//! wrapping key = HKDF-SHA256(no salt, bucket key · version key, "datamesh foreign wrapping key v1")
//! check        = HKDF-SHA256(salt, version key, "datamesh version key check v1")
//! tag          = HKDF-SHA256(manifest id, version key, "datamesh opaque etag v1" · digest)
//! mask         = HKDF-SHA256(manifest id, version key, "datamesh checksum mask v1" · algorithm)
//! ```
//!
//! Invariants:
//! - the four are unrelated to each other and to every other key: each has a purpose of its own;
//! - what is derived and stored (check, tag) tells nothing of the key, which has 256 bits.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::envelope::KEY_LEN_BYTES;
use crate::random::RandomSource;

const WRAPPING: &[u8] = b"datamesh foreign wrapping key v1";
const CHECK: &[u8] = b"datamesh version key check v1";
const TAG: &[u8] = b"datamesh opaque etag v1";
const MASK: &[u8] = b"datamesh checksum mask v1";

/// The key of one version, of one upload, or of all versions that a client seals with it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct VersionKey {
    bytes: [u8; KEY_LEN_BYTES],
}

impl VersionKey {
    /// Length of a version key in bytes.
    pub const LEN_BYTES: usize = KEY_LEN_BYTES;
    /// Length of the salt of [`Self::check`] in bytes: enough that none repeats.
    pub const SALT_LEN_BYTES: usize = 16;
    /// Length of the longest [`Self::mask`] in bytes: that of the longest checksum.
    pub const MASK_LEN_BYTES_MAX: usize = 32;

    /// Makes a new key.
    #[must_use]
    pub fn generate(random: &mut dyn RandomSource) -> Self {
        let mut key = Self { bytes: [0; KEY_LEN_BYTES] };
        random.fill(&mut key.bytes);
        key
    }

    /// Takes a key that somebody else keeps. The caller zeroes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_LEN_BYTES]) -> Self {
        Self { bytes: *bytes }
    }

    /// The key itself, for a key service that seals it.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; KEY_LEN_BYTES] {
        &self.bytes
    }

    /// What is stored so that another key can be refused.
    #[must_use]
    pub fn check(&self, salt: &[u8; Self::SALT_LEN_BYTES]) -> [u8; 32] {
        let mut check = [0; 32];
        derive(salt, &self.bytes, &[CHECK], &mut check);
        check
    }

    /// Whether `check` was made from this key and `salt`. Takes the same time for any other key.
    #[must_use]
    pub fn matches(&self, salt: &[u8; Self::SALT_LEN_BYTES], check: &[u8; 32]) -> bool {
        verify_slices_are_equal(&self.check(salt), check).is_ok()
    }

    /// A validator of a body that tells nothing of its digest without the key, and is another for
    /// every manifest.
    #[must_use]
    pub fn opaque_tag(&self, manifest_id: u64, digest: &[u8; 16]) -> [u8; 16] {
        let mut tag = [0; 16];
        derive(&manifest_id.to_be_bytes(), &self.bytes, &[TAG, digest], &mut tag);
        tag
    }

    /// Hides or shows the checksum of a body in place; another mask for every manifest and
    /// algorithm.
    ///
    /// # Panics
    /// When it is longer than [`Self::MASK_LEN_BYTES_MAX`].
    pub fn mask(&self, manifest_id: u64, algorithm: u8, checksum: &mut [u8]) {
        assert!(checksum.len() <= Self::MASK_LEN_BYTES_MAX, "no checksum is that long");
        let mut mask = Zeroizing::new([0; Self::MASK_LEN_BYTES_MAX]);
        let salt = manifest_id.to_be_bytes();
        derive(&salt, &self.bytes, &[MASK, &[algorithm]], mask.as_mut_slice());
        checksum.iter_mut().zip(mask.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }

    /// The key that data keys are wrapped under instead of `bucket_key` alone.
    pub(crate) fn wrapping_key(
        &self,
        bucket_key: &[u8; KEY_LEN_BYTES],
    ) -> Zeroizing<[u8; KEY_LEN_BYTES]> {
        let mut both = Zeroizing::new([0; 2 * KEY_LEN_BYTES]);
        both[..KEY_LEN_BYTES].copy_from_slice(bucket_key);
        both[KEY_LEN_BYTES..].copy_from_slice(&self.bytes);
        let mut key = Zeroizing::new([0; KEY_LEN_BYTES]);
        derive(&[], both.as_slice(), &[WRAPPING], key.as_mut_slice());
        key
    }
}

impl fmt::Debug for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionKey(..)")
    }
}

/// How many bytes to derive.
#[derive(Clone, Copy)]
struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(salt: &[u8], key: &[u8], info: &[&[u8]], out: &mut [u8]) {
    let secret = Salt::new(HKDF_SHA256, salt).extract(key);
    let derived =
        secret.expand(info, Len(out.len())).expect("short lengths are within HKDF's limit");
    derived.fill(out).expect("the length is the one asked for");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::counting_from;

    fn key() -> VersionKey {
        VersionKey::generate(&mut counting_from(7))
    }

    #[test]
    fn what_is_derived_is_golden() {
        let salt = [3; 16];
        assert_eq!(hex::encode(key().check(&salt)), CHECK_GOLDEN);
        assert_eq!(hex::encode(key().opaque_tag(5, &[1; 16])), TAG_GOLDEN);
        assert_eq!(hex::encode(key().wrapping_key(&[9; 32]).as_slice()), WRAPPING_GOLDEN);
        let mut masked = [0; 32];
        key().mask(5, 2, &mut masked);
        assert_eq!(hex::encode(masked), MASK_GOLDEN);
    }

    // Computed by another implementation of HKDF.
    const CHECK_GOLDEN: &str = "8becc8917ff97d0032282b1416f95bf4639e03c006d2d5375b3f0fa77d28a9fb";
    const TAG_GOLDEN: &str = "06b06f1615d93a180c25967ca955e349";
    const WRAPPING_GOLDEN: &str =
        "202daa74e4e573adf5341da750649e128af602785f048d8f1fcc177aff9bc9ee";
    const MASK_GOLDEN: &str = "a7760a9f04f0111efb817d7b82aad164f539248f240b7f5055eee09387705e56";

    #[test]
    fn only_the_key_itself_passes_its_check() {
        let check = key().check(&[3; 16]);
        assert!(key().matches(&[3; 16], &check));
        assert!(!key().matches(&[4; 16], &check));
        let other = VersionKey::from_bytes(&[8; 32]);
        assert!(!other.matches(&[3; 16], &check));
    }

    #[test]
    fn tags_differ_by_key_manifest_and_digest() {
        let tag = key().opaque_tag(5, &[1; 16]);
        assert_ne!(tag, key().opaque_tag(6, &[1; 16]));
        assert_ne!(tag, key().opaque_tag(5, &[2; 16]));
        assert_ne!(tag, VersionKey::from_bytes(&[8; 32]).opaque_tag(5, &[1; 16]));
        assert_ne!(tag, [1; 16]);
    }

    #[test]
    fn a_mask_undoes_itself_and_nothing_else_does() {
        let mut checksum = *b"checksum";
        key().mask(5, 2, &mut checksum);
        assert_ne!(&checksum, b"checksum");
        let hidden = checksum;
        key().mask(5, 2, &mut checksum);
        assert_eq!(&checksum, b"checksum");
        for (manifest, algorithm) in [(6, 2), (5, 3)] {
            let mut other = hidden;
            key().mask(manifest, algorithm, &mut other);
            assert_ne!(&other, b"checksum");
        }
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", key()), "VersionKey(..)");
    }
}
