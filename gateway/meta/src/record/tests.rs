//! Golden bytes, round trips and damage for every record.

use std::fmt::Debug;

use node_proto::{
    DeviceId, DeviceUuid, Epoch, ManifestId, NodeId, NodeState, OpeningId, PeerKey,
    PlacementGroupId, ShardRoot, StripeSeq, TokenId, UnixMillis, join::OfferedDrive,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::{AccountId, BucketId, UploadId, VersionId};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks the encoding of a sample against its golden bytes, and that nothing near them decodes.
fn check<R: Record + PartialEq + Debug>(sample: &R, golden: &[&str]) {
    let bytes = sample.encode();
    assert_eq!(hex(&bytes), golden.concat(), "{} has golden bytes", R::NAME);
    assert_eq!(R::decode(&bytes).as_ref(), Ok(sample));
    for len in 0..bytes.len() {
        let cut = R::decode(&bytes[..len]);
        assert!(matches!(cut, Err(DecodeRecordError::Damaged { .. })), "{len} bytes: {cut:?}");
    }
    let longer = R::decode(&[&bytes[..], &[0]].concat());
    assert!(matches!(longer, Err(DecodeRecordError::Damaged { .. })), "{longer:?}");
    // Those between are of earlier releases, and tested where they are read.
    for version in (0..=u8::MAX).filter(|version| *version == 0 || *version > R::VERSION) {
        let other = [&[version], &bytes[1..]].concat();
        let unknown = DecodeRecordError::UnknownVersion { record: R::NAME, version };
        assert_eq!(R::decode(&other), Err(unknown));
    }
}

fn unhex(parts: &[&str]) -> Vec<u8> {
    let digits = parts.concat();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Decodes every record type from the same bytes; what decodes must encode to a record again.
fn decode_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    fn one<R: Record + PartialEq + Debug>(bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(record) = R::decode(bytes) {
            prop_assert_eq!(R::decode(&record.encode()), Ok(record));
        }
        Ok(())
    }
    macro_rules! each {
        ($($record:ty,)*) => { $(one::<$record>(bytes)?;)* };
    }
    each! {
        AbacRecord, AccelerateRecord, AccessLogRecord, AccountKeyRecord, AnalyticsRecord,
        AvailabilityRecord, BucketEncryptionRecord, BucketKeyRecord, BucketLoggingRecord,
        BucketPolicyRecord, BucketRecord, BucketTagsRecord, CorsRecord, DeviceRecord, GcRecord,
        InlineRecord, IntelligentTieringRecord, JobRecord, KmsAliasRecord, KmsKeyRecord,
        node_proto::Layout, LayoutIdsRecord, LayoutRevisionRecord, LeaseRecord,
        LifecycleProgressRecord, LifecycleRecord, ManifestPage, MetricsRecord, NodeRecord,
        ObjectLockRecord, ObjectRecord, OutcomeRecord, PartRecord, PartTablePage,
        PlacementGroupRecord, RenameTokenRecord, RepairRecord, RequestPaymentRecord,
        StagedLayoutRecord, TokenRecord, UploadRecord, WebsiteRecord,
    }
    Ok(())
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect())
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..3)
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn millis() -> impl Strategy<Value = UnixMillis> {
    any::<u64>().prop_map(UnixMillis)
}

fn body() -> impl Strategy<Value = Body> {
    let id = || any::<u64>().prop_map(ManifestId);
    prop_oneof![
        Just(Body::Empty),
        id().prop_map(Body::Inline),
        id().prop_map(Body::Stripes),
        id().prop_map(Body::Parts),
    ]
}

fn algorithm() -> impl Strategy<Value = ChecksumAlgorithm> {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    select(vec![Crc32, Crc32c, Crc64Nvme, Sha1, Sha256])
}

fn checksum_type() -> impl Strategy<Value = ChecksumType> {
    select(vec![ChecksumType::FullObject, ChecksumType::Composite])
}

fn headers() -> impl Strategy<Value = SystemHeaders> {
    let header = || of(text());
    (header(), header(), header(), header(), header(), header(), header()).prop_map(
        |(
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
            website_redirect_location,
        )| SystemHeaders {
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
            website_redirect_location,
        },
    )
}

