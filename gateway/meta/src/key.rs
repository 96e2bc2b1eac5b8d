//! Row keys: order-preserving encodings of what rows are named by.
//!
//! Object keys are escaped so that no key is a prefix of another's encoding and order is kept:
//! byte `0x00` becomes `0x00 0xff`, and the key ends with `0x00 0x01`. Integers are big-endian.

use node_proto::{DeviceId, ManifestId, PlacementGroupId};

use crate::{AccountId, BucketId, UploadId};

/// Appends the escaped form of `key`, terminator included.
pub fn push_escaped(out: &mut Vec<u8>, key: &[u8]) {
    push_escaped_prefix(out, key);
    out.extend_from_slice(&[0x00, 0x01]);
}

/// Appends the escaped form of `prefix` without the terminator: a prefix of every encoded key that
/// starts with `prefix`.
pub fn push_escaped_prefix(out: &mut Vec<u8>, prefix: &[u8]) {
    for &byte in prefix {
        out.push(byte);
        if byte == 0x00 {
            out.push(0xff);
        }
    }
}

/// Splits `encoded` behind its first escaped component and returns that component unescaped.
/// `None` when the bytes are not such an encoding.
#[must_use]
pub fn take_escaped(encoded: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        match rest {
            [0x00, 0xff, tail @ ..] => {
                out.push(0x00);
                rest = tail;
            }
            [0x00, 0x01, tail @ ..] => return Some((out, tail)),
            [0x00, ..] | [] => return None,
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

fn object_row(bucket: BucketId, key: &[u8], room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + key.len() + 2 + room);
    out.extend_from_slice(&bucket.0.to_be_bytes());
    push_escaped(&mut out, key);
    out
}

/// `cur`: the live object under `key`.
#[must_use]
pub fn cur(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    object_row(bucket, key, 0)
}

/// `cur`, `ver`, `mpu`: prefix of every row of a bucket.
#[must_use]
pub fn bucket_prefix(bucket: BucketId) -> Vec<u8> {
    bucket.0.to_be_bytes().to_vec()
}

/// `cur`, `ver`, `mpu`: prefix of every row whose object key starts with `prefix`.
#[must_use]
pub fn object_prefix(bucket: BucketId, prefix: &[u8]) -> Vec<u8> {
    let mut out = bucket_prefix(bucket);
    push_escaped_prefix(&mut out, prefix);
    out
}

/// `cur`, `ver`, `mpu`: the bucket, the object key and what follows it. `None` when the row key is
/// damaged.
#[must_use]
pub fn parse_object_row(row_key: &[u8]) -> Option<(BucketId, Vec<u8>, &[u8])> {
    let (bucket, rest) = row_key.split_first_chunk::<8>()?;
    let (key, tail) = take_escaped(rest)?;
    Some((BucketId(u64::from_be_bytes(*bucket)), key, tail))
}

/// `ver`: an older version; newer ones sort first.
#[must_use]
pub fn ver(bucket: BucketId, key: &[u8], seq: u128) -> Vec<u8> {
    let mut out = object_row(bucket, key, 16);
    out.extend_from_slice(&(!seq).to_be_bytes());
    out
}

/// `ver`: prefix of every older version of `key`.
#[must_use]
pub fn ver_prefix(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    object_row(bucket, key, 0)
}

/// Reads the sequence that a `ver` row key ends with: what [`parse_object_row`] leaves.
#[must_use]
pub fn parse_ver_tail(tail: &[u8]) -> Option<u128> {
    Some(!u128::from_be_bytes(tail.try_into().ok()?))
}

/// `nul`: where the `null` version of `key` is among the older ones.
#[must_use]
pub fn nul(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    object_row(bucket, key, 0)
}

/// `mpu`: a multipart upload.
#[must_use]
pub fn mpu(bucket: BucketId, key: &[u8], upload: UploadId) -> Vec<u8> {
    let mut out = object_row(bucket, key, 16);
    out.extend_from_slice(&upload.0);
    out
}

/// `part`: an uploaded part.
#[must_use]
pub fn part(upload: UploadId, number: u16) -> Vec<u8> {
    [&upload.0[..], &number.to_be_bytes()].concat()
}

/// `part`: prefix of an upload's parts.
#[must_use]
pub fn part_prefix(upload: UploadId) -> Vec<u8> {
    upload.0.to_vec()
}

/// `mf`: a manifest page.
#[must_use]
pub fn mf(manifest: ManifestId, page: u32) -> Vec<u8> {
    [&manifest.0.to_be_bytes()[..], &page.to_be_bytes()].concat()
}

/// `mf`: prefix of a manifest's pages. Also the `inl` and `gcq` row of the manifest.
#[must_use]
pub fn manifest(manifest: ManifestId) -> Vec<u8> {
    manifest.0.to_be_bytes().to_vec()
}

/// Reads the manifest id that `mf`, `inl` and `gcq` rows start with.
#[must_use]
pub fn parse_manifest(row_key: &[u8]) -> Option<(ManifestId, &[u8])> {
    let (id, rest) = row_key.split_first_chunk::<8>()?;
    Some((ManifestId(u64::from_be_bytes(*id)), rest))
}

/// `pgidx`: a manifest with stripes in a placement group.
#[must_use]
pub fn pgidx(group: PlacementGroupId, manifest: ManifestId) -> Vec<u8> {
    [&group.0.to_be_bytes()[..], &manifest.0.to_be_bytes()].concat()
}

/// `pgidx`: prefix of a group's manifests.
#[must_use]
pub fn pgidx_prefix(group: PlacementGroupId) -> Vec<u8> {
    group.0.to_be_bytes().to_vec()
}

/// `intent`: the lease that starts at manifest id `first`.
#[must_use]
pub fn lease(first: u64) -> Vec<u8> {
    first.to_be_bytes().to_vec()
}

/// `repair`: a stripe that can still lose `margin` shards.
#[must_use]
pub fn repair(margin: u8, manifest: ManifestId, stripe_index: u32) -> Vec<u8> {
    [&[margin][..], &manifest.0.to_be_bytes(), &stripe_index.to_be_bytes()].concat()
}

/// Reads a `repair` row key: margin, manifest, stripe index.
#[must_use]
pub fn parse_repair(row_key: &[u8]) -> Option<(u8, ManifestId, u32)> {
    let (&margin, rest) = row_key.split_first()?;
    let (manifest, rest) = parse_manifest(rest)?;
    Some((margin, manifest, u32::from_be_bytes(rest.try_into().ok()?)))
}

/// What a counter counts. Persisted as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Live bytes, object versions and uploaded parts together.
    Bytes = 1,
    /// Live object versions.
    Objects = 2,
    /// Byte-milliseconds of an hour that come from changes within it: each change of `n` bytes
    /// adds `n * (end of hour - now)`.
    ByteMillis = 3,
    /// Net change of live bytes within an hour; the sum over all hours before is the level that
    /// the hour starts with.
    BytesDelta = 4,
}

