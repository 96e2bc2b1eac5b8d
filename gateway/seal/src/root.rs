//! The key that everything else hangs from.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::envelope::KEY_LEN_BYTES;
use crate::random::RandomSource;

/// The key of a cluster's gateways. Losing it loses every object; who has it and the metadata can
/// read every object.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RootKey {
    bytes: [u8; KEY_LEN_BYTES],
}

/// The given bytes are no root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRootKey {
    /// The length is wrong.
    #[error("a root key is {} bytes long, not {len_bytes}", RootKey::LEN_BYTES)]
    Len {
        /// Length of the refused bytes.
        len_bytes: usize,
    },
    /// All bytes are zero: an empty or wiped file, not a key.
    #[error("the root key is all zeros")]
    Zero,
}

impl RootKey {
    /// Length of a root key in bytes.
    pub const LEN_BYTES: usize = KEY_LEN_BYTES;

    /// Makes a new root key.
    #[must_use]
    pub fn generate(random: &mut dyn RandomSource) -> Self {
        let mut key = Self { bytes: [0; KEY_LEN_BYTES] };
        random.fill(&mut key.bytes);
        key
    }

    /// Takes a root key that was stored. The caller zeroes its own copy.
    ///
    /// # Errors
    /// [`InvalidRootKey`] when the bytes have the wrong length or are all zero.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidRootKey> {
        if bytes.len() != KEY_LEN_BYTES {
            return Err(InvalidRootKey::Len { len_bytes: bytes.len() });
        }
        let mut key = Self { bytes: [0; KEY_LEN_BYTES] };
        key.bytes.copy_from_slice(bytes);
        if key.bytes == [0; KEY_LEN_BYTES] {
            return Err(InvalidRootKey::Zero);
        }
        Ok(key)
    }

    /// The key itself, for the file that keeps it.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; KEY_LEN_BYTES] {
        &self.bytes
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::counting_from;

    #[test]
    fn generated_key_comes_back_from_its_bytes() {
        let key = RootKey::generate(&mut counting_from(9));
        assert_eq!(key.expose_bytes()[..3], [9, 10, 11]);
        let again = RootKey::from_bytes(key.expose_bytes()).unwrap();
        assert_eq!(again.expose_bytes(), key.expose_bytes());
    }

    #[test]
    fn wrong_length_and_zeros_are_refused() {
        assert_eq!(
            RootKey::from_bytes(&[1; 31]).unwrap_err(),
            InvalidRootKey::Len { len_bytes: 31 }
        );
        assert_eq!(
            RootKey::from_bytes(&[1; 33]).unwrap_err(),
            InvalidRootKey::Len { len_bytes: 33 }
        );
        assert_eq!(RootKey::from_bytes(&[]).unwrap_err(), InvalidRootKey::Len { len_bytes: 0 });
        assert_eq!(RootKey::from_bytes(&[0; 32]).unwrap_err(), InvalidRootKey::Zero);
    }
}