fn checksum() -> impl Strategy<Value = StoredChecksum> {
    (algorithm(), checksum_type(), some_bytes(), of(any::<u16>())).prop_map(
        |(algorithm, kind, value, part_count)| StoredChecksum {
            algorithm,
            kind,
            value,
            part_count,
        },
    )
}

fn lock() -> impl Strategy<Value = ObjectLock> {
    let mode = prop_oneof![Just(RetentionMode::Governance), Just(RetentionMode::Compliance)];
    let retention = (mode, millis()).prop_map(|(mode, until)| Retention { mode, until });
    (of(retention), of(any::<bool>()))
        .prop_map(|(retention, legal_hold)| ObjectLock { retention, legal_hold })
}

fn encryption() -> impl Strategy<Value = Encryption> {
    let kms = (text(), some_bytes(), of(text()), any::<bool>());
    let kms = kms.prop_map(|(key_id, sealed_key, context, bucket_key)| {
        Encryption::Kms(Box::new(KmsEncryption { key_id, sealed_key, context, bucket_key }))
    });
    let customer = (any::<[u8; 16]>(), any::<[u8; 32]>());
    prop_oneof![
        Just(Encryption::Managed),
        kms,
        customer.prop_map(|(salt, check)| Encryption::Customer { salt, check }),
    ]
}

fn metadata() -> impl Strategy<Value = ObjectMetadata> {
    let etag = (any::<[u8; 16]>(), of(any::<u16>()))
        .prop_map(|(md5, part_count)| ETag { md5, part_count });
    let fields = (any::<u64>(), etag, of(checksum()), headers(), pairs(), pairs(), text());
    let upload = of(any::<[u8; 16]>().prop_map(UploadId));
    let rest = (upload, body(), lock(), encryption());
    (fields, any::<u64>(), rest).prop_map(|(fields, owner, (upload, body, lock, encryption))| {
        let (len_bytes, etag, checksum, headers, user_metadata, tags, storage_class) = fields;
        let owner = AccountId(owner);
        ObjectMetadata {
            len_bytes,
            etag,
            checksum,
            headers,
            user_metadata,
            tags,
            storage_class,
            owner,
            upload,
            body,
            lock,
            encryption,
        }
    })
}

fn object() -> impl Strategy<Value = ObjectRecord> {
    let version = prop_oneof![Just(VersionId::Null), any::<[u8; 16]>().prop_map(VersionId::Id)];
    let kind = prop_oneof![
        1 => Just(ObjectKind::DeleteMarker),
        4 => metadata().prop_map(|metadata| ObjectKind::Object(Box::new(metadata))),
    ];
    (version, any::<u128>(), millis(), kind)
        .prop_map(|(version, seq, modified, kind)| ObjectRecord { version, seq, modified, kind })
}

fn stripe() -> impl Strategy<Value = StripeRecord> {
    let roots = vec(any::<[u8; 32]>().prop_map(ShardRoot), 0..4);
    (any::<u32>(), any::<u32>(), any::<[u8; 3]>(), roots).prop_map(
        |(seq, group, [k, m, codec], roots)| StripeRecord {
            seq: StripeSeq(seq),
            group: PlacementGroupId(group),
            k,
            m,
            codec,
            roots,
        },
    )
}

fn page() -> impl Strategy<Value = ManifestPage> {
    let numbers = (any::<u64>(), any::<u64>(), any::<[u32; 5]>());
    (numbers, some_bytes(), vec(stripe(), 0..3)).prop_map(|(numbers, data_key, stripes)| {
        let (bucket, len_bytes, [chunk, stripe, key_epoch, first_stripe, stripe_count]) = numbers;
        ManifestPage {
            bucket: BucketId(bucket),
            len_bytes,
            chunk_len_bytes: chunk,
            stripe_len_bytes: stripe,
            key_epoch,
            data_key,
            first_stripe,
            stripe_count,
            stripes,
        }
    })
}

fn part_table() -> impl Strategy<Value = PartTablePage> {
    let entry = (any::<u16>(), any::<u64>(), any::<u64>(), body(), some_bytes()).prop_map(
        |(number, offset_bytes, len_bytes, body, checksum)| PartTableEntry {
            number,
            offset_bytes,
            len_bytes,
            body,
            checksum,
        },
    );
    (any::<u32>(), vec(entry, 0..3))
        .prop_map(|(part_count, parts)| PartTablePage { part_count, parts })
}

