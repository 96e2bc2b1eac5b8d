//! Who a process is in the mesh.
//!
//! Invariants:
//! - the secret seed leaves this type only through [`Identity::seed`], in memory that is cleared;
//! - a [`PeerKey`] and a libp2p peer id are the same 32 bytes, so neither is ever looked up.

use libp2p::{PeerId, identity};
use node_proto::PeerKey;
use zeroize::Zeroizing;

/// What precedes the 32 bytes of an Ed25519 key in a libp2p peer id: an identity multihash of 36
/// bytes, holding a key of type Ed25519 with 32 bytes of data. libp2p peer-ids specification.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// An Ed25519 key pair.
pub struct Identity {
    seed: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.peer())
    }
}

impl Identity {
    /// A new key pair; `random` fills a buffer with secret random bytes.
    #[must_use]
    pub fn generate(random: fn(&mut [u8])) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random(&mut seed[..]);
        Self { seed }
    }

    /// The key pair of a secret seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed) }
    }

    /// The secret seed, for keeping it.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// Who others know this process as.
    #[must_use]
    pub fn peer(&self) -> PeerKey {
        peer_key(&self.keypair().public().to_peer_id())
            .expect("the peer id of an Ed25519 key holds the key")
    }

    pub(crate) fn keypair(&self) -> identity::Keypair {
        let mut seed = self.seed.clone();
        identity::Keypair::ed25519_from_bytes(&mut seed[..]).expect("any 32 bytes are a seed")
    }
}

/// The libp2p peer id of a peer. Whether the bytes are a point of the curve shows when it proves to
/// have the key.
pub(crate) fn peer_id(key: PeerKey) -> PeerId {
    let bytes = [&PEER_ID_PREFIX[..], &key.0].concat();
    PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a peer id")
}

/// The peer of a libp2p peer id; `None` for keys that are not Ed25519.
pub(crate) fn peer_key(id: &PeerId) -> Option<PeerKey> {
    let bytes = id.to_bytes();
    let key = bytes.strip_prefix(&PEER_ID_PREFIX)?;
    key.try_into().ok().map(PeerKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_seed() {
        let identity = Identity::generate(|buffer| buffer.fill(7));
        let again = Identity::from_seed(*identity.seed());
        assert_eq!(identity.peer(), again.peer());
        assert_ne!(identity.peer(), Identity::from_seed([8; 32]).peer());
        assert!(!format!("{identity:?}").contains("7, 7"));
    }

    #[test]
    fn peers_are_shown_as_libp2p_shows_them() {
        let identity = Identity::from_seed([1; 32]);
        let id = identity.keypair().public().to_peer_id();
        assert_eq!(identity.peer().to_string(), id.to_string());
        assert_eq!(peer_id(identity.peer()), id);
        assert_eq!(peer_key(&id), Some(identity.peer()));
    }

    #[test]
    fn keys_of_other_kinds_are_no_peers() {
        assert_eq!(peer_key(&PeerId::random()), None);
    }
}
