//! Logs that are sound, torn and rotten.

use super::*;

/// One write: a record as RocksDB lays it out from `start` of a file on.
fn written(start: usize, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut left, mut is_first) = (payload, true);
    loop {
        let room = PAGE_BYTES - (start + bytes.len()) % PAGE_BYTES;
        if room < HEADER_BYTES {
            bytes.resize(bytes.len() + room, 0);
            continue;
        }
        let (part, rest) = left.split_at(left.len().min(room - HEADER_BYTES));
        let kind = match (is_first, rest.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        let crc = masked_crc(&[&[kind], part].concat());
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(part.len()).unwrap().to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(part);
        (left, is_first) = (rest, false);
        if left.is_empty() {
            return bytes;
        }
    }
}

/// Bytes without a zero, like those of real rows for the most part.
fn payload(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((seed * 31 + at * 7) % 255).unwrap() + 1).collect()
}

/// A log of writes of the given lengths, and where the last one begins.
fn log(lengths: &[usize]) -> (Vec<u8>, usize) {
    let (mut bytes, mut last) = (Vec::new(), 0);
    for (seed, len) in lengths.iter().enumerate() {
        last = bytes.len();
        bytes.extend(written(bytes.len(), &payload(seed, *len)));
    }
    (bytes, last)
}

fn rotten(bytes: &[u8], kind: Kind) -> Option<u64> {
    first_rotten(bytes, kind).unwrap()
}

const LENGTHS: [usize; 7] = [200, 1, 3000, 500, 70_000, 40, 900];

#[test]
fn sound_logs_of_all_shapes_pass() {
    for kind in [Kind::Log, Kind::Manifest] {
        assert_eq!(rotten(&[], kind), None);
        assert_eq!(rotten(&log(&LENGTHS).0, kind), None);
        // A page that ends in padding, and one that ends exactly.
        assert_eq!(rotten(&log(&[PAGE_BYTES - 2 * HEADER_BYTES - 3, 10]).0, kind), None);
        assert_eq!(rotten(&log(&[PAGE_BYTES - HEADER_BYTES, 10]).0, kind), None);
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let (good, _) = log(&LENGTHS);
    // Every bit of the first records, of the last ones, and of headers at the start of a page; of
    // the long record between them some.
    let tail = good.len() - 100;
    let is_tried =
        |at: &usize| *at < 250 || *at > tail || at % PAGE_BYTES < 8 || at.is_multiple_of(997);
    for at in (0..good.len()).filter(is_tried) {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            for kind in [Kind::Log, Kind::Manifest] {
                assert!(rotten(&bad, kind).is_some(), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn what_a_power_cut_leaves_of_the_last_write_passes() {
    for last_len in [1, 40, 900, 5000, 100_000] {
        let (whole, last) = log(&[200, 3000, last_len]);
        for end in (last..=whole.len()).step_by(1 + last_len / 97) {
            assert_eq!(rotten(&whole[..end], Kind::Log), None);
            // The length is there, the rest is not.
            let mut zeros = whole[..end].to_vec();
            zeros.resize(whole.len(), 0);
            let sector = end.next_multiple_of(SECTOR_BYTES).min(whole.len());
            zeros[end..sector].copy_from_slice(&whole[end..sector]);
            assert_eq!(rotten(&zeros, Kind::Log), None);
        }
        // Single sectors are not.
        for sector in (last.next_multiple_of(SECTOR_BYTES)..whole.len()).step_by(SECTOR_BYTES) {
            let mut hole = whole.clone();
            let end = (sector + SECTOR_BYTES).min(whole.len());
            hole[sector..end].fill(0);
            assert_eq!(rotten(&hole, Kind::Log), None);
        }
    }
}

#[test]
fn a_hole_before_the_last_write_is_found() {
    let (whole, last) = log(&[200, 3000, 900]);
    let mut hole = whole.clone();
    hole[1024..1536].fill(0);
    assert!(rotten(&hole, Kind::Log).is_some());
    let mut hole = whole;
    hole[200 + HEADER_BYTES..last].fill(0);
    assert!(rotten(&hole, Kind::Log).is_some());
}

#[test]
fn rows_without_a_manifest_are_refused_and_an_empty_directory_is_not() {
    let directory = tempfile::tempdir().unwrap();
    check(directory.path()).unwrap();
    std::fs::write(directory.path().join("MANIFEST-000001"), "half").unwrap();
    check(directory.path()).unwrap();
    std::fs::write(directory.path().join("000004.log"), "").unwrap();
    assert!(matches!(check(directory.path()), Err(LogFault::NoCurrent)));
    std::fs::write(directory.path().join("CURRENT"), "MANIFEST-000009\n").unwrap();
    check(directory.path()).unwrap();
}