fn part() -> impl Strategy<Value = PartRecord> {
    let checksum = of((algorithm(), some_bytes()));
    (any::<u64>(), any::<[u8; 16]>(), checksum, millis(), body()).prop_map(
        |(len_bytes, md5, checksum, modified, body)| PartRecord {
            len_bytes,
            md5,
            checksum,
            modified,
            body,
        },
    )
}

fn upload() -> impl Strategy<Value = UploadRecord> {
    let checksum = of((algorithm(), checksum_type()));
    let fields = (millis(), any::<u64>(), headers(), pairs(), pairs(), text(), checksum);
    (fields, lock(), encryption()).prop_map(
        |(
            (initiated, initiator, headers, user_metadata, tags, storage_class, checksum),
            lock,
            encryption,
        )| {
            let initiator = AccountId(initiator);
            UploadRecord {
                initiated,
                initiator,
                headers,
                user_metadata,
                tags,
                storage_class,
                checksum,
                lock,
                encryption,
            }
        },
    )
}

fn bucket() -> impl Strategy<Value = BucketRecord> {
    let acknowledge = prop_oneof![Just(Acknowledge::All), Just(Acknowledge::DataPlusOne)];
    let versioning = [Versioning::Never, Versioning::Enabled, Versioning::Suspended];
    let mode = (acknowledge, (0..3usize).prop_map(move |at| versioning[at]), any::<bool>());
    (any::<u64>(), text(), any::<u64>(), millis(), text(), any::<u32>(), mode).prop_map(
        |(id, name, owner, created, region, key_epoch, mode)| BucketRecord {
            id: BucketId(id),
            name,
            owner: AccountId(owner),
            created,
            region,
            key_epoch,
            acknowledge: mode.0,
            versioning: mode.1,
            object_lock: mode.2,
        },
    )
}

fn device() -> impl Strategy<Value = DeviceRecord> {
    let rebuild = (any::<u64>(), any::<u64>())
        .prop_map(|(next_manifest, rebuilt_shards)| RebuildState { next_manifest, rebuilt_shards });
    (any::<[u8; 16]>(), any::<u64>(), any::<[u8; 16]>(), any::<u64>(), of(rebuild)).prop_map(
        |(uuid, open_count, opening, mark, rebuild)| DeviceRecord {
            uuid: DeviceUuid(uuid),
            open_count,
            opening: OpeningId(opening),
            mark,
            rebuild,
        },
    )
}

fn membership() -> impl Strategy<Value = Membership> {
    let node = any::<u32>().prop_map(NodeId);
    prop_oneof![
        any::<bool>().prop_map(|is_preapproved| Membership::Pending { is_preapproved }),
        node.clone().prop_map(|node| Membership::Member { node }),
        (node, millis()).prop_map(|(node, since)| Membership::Retired { node, since }),
    ]
}

fn node() -> impl Strategy<Value = NodeRecord> {
    let drive =
        (text(), any::<bool>(), any::<u64>()).prop_map(|(path, mount_point, capacity_bytes)| {
            OfferedDrive { path, mount_point, capacity_bytes }
        });
    let words = (text(), of(text()), text(), vec(text(), 0..4));
    (membership(), words, vec(drive, 0..4), any::<[u8; 8]>(), millis()).prop_map(
        |(membership, (name, zone, version, addresses), drives, token, first_seen)| NodeRecord {
            membership,
            name,
            zone,
            version,
            addresses,
            drives,
            token: TokenId(token),
            first_seen,
        },
    )
}

fn token() -> impl Strategy<Value = TokenRecord> {
    let times = (millis(), millis());
    let flags = any::<[bool; 2]>();
    (any::<[u8; 32]>(), of(text()), of(text()), flags, times, of(any::<[u8; 32]>())).prop_map(
        |(proof_key, zone, name, [is_approved, is_revoked], (created, expires), used_by)| {
            let used_by = used_by.map(PeerKey);
            TokenRecord {
                proof_key,
                zone,
                name,
                is_approved,
                is_revoked,
                created,
                expires,
                used_by,
            }
        },
    )
}

