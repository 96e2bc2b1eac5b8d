//! Limits of S3 that the service enforces.

/// Longest object key in bytes of UTF-8. S3.
pub(crate) const KEY_LEN_BYTES_MAX: usize = 1024;

/// Largest body of one PUT, one part and one copy source: 5 GiB. S3.
pub(crate) const PUT_LEN_BYTES_MAX: u64 = 5 << 30;

/// Greatest part number, and with it the most parts of an object. S3. Parts of
/// [`PUT_LEN_BYTES_MAX`] make objects of up to 48.8 TiB, which is S3's object limit since December
/// 2025 (5 TiB before), so nothing else bounds an object.
pub(crate) const PART_NUMBER_MAX: u16 = 10_000;

/// User metadata in bytes: names without the `x-amz-meta-` prefix and values together. S3.
pub(crate) const USER_METADATA_LEN_BYTES_MAX: usize = 2 << 10;

/// Tags of one object. S3.
pub(crate) const TAGS_MAX: usize = 10;

/// Tags of one bucket. S3.
pub(crate) const BUCKET_TAGS_MAX: usize = 50;

/// Longest tag key in characters. S3.
pub(crate) const TAG_KEY_CHARS_MAX: usize = 128;

/// Longest tag value in characters. S3.
pub(crate) const TAG_VALUE_CHARS_MAX: usize = 256;

/// Entries of one page of any listing but buckets. S3; larger wishes get this many.
pub(crate) const PAGE_ENTRIES_MAX: usize = 1000;

/// Buckets of one page. S3; larger wishes get this many.
pub(crate) const BUCKET_PAGE_ENTRIES_MAX: usize = 10_000;

/// How often a commit is tried anew after another writer changed what it had read. Writers of one
/// key take turns in this process, so a repeat means that an abandoned commit landed late.
/// Chosen; revisit when several gateways write.
pub(crate) const COMMIT_ATTEMPTS_MAX: usize = 8;

/// How often a read starts anew because the version it found was replaced and reclaimed before its
/// first byte. Chosen.
pub(crate) const READ_ATTEMPTS_MAX: usize = 4;

/// Keys deleted by one commit. Chosen: a thousand keys take four commits, and a commit stays far
/// below a mebibyte.
pub(crate) const DELETE_KEYS_PER_COMMIT: usize = 250;

/// Configurations of one kind that a bucket may have, where it may have several. S3.
pub(crate) const LISTED_CONFIGS_MAX: usize = 1000;

/// Configurations of one page. S3.
pub(crate) const LISTED_CONFIG_PAGE_MAX: usize = 100;