/// `ctr`: a bucket's counter.
#[must_use]
pub fn bucket_counter(bucket: BucketId, dimension: Dimension) -> Vec<u8> {
    [&b"b"[..], &bucket.0.to_be_bytes(), &[dimension as u8]].concat()
}

/// `ctr`: an account's counter.
#[must_use]
pub fn account_counter(account: AccountId, dimension: Dimension) -> Vec<u8> {
    [&b"a"[..], &account.0.to_be_bytes(), &[dimension as u8]].concat()
}

/// `ctr`: a source of ids that are never reused.
#[must_use]
pub fn id_source(name: &str) -> Vec<u8> {
    [&b"n"[..], name.as_bytes()].concat()
}

/// `meter`: a meter of one hour; `hour` counts hours since the Unix epoch.
#[must_use]
pub fn meter(hour: u32, account: AccountId, bucket: BucketId, dimension: Dimension) -> Vec<u8> {
    [&hour.to_be_bytes()[..], &account.0.to_be_bytes(), &bucket.0.to_be_bytes(), &[dimension as u8]]
        .concat()
}

/// Keys of the `ctl` table: a kind, then the kind's own key.
pub mod ctl {
    use node_proto::{Epoch, PeerKey, TokenId};

    use super::{AccountId, BucketId, DeviceId, PlacementGroupId};

    /// The [`crate::record::BucketRecord`] of a name.
    #[must_use]
    pub fn bucket(name: &str) -> Vec<u8> {
        [&b"bucket/"[..], name.as_bytes()].concat()
    }

    /// Present while a bucket exists; guarded by every commit that adds to it. The value is the
    /// bucket's name.
    #[must_use]
    pub fn bucket_id(bucket: BucketId) -> Vec<u8> {
        [&b"bucket-id/"[..], &bucket.0.to_be_bytes()].concat()
    }

    /// An account's buckets by name; the value is empty.
    #[must_use]
    pub fn owned_bucket(owner: AccountId, name: &str) -> Vec<u8> {
        [&b"owned-bucket/"[..], &owner.0.to_be_bytes(), name.as_bytes()].concat()
    }

    /// Prefix of an account's [`owned_bucket`] rows.
    #[must_use]
    pub fn owned_bucket_prefix(owner: AccountId) -> Vec<u8> {
        owned_bucket(owner, "")
    }

    /// An account.
    #[must_use]
    pub fn account(account: AccountId) -> Vec<u8> {
        [&b"account/"[..], &account.0.to_be_bytes()].concat()
    }

