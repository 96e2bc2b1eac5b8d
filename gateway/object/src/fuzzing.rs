//! Entry points for fuzzing: manifests from disk, and the ranges and listings clients ask for.
//!
//! Each function takes any bytes and panics when a property does not hold. The targets of
//! `compat-tests/fuzz` call them, and a test replays every input that is kept there.
//!
//! Deliberately absent: from every build but tests and the fuzz package's own.

mod listing;

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use gateway_meta::record::Record as _;
use node_proto::{ManifestId, ShardIndex};
use node_stripe::{COLUMN_LEN_BYTES, StripeChunk};

pub use listing::listing;

use crate::{
    RangeRequest,
    data::manifest::{Stripe, decode_page},
    names::{validate_bucket_name, validate_key},
    range::{resolve, resolve_within},
};

#[cfg(test)]
#[path = "../../../compat-tests/fuzz/kept.rs"]
mod kept;

/// Chunks of a stripe that are looked at. A stripe may have 2^31.
const CHUNKS_MAX: usize = 64;

/// A page of a stripe list as it is stored.
///
/// What is accepted encodes to what is accepted; every stripe it describes has a geometry in which
/// chunks lie inside shards, one behind the other, and cover the plaintext.
pub fn manifest_page(data: &[u8]) {
    let manifest = ManifestId(1);
    let Ok(page) = decode_page(manifest, data) else {
        return;
    };
    assert_eq!(decode_page(manifest, &page.encode()).ok().as_ref(), Some(&page));
    let page = Arc::new(page);
    let end = page.first_stripe.saturating_add(u32::try_from(page.stripes.len()).unwrap_or(0));
    for index in page.first_stripe..=end {
        if let Ok(stripe) = Stripe::new(manifest, Arc::clone(&page), index) {
            check_stripe(&stripe, index);
        } else {
            continue;
        }
        assert!(index < end, "a stripe behind the page's last one");
    }
}

fn check_stripe(stripe: &Stripe, index: u32) {
    let page = stripe.page();
    let geometry = &stripe.geometry;
    let start = u64::from(index) * u64::from(page.stripe_len_bytes);
    assert!(start + geometry.plaintext_len_bytes() as u64 <= page.len_bytes);
    let is_end = start + geometry.plaintext_len_bytes() as u64 == page.len_bytes;
    assert_eq!(stripe.is_last(), is_end);
    assert_eq!(stripe.record().roots.len(), usize::from(geometry.shard_count()));
    assert!(geometry.shard_len_bytes().is_multiple_of(COLUMN_LEN_BYTES));
    let count = geometry.chunk_count();
    let looked_at = (0..count).take(CHUNKS_MAX).chain(count.saturating_sub(CHUNKS_MAX)..count);
    let chunk = |at: usize| StripeChunk(u32::try_from(at).expect("a stripe has fewer chunks"));
    for at in looked_at {
        let place = geometry.locate(chunk(at)).expect("the chunk is there");
        assert!(place.shard.0 < geometry.k());
        assert!(place.range().end <= geometry.shard_len_bytes());
        let plain = geometry.plaintext_range(chunk(at)).expect("the chunk is there");
        assert_eq!(plain.start, at * geometry.chunk_len_bytes());
        assert!(at + 1 < count || plain.end == geometry.plaintext_len_bytes());
        let data = geometry.data_range(chunk(at)).expect("the chunk is there");
        assert!(data.end <= geometry.data_len_bytes());
        if let Some(next) = geometry.data_range(chunk(at + 1)) {
            assert!(data.end <= next.start, "chunks overlap");
        }
    }
    assert_eq!(geometry.locate(chunk(count)), None);
    assert!(!geometry.has_shard(ShardIndex(geometry.shard_count())));
    // No arithmetic on the position of its chunks overflows.
    let last_chunk = stripe.first_chunk() + count as u64;
    assert!(last_chunk >= stripe.first_chunk());
}

/// A range against an object's length, and names.
///
/// A resolved range is what a byte-by-byte reading of the request gives.
pub fn range(data: &[u8]) {
    // The input ended where a number was due: there is no range to look at.
    let _ = play_range(&mut Unstructured::new(data));
}

fn play_range(input: &mut Unstructured<'_>) -> Result<()> {
    let small = input.arbitrary::<bool>()?;
    let mut number = || Ok(if small { input.int_in_range(0..=9)? } else { input.arbitrary()? });
    let (len, first, last): (u64, u64, u64) = (number()?, number()?, number()?);
    let requests = [
        RangeRequest::From { first, last: Some(last) },
        RangeRequest::From { first, last: None },
        RangeRequest::Suffix { len_bytes: first },
    ];
    for request in requests {
        let whole = match request {
            RangeRequest::From { last: Some(last), .. } if last < first => None,
            RangeRequest::From { last, .. } => {
                Some((first, last.unwrap_or(u64::MAX).min(len.saturating_sub(1))))
            }
            RangeRequest::Suffix { len_bytes } => {
                let first = len.saturating_sub(len_bytes);
                // A suffix of nothing starts behind the end.
                let first = if len_bytes == 0 { len } else { first };
                Some((first, len.saturating_sub(1)))
            }
        };
        let satisfiable = whole.is_none_or(|(first, _)| first < len);
        let found = resolve(request, len);
        assert_eq!(found.is_ok(), satisfiable, "{request:?} of {len}");
        let expected = whole.filter(|_| satisfiable);
        let bounds = found.ok().flatten().map(|found| {
            assert!(found.len_bytes > 0);
            (found.offset_bytes, found.offset_bytes + (found.len_bytes - 1))
        });
        assert_eq!(bounds, expected, "{request:?} of {len}");
        let within = resolve_within(request, len);
        assert!(within.is_none_or(|within| resolve(request, len) == Ok(Some(within))));
    }
    if let Ok(text) = std::str::from_utf8(input.bytes(input.len())?) {
        assert!(validate_key(text).is_err() || (1..=1024).contains(&text.len()));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_host = text.split('.').all(|label| !label.is_empty())
            && text.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'.');
        assert!(validate_bucket_name(text).is_err() || is_host);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_inputs_hold() {
        kept::replay("object_manifest_page", manifest_page);
        kept::replay("object_range", range);
        kept::replay("object_listing", listing);
    }
}
