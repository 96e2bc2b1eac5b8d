use gateway_meta::record::Body;
use node_proto::UnixMillis;
use proptest::prelude::*;

use super::*;

const CRCS: [ChecksumAlgorithm; 3] =
    [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme];

fn part(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> PartRecord {
    PartRecord {
        len_bytes: bytes.len() as u64,
        md5: Md5::digest(bytes),
        checksum: Some((algorithm, direct(algorithm, bytes))),
        modified: UnixMillis(0),
        body: Body::Empty,
    }
}

fn checksum(
    asked: Option<(ChecksumAlgorithm, ChecksumType)>,
    parts: &[PartRecord],
) -> Option<StoredChecksum> {
    object_checksum(asked, &parts.iter().collect::<Vec<_>>())
}

#[test]
fn direct_checksums_have_their_published_check_values() {
    let input = b"123456789";
    assert_eq!(direct(ChecksumAlgorithm::Crc32, input), 0xcbf4_3926_u32.to_be_bytes());
    assert_eq!(direct(ChecksumAlgorithm::Crc32c, input), 0xe306_9283_u32.to_be_bytes());
    assert_eq!(
        direct(ChecksumAlgorithm::Crc64Nvme, input),
        0xae8b_1486_0a79_9888_u64.to_be_bytes()
    );
    assert_eq!(direct(ChecksumAlgorithm::Sha1, b"")[..4], [0xda, 0x39, 0xa3, 0xee]);
    assert_eq!(direct(ChecksumAlgorithm::Sha256, b"")[..4], [0xe3, 0xb0, 0xc4, 0x42]);
}

#[test]
fn a_composite_covers_the_parts_checksums_in_order() {
    for algorithm in [ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Sha1, ChecksumAlgorithm::Crc32]
    {
        let parts = [part(algorithm, b"one"), part(algorithm, b"two")];
        let found = checksum(Some((algorithm, ChecksumType::Composite)), &parts).unwrap();
        let joined = [direct(algorithm, b"one"), direct(algorithm, b"two")].concat();
        assert_eq!(found.value, direct(algorithm, &joined));
        assert_eq!(found.part_count, Some(2));
        assert_eq!(found.kind, ChecksumType::Composite);
    }
}

#[test]
fn without_an_algorithm_the_parts_decide() {
    let shared =
        [part(ChecksumAlgorithm::Crc64Nvme, b"a"), part(ChecksumAlgorithm::Crc64Nvme, b"b")];
    let found = checksum(None, &shared).unwrap();
    assert_eq!(found.value, direct(ChecksumAlgorithm::Crc64Nvme, b"ab"));
    assert_eq!(found.kind, ChecksumType::FullObject);
    let mixed = [part(ChecksumAlgorithm::Crc64Nvme, b"a"), part(ChecksumAlgorithm::Crc32, b"b")];
    assert_eq!(checksum(None, &mixed), None);
    let hashed = [part(ChecksumAlgorithm::Sha256, b"a")];
    assert_eq!(checksum(None, &hashed), None);
}

#[test]
fn impossible_types_are_refused() {
    use ChecksumType::{Composite, FullObject};
    for (algorithm, default, other) in [
        (ChecksumAlgorithm::Crc32, Composite, Some(FullObject)),
        (ChecksumAlgorithm::Crc32c, Composite, Some(FullObject)),
        (ChecksumAlgorithm::Crc64Nvme, FullObject, None),
        (ChecksumAlgorithm::Sha1, Composite, None),
        (ChecksumAlgorithm::Sha256, Composite, None),
    ] {
        assert_eq!(checksum_type(algorithm, None).unwrap(), default);
        assert_eq!(checksum_type(algorithm, Some(default)).unwrap(), default);
        let unusual = if default == Composite { FullObject } else { Composite };
        assert_eq!(checksum_type(algorithm, Some(unusual)).ok(), other, "{algorithm:?}");
    }
}

#[test]
fn the_etag_covers_the_parts_md5s() {
    let parts = [part(ChecksumAlgorithm::Crc32, b"one"), part(ChecksumAlgorithm::Crc32, b"two")];
    let etag = multipart_etag(&parts.iter().collect::<Vec<_>>());
    let joined = [parts[0].md5, parts[1].md5].concat();
    assert_eq!(etag, ETag { md5: Md5::digest(&joined), part_count: Some(2) });
}

proptest! {
    #[test]
    fn combined_crcs_equal_the_crc_of_all_bytes(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
    ) {
        for algorithm in CRCS {
            let parts: Vec<_> = bodies.iter().map(|bytes| part(algorithm, bytes)).collect();
            let found = checksum(Some((algorithm, ChecksumType::FullObject)), &parts).unwrap();
            prop_assert_eq!(found.value, direct(algorithm, &bodies.concat()));
            prop_assert_eq!(found.part_count, None);
        }
    }
}
