//! HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, for
//! one message per encapsulated key.
//!
//! Invariants:
//! - the message is encrypted with sequence number 0 and the encapsulated key is never used again;
//! - nothing of the `hpke` crate shows outside of this module.

use std::convert::Infallible;

use hpke::aead::{AeadTag, AesGcm256};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::envelope::{KEY_LEN_BYTES, Refused, TAG_LEN_BYTES};
use crate::random::RandomSource;

/// Length of an encapsulated key in bytes (RFC 9180, table 2).
pub(crate) const ENCAPSULATED_LEN_BYTES: usize = 32;

type Suite = X25519HkdfSha256;

/// An X25519 private key; zeroed when dropped.
pub(crate) struct PrivateKey(<Suite as Kem>::PrivateKey);

/// An X25519 public key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(<Suite as Kem>::PublicKey);

impl PrivateKey {
    pub(crate) fn generate(random: &mut dyn RandomSource) -> Self {
        let mut material = Zeroizing::new([0; KEY_LEN_BYTES]);
        random.fill(material.as_mut_slice());
        Self(Suite::derive_keypair(material.as_slice()).0)
    }

    pub(crate) fn from_bytes(bytes: &[u8; KEY_LEN_BYTES]) -> Self {
        let key = <Suite as Kem>::PrivateKey::from_bytes(bytes);
        Self(key.expect("every 32 bytes are an X25519 private key"))
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; KEY_LEN_BYTES]> {
        let mut bytes = Zeroizing::new([0; KEY_LEN_BYTES]);
        self.0.write_exact(bytes.as_mut_slice());
        bytes
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey(Suite::sk_to_pk(&self.0))
    }
}

impl PublicKey {
    pub(crate) fn from_bytes(bytes: [u8; KEY_LEN_BYTES]) -> Self {
        let key = <Suite as Kem>::PublicKey::from_bytes(&bytes);
        Self(key.expect("every 32 bytes are an X25519 public key"))
    }

    pub(crate) fn to_bytes(&self) -> [u8; KEY_LEN_BYTES] {
        let mut bytes = [0; KEY_LEN_BYTES];
        self.0.write_exact(&mut bytes);
        bytes
    }
}

/// What a message is encrypted for: both must be given again to open it.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    /// Bound into the key schedule.
    pub(crate) info: &'a [u8],
    /// Bound into the tag.
    pub(crate) aad: &'a [u8],
}

/// Encrypts `message` in place.
///
/// # Errors
/// [`Refused`] when `recipient` is a point of low order, which has no private key.
pub(crate) fn seal_in_place(
    recipient: &PublicKey,
    binding: Binding<'_>,
    message: &mut [u8],
    random: &mut dyn RandomSource,
) -> Result<([u8; ENCAPSULATED_LEN_BYTES], [u8; TAG_LEN_BYTES]), Refused> {
    let (encapsulated, tag) =
        hpke::single_shot_seal_inout_detached_with_rng::<AesGcm256, HkdfSha256, Suite>(
            &OpModeS::Base,
            &recipient.0,
            binding.info,
            InOutBuf::from(message),
            binding.aad,
            &mut SuiteRandom(random),
        )
        .map_err(|_| Refused)?;
    let mut encapsulated_bytes = [0; ENCAPSULATED_LEN_BYTES];
    encapsulated.write_exact(&mut encapsulated_bytes);
    let mut tag_bytes = [0; TAG_LEN_BYTES];
    tag.write_exact(&mut tag_bytes);
    Ok((encapsulated_bytes, tag_bytes))
}

/// Decrypts `message` in place. When refused, `message` is all zeros.
///
/// # Errors
/// [`Refused`] when the message was encrypted to another key or for another binding, or is
/// damaged.
pub(crate) fn open_in_place(
    recipient: &PrivateKey,
    binding: Binding<'_>,
    encapsulated: &[u8; ENCAPSULATED_LEN_BYTES],
    message: &mut [u8],
    tag: &[u8; TAG_LEN_BYTES],
) -> Result<(), Refused> {
    let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(encapsulated);
    let tag = AeadTag::<AesGcm256>::from_bytes(tag);
    hpke::single_shot_open_inout_detached::<AesGcm256, HkdfSha256, Suite>(
        &OpModeR::Base,
        &recipient.0,
        &encapsulated.expect("every 32 bytes are an encapsulated key"),
        binding.info,
        InOutBuf::from(&mut *message),
        binding.aad,
        &tag.expect("every 16 bytes are a tag"),
    )
    .map_err(|_| {
        message.fill(0);
        Refused
    })
}

/// Lets the `hpke` crate draw from a [`RandomSource`].
struct SuiteRandom<'a>(&'a mut dyn RandomSource);

impl TryRng for SuiteRandom<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for SuiteRandom<'_> {}

#[cfg(test)]
mod tests;
