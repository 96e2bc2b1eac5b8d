//! Digests of small bodies: request documents, which are read whole anyway.
//!
//! Objects are hashed by the service; this is for what never gets there.

use aws_lc_rs::digest;
use crc_fast::{CrcAlgorithm, checksum};
use gateway_meta::record::ChecksumAlgorithm;
use md5::{Digest as _, Md5};

/// MD5 of the bytes.
pub(super) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// SHA-256 of the bytes.
pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// The checksum of the bytes, raw big-endian.
pub(super) fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    let low_32 = |algorithm| checksum(algorithm, bytes).to_be_bytes()[4..].to_vec();
    match algorithm {
        ChecksumAlgorithm::Crc32 => low_32(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => low_32(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => {
            checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes().to_vec()
        }
        ChecksumAlgorithm::Sha1 => {
            digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
        }
        ChecksumAlgorithm::Sha256 => sha256(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_have_their_check_values() {
        let check = |algorithm| hex::encode(of(algorithm, b"123456789"));
        assert_eq!(check(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(check(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(check(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(check(ChecksumAlgorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(hex::encode(md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