    /// The account of a user name; the value is the account id, big-endian.
    #[must_use]
    pub fn account_name(name: &str) -> Vec<u8> {
        [&b"account-name/"[..], name.as_bytes()].concat()
    }

    /// An access key.
    #[must_use]
    pub fn access_key(id: &str) -> Vec<u8> {
        [&b"access-key/"[..], id.as_bytes()].concat()
    }

    /// An account's access keys by id; the value is empty.
    #[must_use]
    pub fn owned_access_key(owner: AccountId, id: &str) -> Vec<u8> {
        [&b"owned-access-key/"[..], &owner.0.to_be_bytes(), id.as_bytes()].concat()
    }

    /// The [`crate::record::AccountKeyRecord`] of an account.
    #[must_use]
    pub fn account_key(account: AccountId) -> Vec<u8> {
        [&b"account-key/"[..], &account.0.to_be_bytes()].concat()
    }

    /// How writes to a bucket treat versions; guarded by each of them. Absent while the bucket was
    /// never versioned, else [`crate::record::BucketRecord::mode`].
    #[must_use]
    pub fn bucket_mode(bucket: BucketId) -> Vec<u8> {
        [&b"bucket-mode/"[..], &bucket.0.to_be_bytes()].concat()
    }

    /// One configuration of a bucket, by the name of its kind.
    #[must_use]
    pub fn bucket_config(bucket: BucketId, kind: &str) -> Vec<u8> {
        [&b"bucket-config/"[..], &bucket.0.to_be_bytes(), kind.as_bytes()].concat()
    }

    /// Prefix of all [`bucket_config`] rows of a bucket.
    #[must_use]
    pub fn bucket_config_prefix(bucket: BucketId) -> Vec<u8> {
        bucket_config(bucket, "")
    }

    /// One of the configurations that a bucket has several of: its kind, then its id.
    #[must_use]
    pub fn bucket_listed_config(bucket: BucketId, kind: &str, id: &str) -> Vec<u8> {
        let start = bucket_listed_config_prefix(bucket);
        [&start[..], kind.as_bytes(), b"/", id.as_bytes()].concat()
    }

    /// Prefix of all [`bucket_listed_config`] rows of a bucket.
    #[must_use]
    pub fn bucket_listed_config_prefix(bucket: BucketId) -> Vec<u8> {
        [&b"bucket-listed-config/"[..], &bucket.0.to_be_bytes()].concat()
    }

    /// Prefix of the configurations of one kind that a bucket has several of.
    #[must_use]
    pub fn bucket_listed_config_kind(bucket: BucketId, kind: &str) -> Vec<u8> {
        bucket_listed_config(bucket, kind, "")
    }

    /// The [`crate::record::RenameTokenRecord`] of a slot, of which each bucket has a fixed number.
    #[must_use]
    pub fn rename_token(bucket: BucketId, slot: u16) -> Vec<u8> {
        [&rename_token_prefix(bucket)[..], &slot.to_be_bytes()].concat()
    }

    /// Prefix of a bucket's [`rename_token`] rows.
    #[must_use]
    pub fn rename_token_prefix(bucket: BucketId) -> Vec<u8> {
        [&b"rename-token/"[..], &bucket.0.to_be_bytes()].concat()
    }

    /// An [`crate::record::AccessLogRecord`] that waits for delivery; earlier ones sort first.
    #[must_use]
    pub fn access_log(bucket: BucketId, seq: u128) -> Vec<u8> {
        [&access_log_prefix()[..], &bucket.0.to_be_bytes(), &seq.to_be_bytes()].concat()
    }

    /// Prefix of all [`access_log`] rows.
    #[must_use]
    pub fn access_log_prefix() -> Vec<u8> {
        b"access-log/".to_vec()
    }

    /// Prefix of the [`bucket_config`] rows of all buckets.
    #[must_use]
    pub fn all_bucket_configs_prefix() -> Vec<u8> {
        b"bucket-config/".to_vec()
    }

    /// Reads a [`bucket_config`] row key: the bucket and the kind. `None` when it is damaged.
    #[must_use]
    pub fn parse_bucket_config(row_key: &[u8]) -> Option<(BucketId, &[u8])> {
        let (bucket, kind) = row_key.strip_prefix(b"bucket-config/")?.split_first_chunk::<8>()?;
        Some((BucketId(u64::from_be_bytes(*bucket)), kind))
    }

    /// The [`crate::record::LifecycleProgressRecord`] of a bucket.
    #[must_use]
    pub fn lifecycle_progress(bucket: BucketId) -> Vec<u8> {
        [&b"lifecycle-progress/"[..], &bucket.0.to_be_bytes()].concat()
    }

