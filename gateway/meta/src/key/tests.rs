//! Order, prefixes and golden bytes of row keys.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Object keys full of the bytes that the escape is about.
fn object_key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0x00), Just(0x01), Just(0x02), Just(0xfe), Just(0xff), any::<u8>()], 0..6)
}

proptest! {
    #[test]
    fn escaped_keys_keep_their_order_and_come_back(
        a in object_key(), b in object_key(), tail in vec(any::<u8>(), 0..4),
    ) {
        let (mut escaped_a, mut escaped_b) = (Vec::new(), Vec::new());
        push_escaped(&mut escaped_a, &a);
        push_escaped(&mut escaped_b, &b);
        prop_assert_eq!(a.cmp(&b), escaped_a.cmp(&escaped_b));
        prop_assert!(a == b || !escaped_b.starts_with(&escaped_a), "no key bleeds into another");
        escaped_a.extend_from_slice(&tail);
        prop_assert_eq!(take_escaped(&escaped_a), Some((a, tail.as_slice())));
    }

    #[test]
    fn a_prefix_matches_exactly_the_keys_that_start_with_it(
        prefix in object_key(), key in object_key(), bucket in 0..3_u64, other in 0..3_u64,
    ) {
        let encoded = cur(BucketId(other), &key);
        let matches = bucket == other && key.starts_with(&prefix);
        let found = encoded.starts_with(&object_prefix(BucketId(bucket), &prefix));
        prop_assert_eq!(found, matches);
        let longer = [&prefix[..], &key].concat();
        prop_assert!(
            ver(BucketId(bucket), &longer, 1).starts_with(&object_prefix(BucketId(bucket), &prefix))
        );
    }

    #[test]
    fn object_rows_sort_by_bucket_key_and_tail(
        a in (0..3_u64, object_key(), any::<u128>()), b in (0..3_u64, object_key(), any::<u128>()),
    ) {
        let (bucket_a, bucket_b) = (BucketId(a.0), BucketId(b.0));
        let upload = |seq: u128| UploadId(seq.to_be_bytes());
        prop_assert_eq!(
            (a.0, &a.1).cmp(&(b.0, &b.1)),
            cur(bucket_a, &a.1).cmp(&cur(bucket_b, &b.1))
        );
        prop_assert_eq!(
            a.cmp(&b),
            mpu(bucket_a, &a.1, upload(a.2)).cmp(&mpu(bucket_b, &b.1, upload(b.2)))
        );
        let newest_first = |(bucket, key, seq): &(u64, Vec<u8>, u128)| {
            (*bucket, key.clone(), std::cmp::Reverse(*seq))
        };
        prop_assert_eq!(
            newest_first(&a).cmp(&newest_first(&b)),
            ver(bucket_a, &a.1, a.2).cmp(&ver(bucket_b, &b.1, b.2))
        );
        let row = ver(bucket_a, &a.1, a.2);
        let tail = (!a.2).to_be_bytes();
        prop_assert_eq!(parse_object_row(&row), Some((bucket_a, a.1, &tail[..])));
    }

    #[test]
    fn numbered_rows_sort_like_their_numbers(
        a in any::<(u8, u64, u32, u16)>(), b in any::<(u8, u64, u32, u16)>(),
    ) {
        let page = |n: (u8, u64, u32, u16)| mf(ManifestId(n.1), n.2);
        prop_assert_eq!((a.1, a.2).cmp(&(b.1, b.2)), page(a).cmp(&page(b)));
        prop_assert!(page(a).starts_with(&manifest(ManifestId(a.1))));
        let (row, number) = (page(a), a.2.to_be_bytes());
        prop_assert_eq!(parse_manifest(&row), Some((ManifestId(a.1), &number[..])));
        let indexed = |n: (u8, u64, u32, u16)| pgidx(PlacementGroupId(n.2), ManifestId(n.1));
        prop_assert_eq!((a.2, a.1).cmp(&(b.2, b.1)), indexed(a).cmp(&indexed(b)));
        prop_assert!(indexed(a).starts_with(&pgidx_prefix(PlacementGroupId(a.2))));
        let waiting = |n: (u8, u64, u32, u16)| repair(n.0, ManifestId(n.1), n.2);
        prop_assert_eq!((a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)), waiting(a).cmp(&waiting(b)));
        prop_assert_eq!(parse_repair(&waiting(a)), Some((a.0, ManifestId(a.1), a.2)));
        let upload = |n: (u8, u64, u32, u16)| UploadId(u128::from(n.1).to_be_bytes());
        let part = |n: (u8, u64, u32, u16)| part(upload(n), n.3);
        prop_assert_eq!((a.1, a.3).cmp(&(b.1, b.3)), part(a).cmp(&part(b)));
        prop_assert!(part(a).starts_with(&part_prefix(upload(a))));
        prop_assert_eq!(a.1.cmp(&b.1), lease(a.1).cmp(&lease(b.1)));
        let hourly = |n: (u8, u64, u32, u16)| {
            meter(n.2, AccountId(n.1), BucketId(u64::from(n.3)), Dimension::Bytes)
        };
        prop_assert_eq!((a.2, a.1, a.3).cmp(&(b.2, b.1, b.3)), hourly(a).cmp(&hourly(b)));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(prop_oneof![Just(0x00), Just(0xff), any::<u8>()], 0..40)) {
        if let Some((key, tail)) = take_escaped(&bytes) {
            let mut again = Vec::new();
            push_escaped(&mut again, &key);
            again.extend_from_slice(tail);
            prop_assert_eq!(&again, &bytes, "what parses was written that way");
        }
        let _ = parse_object_row(&bytes);
        let _ = parse_manifest(&bytes);
        let _ = parse_repair(&bytes);
        let _ = decode_counter(&bytes);
    }

    #[test]
    fn counters_come_back(value in any::<i128>()) {
        prop_assert_eq!(decode_counter(&value.to_be_bytes()), Some(value));
    }
}