fn staged_layout() -> impl Strategy<Value = StagedLayoutRecord> {
    let node = || any::<u32>().prop_map(NodeId);
    let state = prop_oneof![Just(NodeState::Active), Just(NodeState::Draining)];
    let change = prop_oneof![
        any::<[u8; 32]>().prop_map(|peer| LayoutChange::AddNode { peer: PeerKey(peer) }),
        node().prop_map(|node| LayoutChange::AddDrives { node }),
        node().prop_map(|node| LayoutChange::RemoveNode { node }),
        (node(), of(text())).prop_map(|(node, zone)| LayoutChange::SetZone { node, zone }),
        (node(), state).prop_map(|(node, state)| LayoutChange::SetState { node, state }),
        (node(), text()).prop_map(|(node, name)| LayoutChange::Rename { node, name }),
    ];
    (any::<u64>(), millis(), vec(change, 0..8)).prop_map(|(base, staged_at, changes)| {
        StagedLayoutRecord { base: Epoch(base), staged_at, changes }
    })
}

fn availability() -> impl Strategy<Value = AvailabilityRecord> {
    let device =
        (any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(device, observed_ms, up_ms)| {
            DeviceAvailability { device: DeviceId(device), observed_ms, up_ms }
        });
    (millis(), vec(device, 0..8)).prop_map(|(as_of, devices)| AvailabilityRecord { as_of, devices })
}

macro_rules! round_trips {
    ($($name:ident: $strategy:expr;)*) => {
        proptest! {$(
            #[test]
            fn $name(record in $strategy) {
                prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
            }
        )*}
    };
}

round_trips! {
    account_keys_round_trip: some_bytes().prop_map(|sealed| AccountKeyRecord { sealed });
    bucket_keys_round_trip: some_bytes().prop_map(|wrapped| BucketKeyRecord { wrapped });
    availability_round_trips: availability();
    buckets_round_trip: bucket();
    devices_round_trip: device();
    reclamations_round_trip: (millis(), any::<bool>())
        .prop_map(|(unlinked, part_table)| GcRecord { unlinked, part_table });
    inline_bodies_round_trip: (any::<u64>(), any::<u32>(), some_bytes(), some_bytes()).prop_map(
        |(bucket, key_epoch, data_key, ciphertext)| InlineRecord {
            bucket: BucketId(bucket), key_epoch, data_key, ciphertext,
        });
    layout_ids_round_trip: any::<[u32; 2]>()
        .prop_map(|[next_node, next_device]| LayoutIdsRecord { next_node, next_device });
    layout_revisions_round_trip: (millis(), text(), some_bytes()).prop_map(
        |(changed_at, what, layout)| LayoutRevisionRecord { changed_at, what, layout });
    leases_round_trip: any::<[u64; 3]>()
        .prop_map(|[incarnation, first, end]| LeaseRecord { incarnation, first, end });
    manifest_pages_round_trip: page();
    nodes_round_trip: node();
    objects_round_trip: object();
    outcomes_round_trip: of(any::<u64>()).prop_map(|failed| match failed {
        None => OutcomeRecord::Applied,
        Some(guard_index) => OutcomeRecord::GuardFailed { guard_index },
    });
    parts_round_trip: part();
    part_tables_round_trip: part_table();
    placement_groups_round_trip: (any::<u64>(), vec(any::<u32>(), 0..8)).prop_map(
        |(epoch, devices)| PlacementGroupRecord {
            epoch: Epoch(epoch), devices: devices.into_iter().map(DeviceId).collect(),
        });
    repairs_round_trip: (any::<u32>(), any::<u64>())
        .prop_map(|(attempts, suspects)| RepairRecord { attempts, suspects });
    staged_layouts_round_trip: staged_layout();
    tokens_round_trip: token();
    uploads_round_trip: upload();
}

