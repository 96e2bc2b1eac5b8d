//! Documents that a cluster's gateways sign and its nodes verify.
//!
//! Invariants:
//! - what is signed is a domain label, a zero byte and the exact bytes that travel, so that a
//!   signature over one kind of document is none over another;
//! - nothing of a document is looked at before its signature was verified.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    ByteRange, ClusterId, DeviceId, Epoch, Layout, PeerKey, ShardKey, ShardRoot, UnixMillis,
};

/// Length of an Ed25519 signature in bytes.
pub const SIGNATURE_LEN_BYTES: usize = 64;

/// Longest signed document in bytes. Chosen: a layout of 10,000 devices takes about one megabyte.
pub const DOCUMENT_LEN_BYTES_MAX: usize = 4 << 20;

/// Signs in the name of a cluster. Only its gateways have it.
pub struct ClusterKey(Ed25519KeyPair);

/// Verifies what a [`ClusterKey`] signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterPublicKey(pub [u8; 32]);

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

impl std::fmt::Debug for ClusterPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterPublicKey(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ")")
    }
}

impl ClusterKey {
    /// The key of a secret seed; every gateway of a cluster derives the same.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed"))
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn public(&self) -> ClusterPublicKey {
        let bytes = self.0.public_key().as_ref().try_into();
        ClusterPublicKey(bytes.expect("an Ed25519 public key is 32 bytes long"))
    }

    /// Signs a document.
    #[must_use]
    pub fn sign<T: Document>(&self, document: &T) -> Signed<T> {
        let body = postcard::to_extend(document, Vec::new())
            .expect("documents hold only types that postcard can encode, and memory grows");
        let signature = self.0.sign(&message::<T>(&body));
        let signature = Bytes::copy_from_slice(signature.as_ref());
        Signed { body: Bytes::from(body), signature, document: std::marker::PhantomData }
    }
}

/// A kind of document that is signed.
pub trait Document: Serialize + DeserializeOwned {
    /// Names the kind and its version. Part of what is signed.
    const LABEL: &'static str;
}

impl Document for Layout {
    const LABEL: &'static str = "datamesh layout v1";
}

/// Leave to read one range of one shard from one device, for one peer, until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOrder {
    /// The cluster; another one's orders are void.
    pub cluster: ClusterId,
    /// Random; an order is good for one use.
    pub nonce: [u8; 16],
    /// The layout that the order was made under; older ones than the reader's last are void.
    pub epoch: Epoch,
    /// The peer that holds the shard.
    pub source: PeerKey,
    /// The device of that peer.
    pub source_device: DeviceId,
    /// The peer that may read it.
    pub reader: PeerKey,
    /// The shard.
    pub key: ShardKey,
    /// Its root.
    pub root: ShardRoot,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// When the order ends, by the source's clock.
    pub expires: UnixMillis,
}

impl CopyOrder {
    /// What may be read.
    #[must_use]
    pub fn range(&self) -> ByteRange {
        ByteRange { offset_bytes: 0, len_bytes: self.len_bytes }
    }
}

impl Document for CopyOrder {
    const LABEL: &'static str = "datamesh copy order v1";
}

/// A document and the signature over its exact bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// The document as it was signed.
    pub body: Bytes,
    /// [`SIGNATURE_LEN_BYTES`] bytes.
    pub signature: Bytes,
    #[serde(skip)]
    document: std::marker::PhantomData<fn() -> T>,
}

/// A layout as it travels.
pub type SignedLayout = Signed<Layout>;

/// A copy order as it travels.
pub type SignedCopyOrder = Signed<CopyOrder>;

/// Why a signed document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// It was altered, or another key signed it.
    #[error("the signature does not fit the document")]
    Signature,
    /// It is longer than any document.
    #[error("the document is {len_bytes} bytes long, more than {DOCUMENT_LEN_BYTES_MAX}")]
    TooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// The signature is right, and the document is of a version this program does not know.
    #[error("the document cannot be understood")]
    Unreadable,
}

impl<T: Document> Signed<T> {
    /// A document that came from elsewhere; not verified.
    #[must_use]
    pub fn from_parts(body: Bytes, signature: Bytes) -> Self {
        Self { body, signature, document: std::marker::PhantomData }
    }

    /// The document, if `key` signed it.
    ///
    /// # Errors
    /// [`InvalidDocument`].
    pub fn verify(&self, key: &ClusterPublicKey) -> Result<T, InvalidDocument> {
        let len_bytes = self.body.len();
        if len_bytes > DOCUMENT_LEN_BYTES_MAX {
            return Err(InvalidDocument::TooLong { len_bytes });
        }
        UnparsedPublicKey::new(&ED25519, &key.0)
            .verify(&message::<T>(&self.body), &self.signature)
            .map_err(|_| InvalidDocument::Signature)?;
        match postcard::take_from_bytes(&self.body) {
            Ok((document, [])) => Ok(document),
            _ => Err(InvalidDocument::Unreadable),
        }
    }
}

fn message<T: Document>(body: &[u8]) -> Vec<u8> {
    [T::LABEL.as_bytes(), &[0], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManifestId, ShardIndex, StripeSeq};

    fn order() -> CopyOrder {
        CopyOrder {
            cluster: ClusterId([1; 16]),
            nonce: [2; 16],
            epoch: Epoch(3),
            source: PeerKey([4; 32]),
            source_device: DeviceId(5),
            reader: PeerKey([6; 32]),
            key: ShardKey { manifest: ManifestId(7), stripe: StripeSeq(8), index: ShardIndex(9) },
            root: ShardRoot([10; 32]),
            len_bytes: 11,
            expires: UnixMillis(12),
        }
    }

    #[test]
    fn signed_documents_verify_and_altered_ones_do_not() {
        let key = ClusterKey::from_seed(&[7; 32]);
        let signed = key.sign(&order());
        assert_eq!(signed.verify(&key.public()), Ok(order()));
        for bit in 0..signed.body.len() * 8 {
            let mut body = signed.body.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let altered = SignedCopyOrder::from_parts(body.into(), signed.signature.clone());
            assert_eq!(altered.verify(&key.public()), Err(InvalidDocument::Signature));
        }
        let other = ClusterKey::from_seed(&[8; 32]).public();
        assert_eq!(signed.verify(&other), Err(InvalidDocument::Signature));
        let short = SignedCopyOrder::from_parts(signed.body.clone(), Bytes::new());
        assert_eq!(short.verify(&key.public()), Err(InvalidDocument::Signature));
    }

    #[test]
    fn a_signature_holds_for_one_kind_of_document() {
        let key = ClusterKey::from_seed(&[7; 32]);
        let signed = key.sign(&order());
        let as_layout = SignedLayout::from_parts(signed.body, signed.signature);
        assert_eq!(as_layout.verify(&key.public()), Err(InvalidDocument::Signature));
    }

    #[test]
    fn signatures_are_the_standard_ones() {
        // RFC 8032, section 7.1, test 1.
        let seed: Vec<u8> = (0..32)
            .map(|i| {
                let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
                u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).expect("hex")
            })
            .collect();
        let public = ClusterKey::from_seed(&seed.try_into().expect("32 bytes")).public();
        assert_eq!(public.0[..4], [0xd7, 0x5a, 0x98, 0x01]);
    }
}
