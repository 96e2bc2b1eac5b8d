//! The key of a key service, which seals version keys.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::envelope::{self, DecodeSealedError, KEY_ENVELOPE_LEN_BYTES, KEY_LEN_BYTES};
use crate::random::RandomSource;
use crate::version::VersionKey;

const PURPOSE: &str = "datamesh service key v1";

/// A key service's key. Never leaves the service in the clear.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ServiceKey {
    bytes: [u8; KEY_LEN_BYTES],
}

/// A version key as it is stored: sealed under a [`ServiceKey`] for one context. Its layout is
/// that of every envelope: version, salt, ciphertext, tag.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedVersionKey {
    envelope: [u8; KEY_ENVELOPE_LEN_BYTES],
}

/// A sealed version key did not open: it was sealed under another key or for another context, or
/// is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed version key does not open with this key and context")]
pub struct OpenVersionKeyError;

/// Bytes are no service key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a service key is {} bytes long, not {len_bytes}", ServiceKey::LEN_BYTES)]
pub struct InvalidServiceKey {
    /// Length of the refused bytes.
    pub len_bytes: usize,
}

impl ServiceKey {
    /// Length of a service key in bytes.
    pub const LEN_BYTES: usize = KEY_LEN_BYTES;

    /// Makes a new key.
    #[must_use]
    pub fn generate(random: &mut dyn RandomSource) -> Self {
        let mut key = Self { bytes: [0; KEY_LEN_BYTES] };
        random.fill(&mut key.bytes);
        key
    }

    /// Takes a key that was stored sealed. The caller zeroes its own copy.
    ///
    /// # Errors
    /// [`InvalidServiceKey`] when the length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidServiceKey> {
        let len_bytes = bytes.len();
        let bytes = bytes.try_into().map_err(|_| InvalidServiceKey { len_bytes })?;
        Ok(Self { bytes })
    }

    /// The key itself, to be sealed under the root key.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; KEY_LEN_BYTES] {
        &self.bytes
    }

    /// Seals a version key for storage. `context` must be given again to open it.
    #[must_use]
    pub fn seal(
        &self,
        context: &[u8],
        key: &VersionKey,
        random: &mut dyn RandomSource,
    ) -> SealedVersionKey {
        let content = key.expose_bytes();
        let envelope = envelope::seal_key(&self.bytes, PURPOSE, context, content, random);
        SealedVersionKey { envelope }
    }

    /// Opens what [`Self::seal`] sealed for the same context.
    ///
    /// # Errors
    /// [`OpenVersionKeyError`].
    pub fn open(
        &self,
        context: &[u8],
        sealed: &SealedVersionKey,
    ) -> Result<VersionKey, OpenVersionKeyError> {
        let mut bytes = zeroize::Zeroizing::new([0; KEY_LEN_BYTES]);
        envelope::open(&self.bytes, PURPOSE, context, &sealed.envelope, bytes.as_mut_slice())
            .map_err(|_| OpenVersionKeyError)?;
        Ok(VersionKey::from_bytes(&bytes))
    }
}

impl SealedVersionKey {
    /// Length of [`Self::encode`]'s result in bytes.
    pub const ENCODED_LEN: usize = KEY_ENVELOPE_LEN_BYTES;

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        self.envelope
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeSealedError`] when the version is unknown or the length wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeSealedError> {
        Ok(Self { envelope: envelope::decode_fixed(bytes)? })
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceKey(..)")
    }
}

impl fmt::Debug for SealedVersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        envelope::debug_sealed(f, "SealedVersionKey", self.envelope.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::counting_from;

    fn sealed() -> SealedVersionKey {
        let key = VersionKey::generate(&mut counting_from(60));
        service().seal(b"context", &key, &mut counting_from(100))
    }

    fn service() -> ServiceKey {
        ServiceKey::generate(&mut counting_from(1))
    }

    #[test]
    fn sealed_version_key_bytes_are_golden() {
        assert_eq!(hex::encode(sealed().encode()), GOLDEN);
        let stored = SealedVersionKey::decode(&hex::decode(GOLDEN).unwrap()).unwrap();
        let opened = service().open(b"context", &stored).unwrap();
        let key = VersionKey::generate(&mut counting_from(60));
        assert_eq!(opened.expose_bytes(), key.expose_bytes());
    }

    const GOLDEN: &str = "016465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283e0565765cfd8797bd64ccec6913cbdd9ae2e9313e07c2348fbf1bf8e5043c7c83195b040e18641a64ff26da7a2c1c246";

    #[test]
    fn another_key_or_context_opens_nothing() {
        let refused = |opened: Result<VersionKey, _>| opened.map(drop) == Err(OpenVersionKeyError);
        assert!(refused(service().open(b"other", &sealed())));
        let other = ServiceKey::from_bytes(&[5; 32]).unwrap();
        assert!(refused(other.open(b"context", &sealed())));
        let mut damaged = sealed();
        damaged.envelope[40] ^= 1;
        assert!(refused(service().open(b"context", &damaged)));
    }

    #[test]
    fn stored_keys_of_another_length_are_refused() {
        let refused = ServiceKey::from_bytes(&[1; 31]).map(drop);
        assert_eq!(refused, Err(InvalidServiceKey { len_bytes: 31 }));
        assert!(SealedVersionKey::decode(&[1; 80]).is_err());
        assert_eq!(format!("{:?}", service()), "ServiceKey(..)");
    }
}