proptest! {
    #[test]
    fn garbage_never_panics(mut bytes in vec(any::<u8>(), 0..200)) {
        decode_all(&bytes)?;
        // Most of it dies at the version byte; let it through.
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        decode_all(&bytes)?;
    }

    #[test]
    fn a_flipped_byte_never_panics(
        object in object(), page in page(), index in any::<proptest::sample::Index>(), mask in 1..=255_u8,
    ) {
        for bytes in [object.encode(), page.encode()] {
            let mut bytes = bytes.to_vec();
            let index = index.index(bytes.len());
            bytes[index] ^= mask;
            decode_all(&bytes)?;
        }
    }
}

#[test]
fn a_count_beyond_the_bytes_is_damage() {
    // A version byte, no bucket, and 2^63 claimed bytes.
    let claims = [&[1][..], &[0xff; 9], &[0x01]].concat();
    assert!(matches!(AccountKeyRecord::decode(&claims), Err(DecodeRecordError::Damaged { .. })));
}

const MILLIS: UnixMillis = UnixMillis(1_700_000_000_000);
const UUID: [u8; 16] = *b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
const UUID_HEX: &str = "101112131415161718191a1b1c1d1e1f";
const MILLIS_HEX: &str = "80d095ffbc31";

fn sample_headers() -> SystemHeaders {
    SystemHeaders {
        content_type: Some("a/b".into()),
        content_encoding: None,
        content_disposition: Some(String::new()),
        content_language: Some("de".into()),
        cache_control: None,
        expires: None,
        website_redirect_location: Some("/".into()),
    }
}

const HEADERS_HEX: &str = "0103612f6200010001026465000001012f";

#[test]
fn object_has_golden_bytes() {
    let metadata = ObjectMetadata {
        len_bytes: 300,
        etag: ETag { md5: UUID, part_count: Some(2) },
        checksum: Some(StoredChecksum {
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            kind: ChecksumType::Composite,
            value: vec![0xaa, 0xbb],
            part_count: Some(2),
        }),
        headers: sample_headers(),
        user_metadata: vec![("k".into(), "v".into())],
        tags: vec![("t".into(), "u".into())],
        storage_class: "GLACIER".into(),
        owner: AccountId(5),
        upload: Some(UploadId([0xee; 16])),
        body: Body::Stripes(ManifestId(129)),
        lock: ObjectLock {
            retention: Some(Retention { mode: RetentionMode::Compliance, until: MILLIS }),
            legal_hold: Some(true),
        },
        encryption: Encryption::Kms(Box::new(KmsEncryption {
            key_id: "k".into(),
            sealed_key: vec![9],
            context: None,
            bucket_key: true,
        })),
    };
    let sample = ObjectRecord {
        version: VersionId::Id(UUID),
        seq: 1 << 127,
        modified: MILLIS,
        kind: ObjectKind::Object(Box::new(metadata)),
    };
    let seq = "80".repeat(18) + "02";
    check(
        &sample,
        &[
            "02",
            "01",
            UUID_HEX,
            &seq,
            MILLIS_HEX,
            "00",
            "ac02",
            UUID_HEX,
            "0102",
            "01",
            "02",
            "01",
            "02aabb",
            "0102",
            HEADERS_HEX,
            "01016b0176",
            "0101740175",
            "07474c4143494552",
            "05",
            "01",
            &"ee".repeat(16),
            "028101",
            "0101",
            MILLIS_HEX,
            "0101",
            "01016b01090001",
        ],
    );
}

#[test]
fn objects_of_the_first_version_are_neither_locked_nor_sealed_for_others() {
    let first = unhex(&[
        "01",
        "00",
        "07",
        MILLIS_HEX,
        "00",
        "03",
        UUID_HEX,
        "00",
        "00",
        "00000000000000",
        "00",
        "00",
        "00",
        "05",
        "00",
        "0107",
    ]);
    let record = ObjectRecord::decode(&first).unwrap();
    let ObjectKind::Object(metadata) = record.kind else { panic!("an object was stored") };
    assert_eq!((metadata.len_bytes, metadata.body), (3, Body::Inline(ManifestId(7))));
    assert_eq!((metadata.lock, metadata.encryption), (ObjectLock::default(), Encryption::Managed));
}

#[test]
fn delete_marker_has_golden_bytes() {
    let sample = ObjectRecord {
        version: VersionId::Null,
        seq: 7,
        modified: MILLIS,
        kind: ObjectKind::DeleteMarker,
    };
    check(&sample, &["02", "00", "07", MILLIS_HEX, "01"]);
}

