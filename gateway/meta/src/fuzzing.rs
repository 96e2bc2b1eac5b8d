//! Entry points for fuzzing: what this crate reads back from disk and takes from clients.
//!
//! Each function takes any bytes and panics when a property of the parsers does not hold. The
//! targets of `compat-tests/fuzz` call them, and a test replays every input that is kept there.
//!
//! Deliberately absent: from every build but tests and the fuzz package's own.

use node_proto::Layout;

use crate::{
    BucketId, UploadId, key, prefix_end,
    record::{
        AccountKeyRecord, AvailabilityRecord, BucketKeyRecord, BucketRecord, DeviceRecord,
        GcRecord, InlineRecord, LayoutIdsRecord, LayoutRevisionRecord, LeaseRecord, ManifestPage,
        NodeRecord, ObjectRecord, OutcomeRecord, PartRecord, PartTablePage, PlacementGroupRecord,
        Record, RepairRecord, StagedLayoutRecord, TokenRecord, UploadRecord,
    },
};

#[cfg(test)]
#[path = "../../../compat-tests/fuzz/kept.rs"]
mod kept;

/// Persisted records. The first byte chooses the type, the rest is the row's value.
///
/// What decodes encodes to at most as many bytes, unless an earlier version wrote it, and those
/// decode to the same record.
pub fn record(data: &[u8]) {
    let Some((kind, value)) = data.split_first() else {
        return;
    };
    match kind {
        // Later than the sixteen below; what is kept of those stays what it is.
        0x80 => round_trip::<NodeRecord>(value),
        0x81 => round_trip::<TokenRecord>(value),
        0x82 => round_trip::<LayoutRevisionRecord>(value),
        0x83 => round_trip::<LayoutIdsRecord>(value),
        0x84 => round_trip::<StagedLayoutRecord>(value),
        0x85 => round_trip::<AvailabilityRecord>(value),
        _ => record_of_one_gateway(kind % 16, value),
    }
}

fn record_of_one_gateway(kind: u8, value: &[u8]) {
    match kind {
        0 => round_trip::<ManifestPage>(value),
        1 => round_trip::<ObjectRecord>(value),
        2 => round_trip::<UploadRecord>(value),
        3 => round_trip::<PartRecord>(value),
        4 => round_trip::<PartTablePage>(value),
        5 => round_trip::<InlineRecord>(value),
        6 => round_trip::<BucketRecord>(value),
        7 => round_trip::<LeaseRecord>(value),
        8 => round_trip::<GcRecord>(value),
        9 => round_trip::<RepairRecord>(value),
        10 => round_trip::<DeviceRecord>(value),
        11 => round_trip::<PlacementGroupRecord>(value),
        12 => round_trip::<OutcomeRecord>(value),
        13 => round_trip::<AccountKeyRecord>(value),
        14 => round_trip::<BucketKeyRecord>(value),
        _ => round_trip::<Layout>(value),
    }
}

fn round_trip<R: Record + PartialEq + std::fmt::Debug>(value: &[u8]) {
    let Ok(record) = R::decode(value) else {
        return;
    };
    let encoded = record.encode();
    // Records of an earlier version gain fields.
    let is_current = value.first() == Some(&R::VERSION);
    assert!(!is_current || encoded.len() <= value.len(), "{} grows by being read", R::NAME);
    assert_eq!(R::decode(&encoded).as_ref(), Ok(&record), "{}", R::NAME);
}

/// Row keys as they are found in the store.
///
/// What parses was written that way, and no parser reads beyond its own component.
pub fn row_key(data: &[u8]) {
    if let Some((found, tail)) = key::take_escaped(data) {
        let mut again = Vec::new();
        key::push_escaped(&mut again, &found);
        assert_eq!([again.as_slice(), tail].concat(), data);
    }
    if let Some((bucket, found, tail)) = key::parse_object_row(data) {
        assert_eq!([key::cur(bucket, &found).as_slice(), tail].concat(), data);
    }
    if let Some((manifest, tail)) = key::parse_manifest(data) {
        assert_eq!([key::manifest(manifest).as_slice(), tail].concat(), data);
    }
    if let Some((margin, manifest, stripe)) = key::parse_repair(data) {
        assert_eq!(key::repair(margin, manifest, stripe), data);
    }
    if let Some(value) = key::decode_counter(data) {
        assert_eq!(value.to_be_bytes(), data);
    }
    if let Some(id) = std::str::from_utf8(data).ok().and_then(|text| text.parse().ok()) {
        let id: UploadId = id;
        assert_eq!(id.to_string().as_bytes(), data);
    }
}

/// Object keys. The first two bytes say where the rest is cut into two keys, and in which buckets
/// they are.
///
/// Escaped keys sort like the keys, come back from their rows, and start with a prefix's rows
/// exactly if the key starts with the prefix.
pub fn key_escape(data: &[u8]) {
    let [cut, buckets, rest @ ..] = data else {
        return;
    };
    let (one, two) = rest.split_at(usize::from(*cut).min(rest.len()));
    let bucket = |bits: u8| BucketId(if bits & 3 == 3 { u64::MAX } else { u64::from(bits & 3) });
    let (one, two) = ((bucket(*buckets), one), (bucket(buckets >> 2), two));
    let row = |(bucket, name): (BucketId, &[u8])| key::cur(bucket, name);
    assert_eq!(one.cmp(&two), row(one).cmp(&row(two)));
    for (bucket, name) in [one, two] {
        let upload = UploadId(*b"0123456789abcdef");
        let seq = u128::from(*cut) << 64 | u128::from(*buckets);
        let tails = [
            (key::cur(bucket, name), Vec::new()),
            (key::mpu(bucket, name, upload), upload.0.to_vec()),
            (key::ver(bucket, name, seq), (!seq).to_be_bytes().to_vec()),
        ];
        for (row, tail) in tails {
            assert_eq!(key::parse_object_row(&row), Some((bucket, name.to_vec(), &tail[..])));
        }
    }
    let prefix = key::object_prefix(one.0, two.1);
    let has_prefix = one.1.starts_with(two.1);
    let row = row(one);
    assert_eq!(row.starts_with(&prefix), has_prefix);
    // The range that a listing of the prefix reads.
    let below_end = prefix_end(&prefix).is_none_or(|end| row < end);
    assert_eq!(row >= prefix && below_end, has_prefix);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_inputs_hold() {
        kept::replay("meta_record", record);
        kept::replay("meta_row_key", row_key);
        kept::replay("meta_key_escape", key_escape);
    }
}