#[test]
fn damaged_keys_are_rejected() {
    let damaged: [&[u8]; 6] = [b"", b"abc", b"a\x00", b"a\x00\x02", b"\x00\xff", b"a\x00\x00\x01"];
    for bytes in damaged {
        assert_eq!(take_escaped(bytes), None, "{bytes:?}");
    }
    assert_eq!(parse_object_row(b"1234567"), None);
    assert_eq!(parse_manifest(b"1234567"), None);
    assert_eq!(parse_repair(b""), None);
    assert_eq!(parse_repair(&[0; 12]), None);
    assert_eq!(parse_repair(&[0; 14]), None);
    assert_eq!(decode_counter(&[0; 15]), None);
    assert_eq!(decode_counter(&[0; 17]), None);
}

const BUCKET: BucketId = BucketId(0x0102_0304_0506_0708);
const BUCKET_HEX: &str = "0102030405060708";
const MANIFEST: ManifestId = ManifestId(0x1112_1314_1516_1718);
const MANIFEST_HEX: &str = "1112131415161718";
const ACCOUNT: AccountId = AccountId(0x2122_2324_2526_2728);
const ACCOUNT_HEX: &str = "2122232425262728";
const GROUP: PlacementGroupId = PlacementGroupId(0x3132_3334);
const UPLOAD: UploadId = UploadId(*b"ABCDEFGHIJKLMNOP");
const UPLOAD_HEX: &str = "4142434445464748494a4b4c4d4e4f50";

#[track_caller]
fn golden(key: &[u8], expected: &[&str]) {
    assert_eq!(hex(key), expected.concat());
}

#[test]
fn object_rows_have_golden_bytes() {
    let escaped = "6100ffff0001";
    golden(&cur(BUCKET, b"a\0\xff"), &[BUCKET_HEX, escaped]);
    golden(&cur(BUCKET, b""), &[BUCKET_HEX, "0001"]);
    golden(&bucket_prefix(BUCKET), &[BUCKET_HEX]);
    golden(&object_prefix(BUCKET, b"a\0"), &[BUCKET_HEX, "6100ff"]);
    golden(&ver(BUCKET, b"a\0\xff", 1), &[BUCKET_HEX, escaped, &"ff".repeat(15), "fe"]);
    golden(&mpu(BUCKET, b"a\0\xff", UPLOAD), &[BUCKET_HEX, escaped, UPLOAD_HEX]);
    golden(&part(UPLOAD, 10_000), &[UPLOAD_HEX, "2710"]);
    golden(&part_prefix(UPLOAD), &[UPLOAD_HEX]);
}