#[test]
fn every_alternative_keeps_its_number() {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    let part = |checksum, body| PartRecord {
        len_bytes: 1,
        md5: UUID,
        checksum,
        modified: UnixMillis(2),
        body,
    };
    for (number, algorithm) in
        ["00", "01", "02", "03", "04"].iter().zip([Crc32, Crc32c, Crc64Nvme, Sha1, Sha256])
    {
        let sample = part(Some((algorithm, vec![9])), Body::Empty);
        check(&sample, &["01", "01", UUID_HEX, "01", number, "0109", "02", "00"]);
    }
    let id = ManifestId(3);
    let bodies = [Body::Inline(id), Body::Stripes(id), Body::Parts(id)];
    for (number, body) in ["01", "02", "03"].iter().zip(bodies) {
        check(&part(None, body), &["01", "01", UUID_HEX, "00", "02", number, "03"]);
    }
}

#[test]
fn manifest_page_has_golden_bytes() {
    let sample = ManifestPage {
        bucket: BucketId(3),
        len_bytes: 1 << 33,
        chunk_len_bytes: 65_536,
        stripe_len_bytes: 8 << 20,
        key_epoch: 1,
        data_key: vec![0xd0, 0xd1],
        first_stripe: 128,
        stripe_count: 1024,
        stripes: vec![StripeRecord {
            seq: StripeSeq(200),
            group: PlacementGroupId(6),
            k: 4,
            m: 2,
            codec: 250,
            roots: vec![ShardRoot([0x77; 32])],
        }],
    };
    let root = "77".repeat(32);
    check(
        &sample,
        &[
            "01",
            "03",
            "8080808020",
            "808004",
            "80808004",
            "01",
            "02d0d1",
            "8001",
            "8008",
            "01",
            "c801",
            "06",
            "04",
            "02",
            "fa",
            "01",
            &root,
        ],
    );
}

#[test]
fn inline_body_has_golden_bytes() {
    let sample = InlineRecord {
        bucket: BucketId(3),
        key_epoch: 300,
        data_key: vec![0xd0],
        ciphertext: vec![0xc0, 0xc1, 0xc2],
    };
    check(&sample, &["01", "03", "ac02", "01d0", "03c0c1c2"]);
}

#[test]
fn part_table_has_golden_bytes() {
    let sample = PartTablePage {
        part_count: 10_000,
        parts: vec![PartTableEntry {
            number: 10_000,
            offset_bytes: 5,
            len_bytes: 6,
            body: Body::Inline(ManifestId(7)),
            checksum: vec![8],
        }],
    };
    check(&sample, &["01", "904e", "01", "904e", "05", "06", "0107", "0108"]);
}

#[test]
fn upload_has_golden_bytes() {
    let sample = UploadRecord {
        initiated: MILLIS,
        initiator: AccountId(5),
        headers: sample_headers(),
        user_metadata: vec![("k".into(), "v".into())],
        tags: vec![("t".into(), "u".into())],
        storage_class: String::new(),
        checksum: Some((ChecksumAlgorithm::Sha256, ChecksumType::FullObject)),
        lock: ObjectLock { retention: None, legal_hold: Some(false) },
        encryption: Encryption::Customer { salt: UUID, check: [0xcc; 32] },
    };
    let fields = ["02", MILLIS_HEX, "05", HEADERS_HEX, "01016b0176", "0101740175", "00", "010400"];
    let added = ["000100", "02", UUID_HEX, &"cc".repeat(32)];
    check(&sample, &[&fields[..], &added].concat());
    let first = ["01", MILLIS_HEX, "05", HEADERS_HEX, "01016b0176", "0101740175", "00", "010400"];
    let first = UploadRecord::decode(&unhex(&first)).unwrap();
    assert_eq!((first.lock, first.encryption), (ObjectLock::default(), Encryption::Managed));
}

