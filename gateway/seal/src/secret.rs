//! Short secrets that the gateway itself must read again: S3 secret keys, the token signing key.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::envelope::{self, DecodeSealedError, OVERHEAD_BYTES, VERSION};
use crate::random::RandomSource;
use crate::root::RootKey;

/// Longest secret in bytes. Chosen: room for an RSA-4096 private key in PEM.
pub const SECRET_LEN_BYTES_MAX: usize = 8 << 10;

const PURPOSE: &str = "datamesh secret v1";

/// A secret as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    envelope: Vec<u8>,
}

/// A secret in the clear; zeroed when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct OpenedSecret {
    bytes: Vec<u8>,
}

/// A secret was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealSecretError {
    /// The secret is too long.
    #[error("a secret of {len_bytes} bytes is longer than {}", SECRET_LEN_BYTES_MAX)]
    TooLong {
        /// Its length.
        len_bytes: usize,
    },
}

/// A stored secret did not open. The root key is another one, or the stored bytes were damaged or
/// moved here from another context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed secret of {context:?} does not open with this root key")]
pub struct OpenSecretError {
    /// The context it was expected to belong to.
    pub context: String,
}

/// Seals `secret` under the root key, for one use only: `context` says which, for example the
/// kind of secret and the access key it belongs to, and must be given again to open it.
///
/// # Errors
/// [`SealSecretError`] when the secret is longer than [`SECRET_LEN_BYTES_MAX`].
pub fn seal_secret(
    root: &RootKey,
    context: &str,
    secret: &[u8],
    random: &mut dyn RandomSource,
) -> Result<SealedSecret, SealSecretError> {
    let len_bytes = secret.len();
    if len_bytes > SECRET_LEN_BYTES_MAX {
        return Err(SealSecretError::TooLong { len_bytes });
    }
    let envelope = envelope::seal(root.expose_bytes(), PURPOSE, context.as_bytes(), secret, random);
    Ok(SealedSecret { envelope })
}

/// Opens what [`seal_secret`] sealed under the same root key and context.
///
/// # Errors
/// [`OpenSecretError`] when key or context differ, or the sealed bytes are damaged.
pub fn open_secret(
    root: &RootKey,
    context: &str,
    sealed: &SealedSecret,
) -> Result<OpenedSecret, OpenSecretError> {
    let mut secret = OpenedSecret { bytes: vec![0; sealed.envelope.len() - OVERHEAD_BYTES] };
    envelope::open(
        root.expose_bytes(),
        PURPOSE,
        context.as_bytes(),
        &sealed.envelope,
        &mut secret.bytes,
    )
    .map_err(|_| OpenSecretError { context: context.to_owned() })?;
    Ok(secret)
}

impl SealedSecret {
    /// The stored form: version, salt, ciphertext, tag; 49 bytes longer than the secret.
    #[must_use]
    pub fn encode(&self) -> &[u8] {
        &self.envelope
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeSealedError`] when the version is unknown or the length impossible.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeSealedError> {
        let len_bytes = bytes.len();
        match bytes.first() {
            Some(&version) if version != VERSION => Err(DecodeSealedError::Version { version }),
            Some(_)
                if (OVERHEAD_BYTES..=OVERHEAD_BYTES + SECRET_LEN_BYTES_MAX)
                    .contains(&len_bytes) =>
            {
                Ok(Self { envelope: bytes.to_vec() })
            }
            _ => Err(DecodeSealedError::Len { len_bytes }),
        }
    }
}

impl OpenedSecret {
    /// The secret itself.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        envelope::debug_sealed(f, "SealedSecret", self.envelope.len())
    }
}

impl fmt::Debug for OpenedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedSecret(..)")
    }
}

#[cfg(test)]
mod tests;