#[test]
fn numbered_rows_have_golden_bytes() {
    golden(&mf(MANIFEST, 2), &[MANIFEST_HEX, "00000002"]);
    golden(&manifest(MANIFEST), &[MANIFEST_HEX]);
    golden(&pgidx(GROUP, MANIFEST), &["31323334", MANIFEST_HEX]);
    golden(&pgidx_prefix(GROUP), &["31323334"]);
    golden(&lease(3), &["0000000000000003"]);
    golden(&repair(2, MANIFEST, 3), &["02", MANIFEST_HEX, "00000003"]);
}

#[test]
fn counters_have_golden_bytes() {
    golden(&bucket_counter(BUCKET, Dimension::Bytes), &["62", BUCKET_HEX, "01"]);
    golden(&bucket_counter(BUCKET, Dimension::Objects), &["62", BUCKET_HEX, "02"]);
    golden(&account_counter(ACCOUNT, Dimension::ByteMillis), &["61", ACCOUNT_HEX, "03"]);
    golden(&id_source("ab"), &["6e6162"]);
    golden(
        &meter(0x4142_4344, ACCOUNT, BUCKET, Dimension::BytesDelta),
        &["41424344", ACCOUNT_HEX, BUCKET_HEX, "04"],
    );
    assert_eq!(decode_counter(&[0xff; 16]), Some(-1));
}

#[test]
fn ctl_rows_have_golden_bytes() {
    let named = |text: &[u8], number: &[u8], rest: &[u8]| [text, number, rest].concat();
    let (bucket, account) = (&BUCKET.0.to_be_bytes()[..], &ACCOUNT.0.to_be_bytes()[..]);
    assert_eq!(ctl::bucket("photos"), b"bucket/photos");
    assert_eq!(ctl::bucket_id(BUCKET), named(b"bucket-id/", bucket, b""));
    assert_eq!(ctl::owned_bucket(ACCOUNT, "x"), named(b"owned-bucket/", account, b"x"));
    assert_eq!(ctl::owned_bucket_prefix(ACCOUNT), named(b"owned-bucket/", account, b""));
    assert_eq!(ctl::account(ACCOUNT), named(b"account/", account, b""));
    assert_eq!(ctl::account_name("ada"), b"account-name/ada");
    assert_eq!(ctl::access_key("AK"), b"access-key/AK");
    assert_eq!(ctl::owned_access_key(ACCOUNT, "AK"), named(b"owned-access-key/", account, b"AK"));
    assert_eq!(ctl::account_key(ACCOUNT), named(b"account-key/", account, b""));
    assert_eq!(ctl::bucket_key(BUCKET, 2), named(b"bucket-key/", bucket, &[0, 0, 0, 2]));
    assert_eq!(ctl::bucket_key_prefix(BUCKET), named(b"bucket-key/", bucket, b""));
    assert_eq!(ctl::kms_key("k"), b"kms-key/k");
    assert_eq!(ctl::kms_alias("aws/s3"), b"kms-alias/aws/s3");
    assert_eq!(ctl::layout(), b"layout");
    let epoch = node_proto::Epoch(7);
    assert_eq!(ctl::layout_revision(epoch), b"layout-history/\0\0\0\0\0\0\0\x07");
    assert_eq!(ctl::layout_revision_prefix(), b"layout-history/");
    assert_eq!(ctl::layout_ids(), b"layout-ids");
    assert_eq!(ctl::staged_layout(), b"layout-staged");
    let peer = node_proto::PeerKey([b'p'; 32]);
    assert_eq!(ctl::node(peer), [&b"node/"[..], &[b'p'; 32]].concat());
    assert_eq!(ctl::node_prefix(), b"node/");
    assert_eq!(ctl::join_token(node_proto::TokenId(*b"12345678")), b"join-token/12345678");
    assert_eq!(ctl::join_token_prefix(), b"join-token/");
    assert_eq!(ctl::availability(), b"availability");
    assert_eq!(ctl::device(DeviceId(7)), b"device/\0\0\0\x07");
    assert_eq!(ctl::placement_group(GROUP), b"placement-group/1234");
    assert_eq!(ctl::placement_group_prefix(), b"placement-group/");
}

#[test]
fn tables_keep_their_names_and_places() {
    let names = crate::Table::ALL.map(crate::Table::name).join(" ");
    assert_eq!(names, "cur ver mf inl mpu part pgidx intent gcq ctr meter ctl repair tx nul");
    for (place, table) in crate::Table::ALL.into_iter().enumerate() {
        assert_eq!(table as usize, place);
    }
}