    /// The [`crate::record::BucketKeyRecord`] of one epoch of a bucket's key.
    #[must_use]
    pub fn bucket_key(bucket: BucketId, epoch: u32) -> Vec<u8> {
        [&b"bucket-key/"[..], &bucket.0.to_be_bytes(), &epoch.to_be_bytes()].concat()
    }

    /// Prefix of all epochs of a bucket's key.
    #[must_use]
    pub fn bucket_key_prefix(bucket: BucketId) -> Vec<u8> {
        [&b"bucket-key/"[..], &bucket.0.to_be_bytes()].concat()
    }

    /// A [`crate::record::KmsKeyRecord`].
    #[must_use]
    pub fn kms_key(id: &str) -> Vec<u8> {
        [&b"kms-key/"[..], id.as_bytes()].concat()
    }

    /// Prefix of all [`kms_key`] rows.
    #[must_use]
    pub fn kms_key_prefix() -> Vec<u8> {
        kms_key("")
    }

    /// A [`crate::record::KmsAliasRecord`].
    #[must_use]
    pub fn kms_alias(name: &str) -> Vec<u8> {
        [&b"kms-alias/"[..], name.as_bytes()].concat()
    }

    /// Prefix of all [`kms_alias`] rows.
    #[must_use]
    pub fn kms_alias_prefix() -> Vec<u8> {
        kms_alias("")
    }

    /// The layout document.
    #[must_use]
    pub fn layout() -> Vec<u8> {
        b"layout".to_vec()
    }

    /// The [`crate::record::LayoutRevisionRecord`] of an epoch.
    #[must_use]
    pub fn layout_revision(epoch: Epoch) -> Vec<u8> {
        [&b"layout-history/"[..], &epoch.0.to_be_bytes()].concat()
    }

    /// Prefix of all layout revisions.
    #[must_use]
    pub fn layout_revision_prefix() -> Vec<u8> {
        b"layout-history/".to_vec()
    }

    /// The [`crate::record::LayoutIdsRecord`].
    #[must_use]
    pub fn layout_ids() -> Vec<u8> {
        b"layout-ids".to_vec()
    }

    /// The [`crate::record::StagedLayoutRecord`].
    #[must_use]
    pub fn staged_layout() -> Vec<u8> {
        b"layout-staged".to_vec()
    }

    /// A [`crate::record::NodeRecord`].
    #[must_use]
    pub fn node(peer: PeerKey) -> Vec<u8> {
        [&b"node/"[..], &peer.0].concat()
    }

    /// Prefix of all node records.
    #[must_use]
    pub fn node_prefix() -> Vec<u8> {
        b"node/".to_vec()
    }

    /// A [`crate::record::TokenRecord`].
    #[must_use]
    pub fn join_token(id: TokenId) -> Vec<u8> {
        [&b"join-token/"[..], &id.0].concat()
    }

    /// Prefix of all join tokens.
    #[must_use]
    pub fn join_token_prefix() -> Vec<u8> {
        b"join-token/".to_vec()
    }

    /// The [`crate::record::AvailabilityRecord`].
    #[must_use]
    pub fn availability() -> Vec<u8> {
        b"availability".to_vec()
    }

    /// A [`crate::record::DeviceRecord`].
    #[must_use]
    pub fn device(device: DeviceId) -> Vec<u8> {
        [&b"device/"[..], &device.0.to_be_bytes()].concat()
    }

    /// The [`crate::record::JobRecord`] of a job that has not ended.
    #[must_use]
    pub fn job(id: &str) -> Vec<u8> {
        [&b"job/"[..], id.as_bytes()].concat()
    }

    /// Prefix of all [`job`] rows.
    #[must_use]
    pub fn job_prefix() -> Vec<u8> {
        job("")
    }

    /// The [`crate::record::JobRecord`] of a job that ended; earlier started ones sort first.
    #[must_use]
    pub fn ended_job(started: node_proto::UnixMillis, id: &str) -> Vec<u8> {
        [&b"ended-job/"[..], &started.0.to_be_bytes(), id.as_bytes()].concat()
    }

    /// Prefix of all [`ended_job`] rows.
    #[must_use]
    pub fn ended_job_prefix() -> Vec<u8> {
        b"ended-job/".to_vec()
    }

    /// A [`crate::record::PlacementGroupRecord`].
    #[must_use]
    pub fn placement_group(group: PlacementGroupId) -> Vec<u8> {
        [&b"placement-group/"[..], &group.0.to_be_bytes()].concat()
    }

    /// Prefix of all placement groups.
    #[must_use]
    pub fn placement_group_prefix() -> Vec<u8> {
        b"placement-group/".to_vec()
    }
}

/// A counter's value as `ctr` and `meter` rows hold it. `None` when the bytes are no counter.
#[must_use]
pub fn decode_counter(value: &[u8]) -> Option<i128> {
    Some(i128::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests;
