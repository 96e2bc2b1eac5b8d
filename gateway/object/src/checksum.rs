//! Checksums and ETags of objects made of parts, computed from the parts' own.
//!
//! Deliberately absent: hashing of bodies, which happens where their bytes pass.

use aws_lc_rs::digest;
use crc_fast::CrcAlgorithm;
use gateway_md5::Md5;
use gateway_meta::record::{ChecksumAlgorithm, ChecksumType, ETag, PartRecord, StoredChecksum};

use crate::MultipartError;

/// The type that an upload of `algorithm` gets: the one asked for, or S3's default.
///
/// # Errors
/// [`MultipartError::InvalidChecksumType`]: CRC-64/NVME knows only full-object checksums, the SHA
/// family only composite ones.
pub(crate) fn checksum_type(
    algorithm: ChecksumAlgorithm,
    asked: Option<ChecksumType>,
) -> Result<ChecksumType, MultipartError> {
    let (default, other_allowed) = match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => (ChecksumType::Composite, true),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => (ChecksumType::Composite, false),
        ChecksumAlgorithm::Crc64Nvme => (ChecksumType::FullObject, false),
    };
    match asked {
        Some(asked) if asked != default && !other_allowed => {
            Err(MultipartError::InvalidChecksumType)
        }
        asked => Ok(asked.unwrap_or(default)),
    }
}

/// MD5 over the parts' MD5s, and their number.
pub(crate) fn multipart_etag(parts: &[&PartRecord]) -> ETag {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&part.md5);
    }
    ETag { md5: md5.finish(), part_count: Some(part_count(parts)) }
}

/// The checksum of an object made of `parts`.
///
/// An upload that was started without an algorithm gets a full-object checksum in the one that all
/// its parts share, which is CRC-64/NVME unless the client chose another per part; none where the
/// parts do not share one that can be combined.
pub(crate) fn object_checksum(
    asked: Option<(ChecksumAlgorithm, ChecksumType)>,
    parts: &[&PartRecord],
) -> Option<StoredChecksum> {
    let first = parts.first()?.checksum.as_ref()?.0;
    let (algorithm, kind) = asked.unwrap_or((first, ChecksumType::FullObject));
    let values = parts
        .iter()
        .map(|part| match &part.checksum {
            Some((of_part, value)) if *of_part == algorithm => Some(value.as_slice()),
            Some(_) | None => None,
        })
        .collect::<Option<Vec<&[u8]>>>()?;
    let (value, part_count) = match kind {
        ChecksumType::Composite => (direct(algorithm, &values.concat()), Some(part_count(parts))),
        ChecksumType::FullObject => (combined(algorithm, &values, parts)?, None),
    };
    Some(StoredChecksum { algorithm, kind, value, part_count })
}

fn part_count(parts: &[&PartRecord]) -> u16 {
    u16::try_from(parts.len()).expect("an object has at most 10,000 parts")
}

/// The checksum of the parts' bytes in a row; `None` where the algorithm cannot be combined or a
/// stored checksum has the wrong length.
fn combined(
    algorithm: ChecksumAlgorithm,
    values: &[&[u8]],
    parts: &[&PartRecord],
) -> Option<Vec<u8>> {
    let (crc, width_bytes) = crc(algorithm)?;
    let mut whole = 0;
    for (index, (value, part)) in values.iter().zip(parts).enumerate() {
        if value.len() != width_bytes {
            return None;
        }
        let of_part = value.iter().fold(0, |crc, byte| crc << 8 | u64::from(*byte));
        whole = if index == 0 {
            of_part
        } else {
            crc_fast::checksum_combine(crc, whole, of_part, part.len_bytes)
        };
    }
    Some(whole.to_be_bytes()[8 - width_bytes..].to_vec())
}

/// The checksum of `bytes`.
fn direct(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    if let Some((crc, width_bytes)) = crc(algorithm) {
        return crc_fast::checksum(crc, bytes).to_be_bytes()[8 - width_bytes..].to_vec();
    }
    let sha = if algorithm == ChecksumAlgorithm::Sha1 {
        &digest::SHA1_FOR_LEGACY_USE_ONLY
    } else {
        &digest::SHA256
    };
    digest::digest(sha, bytes).as_ref().to_vec()
}

/// The CRC and its width in bytes; `None` for hashes.
fn crc(algorithm: ChecksumAlgorithm) -> Option<(CrcAlgorithm, usize)> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some((CrcAlgorithm::Crc32IsoHdlc, 4)),
        ChecksumAlgorithm::Crc32c => Some((CrcAlgorithm::Crc32Iscsi, 4)),
        ChecksumAlgorithm::Crc64Nvme => Some((CrcAlgorithm::Crc64Nvme, 8)),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

#[cfg(test)]
mod tests;