#[test]
fn small_records_have_golden_bytes() {
    let rebuild = Some(RebuildState { next_manifest: 8, rebuilt_shards: 9 });
    let opening = OpeningId(UUID);
    let device =
        DeviceRecord { uuid: DeviceUuid(UUID), open_count: 3, opening, mark: 300, rebuild };
    check(&device, &["01", UUID_HEX, "03", UUID_HEX, "ac02", "01", "08", "09"]);
    let device = DeviceRecord { rebuild: None, ..device };
    check(&device, &["01", UUID_HEX, "03", UUID_HEX, "ac02", "00"]);
    check(&GcRecord { unlinked: MILLIS, part_table: true }, &["01", MILLIS_HEX, "01"]);
    check(&AccountKeyRecord { sealed: vec![1, 2] }, &["01", "020102"]);
    check(&BucketKeyRecord { wrapped: vec![3] }, &["01", "0103"]);
    let lease = LeaseRecord { incarnation: u64::MAX, first: 128, end: 256 };
    check(&lease, &["01", "ffffffffffffffffff01", "8001", "8002"]);
    let devices = vec![DeviceId(4), DeviceId(300)];
    let group = PlacementGroupRecord { epoch: Epoch(9), devices };
    check(&group, &["01", "09", "02", "04", "ac02"]);
    check(&RepairRecord { attempts: 2, suspects: 0b101 }, &["01", "02", "05"]);
    check(&OutcomeRecord::Applied, &["01", "00"]);
    check(&OutcomeRecord::GuardFailed { guard_index: 200 }, &["01", "01", "c801"]);
}

#[test]
fn records_of_the_cluster_have_golden_bytes() {
    const PEER_HEX: &str = "0909090909090909090909090909090909090909090909090909090909090909";
    let peer = PeerKey([9; 32]);
    let node = NodeRecord {
        membership: Membership::Pending { is_preapproved: true },
        name: "n".into(),
        zone: Some("z".into()),
        version: "1".into(),
        addresses: vec!["/a".into()],
        drives: vec![OfferedDrive { path: "/d".into(), mount_point: true, capacity_bytes: 300 }],
        token: TokenId([5; 8]),
        first_seen: MILLIS,
    };
    let tail = ["016e", "01017a", "0131", "01022f61", "01022f6401ac02", "0505050505050505"];
    let tail = [tail.concat().as_str(), MILLIS_HEX].concat();
    check(&node, &["01", "0001", &tail]);
    let membership = Membership::Member { node: NodeId(300) };
    check(&NodeRecord { membership, ..node.clone() }, &["01", "01ac02", &tail]);
    let membership = Membership::Retired { node: NodeId(2), since: UnixMillis(3) };
    check(&NodeRecord { membership, ..node }, &["01", "020203", &tail]);
    let token = TokenRecord {
        proof_key: [9; 32],
        zone: Some("z".into()),
        name: None,
        is_approved: true,
        is_revoked: false,
        created: UnixMillis(1),
        expires: UnixMillis(2),
        used_by: Some(peer),
    };
    let golden = ["01", PEER_HEX, "01017a", "00", "01", "00", "01", "02", "01", PEER_HEX];
    check(&token, &golden);
    let what = "w".to_owned();
    let revision = LayoutRevisionRecord { changed_at: UnixMillis(3), what, layout: vec![2, 7] };
    check(&revision, &["01", "03", "0177", "020207"]);
    check(&LayoutIdsRecord { next_node: 1, next_device: 300 }, &["01", "01", "ac02"]);
    let device = DeviceAvailability { device: DeviceId(4), observed_ms: 300, up_ms: 5 };
    let availability = AvailabilityRecord { as_of: UnixMillis(6), devices: vec![device] };
    check(&availability, &["01", "06", "01", "04", "ac02", "05"]);
    let node = NodeId(2);
    let changes = vec![
        LayoutChange::AddNode { peer },
        LayoutChange::AddDrives { node },
        LayoutChange::RemoveNode { node },
        LayoutChange::SetZone { node, zone: Some("z".into()) },
        LayoutChange::SetState { node, state: NodeState::Draining },
        LayoutChange::Rename { node, name: "n".into() },
    ];
    let staged = StagedLayoutRecord { base: Epoch(7), staged_at: UnixMillis(8), changes };
    let golden = ["01", "07", "08", "06", "00", PEER_HEX, "0102", "0202", "030201017a", "040201"];
    check(&staged, &[&golden.concat(), "0502016e"]);
}
