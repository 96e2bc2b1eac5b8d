//! Ids shared by gateways and nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one cluster; generated when its first data directory is formatted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub [u8; 16]);

/// Names one formatting of one drive. A drive that comes back empty is formatted anew and gets a
/// new uuid, although it keeps its [`DeviceId`] in the layout.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceUuid(pub [u8; 16]);

/// A slot of the layout that one drive fills. Never reused for another slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId(pub u32);

/// One process that owns devices: a storage node, or the gateway with its own drives. Never reused
/// for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The gateway's own process, whose drives need no network.
    pub const LOCAL: Self = Self(0);
}

/// Names a process of the mesh: its Ed25519 public key, proved in each handshake. Shown as libp2p
/// shows peer ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerKey(pub [u8; 32]);

/// What a peer id starts with: an identity multihash of 36 bytes, a protobuf that says "Ed25519"
/// and "32 bytes follow" (libp2p's peer id specification).
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The text is not the peer id of an Ed25519 key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a peer id of an Ed25519 key")]
pub struct InvalidPeerKey {
    /// The refused text.
    pub text: String,
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&PEER_ID_PREFIX[..], &self.0].concat();
        f.write_str(&bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerKey({self})")
    }
}

impl std::str::FromStr for PeerKey {
    type Err = InvalidPeerKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 38];
        let decoded = bs58::decode(text).onto(&mut bytes[..]);
        let key = bytes.strip_prefix(&PEER_ID_PREFIX).and_then(|key| key.try_into().ok());
        match (decoded, key) {
            (Ok(38), Some(key)) => Ok(Self(key)),
            _ => Err(InvalidPeerKey { text: text.chars().take(64).collect() }),
        }
    }
}

/// The layout's monotonic number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// An ordered set of devices in distinct failure domains; shard `i` of a stripe lives on member
/// `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlacementGroupId(pub u32);

/// Names one immutable stripe list, that is one uploaded body. Leased in ranges, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ManifestId(pub u64);

/// Number of a stripe attempt within a manifest. An attempt that fails on some device consumes its
/// number, so two attempts never write different bytes under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StripeSeq(pub u32);

/// Position of a shard in its stripe: `0..k` are data, `k..k + m` are parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardIndex(pub u8);

/// The name under which a device stores one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardKey {
    /// The manifest that owns the shard.
    pub manifest: ManifestId,
    /// The stripe attempt within the manifest.
    pub stripe: StripeSeq,
    /// The position within the stripe.
    pub index: ShardIndex,
}

/// The given bytes are not an encoded [`ShardKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard key is {} bytes long, not {len}", ShardKey::ENCODED_LEN)]
pub struct InvalidShardKey {
    /// Length of the rejected bytes.
    pub len: usize,
}

impl ShardKey {
    /// Length of [`Self::encode`]'s result in bytes.
    pub const ENCODED_LEN: usize = 13;

    /// Big-endian `manifest · stripe · index`; encoded order equals [`Ord`].
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        let mut out = [0; Self::ENCODED_LEN];
        out[..8].copy_from_slice(&self.manifest.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.stripe.0.to_be_bytes());
        out[12] = self.index.0;
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`InvalidShardKey`] when `bytes` is not exactly [`Self::ENCODED_LEN`] long.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidShardKey> {
        let fixed: &[u8; Self::ENCODED_LEN] =
            bytes.try_into().map_err(|_| InvalidShardKey { len: bytes.len() })?;
        let (manifest, rest) = fixed.split_at(8);
        let (stripe, index) = rest.split_at(4);
        Ok(Self {
            manifest: ManifestId(u64::from_be_bytes(manifest.try_into().expect("8 bytes"))),
            stripe: StripeSeq(u32::from_be_bytes(stripe.try_into().expect("4 bytes"))),
            index: ShardIndex(index[0]),
        })
    }
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}.{}", self.manifest.0, self.stripe.0, self.index.0)
    }
}

/// BLAKE3 hash of a whole shard as stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShardRoot(pub [u8; 32]);

macro_rules! hex_format {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}
hex_format!(ClusterId, DeviceUuid, ShardRoot);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(manifest: u64, stripe: u32, index: u8) -> ShardKey {
        ShardKey {
            manifest: ManifestId(manifest),
            stripe: StripeSeq(stripe),
            index: ShardIndex(index),
        }
    }

    #[test]
    fn shard_key_has_golden_bytes() {
        assert_eq!(
            key(0x0102_0304_0506_0708, 0x0a0b_0c0d, 5).encode(),
            [1, 2, 3, 4, 5, 6, 7, 8, 0x0a, 0x0b, 0x0c, 0x0d, 5]
        );
    }

    #[test]
    fn short_and_long_keys_are_rejected() {
        assert_eq!(ShardKey::decode(&[0; 12]), Err(InvalidShardKey { len: 12 }));
        assert_eq!(ShardKey::decode(&[0; 14]), Err(InvalidShardKey { len: 14 }));
    }

    #[test]
    fn peer_ids_are_written_as_libp2p_writes_them() {
        // The first peer id of libp2p's specification with an Ed25519 key.
        let text = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        let key: PeerKey = text.parse().expect("a peer id");
        assert_eq!(key.to_string(), text);
        for wrong in ["", "12D3", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "0OIl"] {
            assert!(wrong.parse::<PeerKey>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn shard_key_round_trips_in_order(
            a in (any::<u64>(), any::<u32>(), any::<u8>()),
            b in (any::<u64>(), any::<u32>(), any::<u8>()),
        ) {
            let (a, b) = (key(a.0, a.1, a.2), key(b.0, b.1, b.2));
            prop_assert_eq!(ShardKey::decode(&a.encode()), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
