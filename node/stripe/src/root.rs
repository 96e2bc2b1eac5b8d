//! The hash by which a shard is known to be whole.

use node_proto::ShardRoot;

/// The BLAKE3 hash of a whole shard, padding included.
///
/// The content of a stripe is authenticated by the tags of its chunks; the root says which shard
/// is the damaged one, also to a device that has no key, and covers the padding and the parity,
/// which no tag covers.
#[must_use]
pub fn shard_root(shard: &[u8]) -> ShardRoot {
    ShardRoot(*blake3::hash(shard).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_blake3() {
        // The first case of BLAKE3's published test vectors.
        assert_eq!(
            shard_root(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn root_changes_with_any_byte_and_with_the_length() {
        let shard = [7_u8; 256];
        let root = shard_root(&shard);
        assert_ne!(shard_root(&shard[..255]), root);
        for index in 0..shard.len() {
            let mut damaged = shard;
            damaged[index] ^= 1;
            assert_ne!(shard_root(&damaged), root);
        }
    }
}
