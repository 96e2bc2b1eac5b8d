//! Stripe lists and part tables, read and written a page at a time.
//!
//! Invariants:
//! - what a page says is checked once, when it is read: stripe numbers, shard counts and lengths
//!   fit together, so that later arithmetic cannot fail;
//! - a page changes only when shards of its stripes move: whoever changes it says so, and a cached
//!   page is then forgotten. A reader may still hold the page of a moment ago and meets shards that
//!   are gone; whoever deletes or repairs reads the page anew.
//!
//! *Limits:* decoded pages are kept up to a configured weight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_meta::{
    BucketId, Op, Table, key,
    record::{ManifestPage, PartTablePage, StripeRecord},
};
use node_proto::{ManifestId, PlacementGroupId, ShardIndex, ShardKey, StripeSeq};
use node_stripe::{Codec, StripeGeometry, StripeSpec};

use super::cache::Cache;
use super::rows::{Rows, corrupt, put};
use crate::Fault;

/// What a decoded page weighs beyond its stored bytes. Measured by eye: vectors of roots.
const PAGE_OVERHEAD_BYTES: usize = 512;

/// Pages by manifest.
pub(crate) struct Manifests {
    rows: Rows,
    stripes: Cache<(ManifestId, u32), Arc<ManifestPage>>,
    /// Pages that changed so far.
    changes: AtomicU64,
    parts: Cache<(ManifestId, u32), Arc<PartTablePage>>,
}

impl Manifests {
    pub(crate) fn new(rows: Rows, cache_bytes_max: usize) -> Self {
        let half = cache_bytes_max / 2;
        Self {
            rows,
            stripes: Cache::new(half),
            changes: AtomicU64::new(0),
            parts: Cache::new(half),
        }
    }

    /// One page of a stripe list; `None` when the manifest has no such page.
    pub(crate) fn page(
        &self,
        manifest: ManifestId,
        page: u32,
    ) -> Result<Option<Arc<ManifestPage>>, Fault> {
        if let Some(found) = self.stripes.get(&(manifest, page)) {
            return Ok(Some(found));
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let Some((decoded, len_bytes)) = self.read_page(manifest, page)? else { return Ok(None) };
        let weight = len_bytes + PAGE_OVERHEAD_BYTES;
        self.stripes.insert((manifest, page), Arc::clone(&decoded), weight);
        // It may have changed between the reading and the keeping.
        if self.changes.load(Ordering::SeqCst) != changes {
            self.stripes.remove(&(manifest, page));
        }
        Ok(Some(decoded))
    }

    /// Reads a page; also says how long its row is.
    fn read_page(
        &self,
        manifest: ManifestId,
        page: u32,
    ) -> Result<Option<(Arc<ManifestPage>, usize)>, Fault> {
        let Some(value) = self.rows.get(Table::Mf, &key::mf(manifest, page))? else {
            return Ok(None);
        };
        let decoded = Arc::new(decode_page(manifest, &value)?);
        if decoded.first_stripe != page.saturating_mul(ManifestPage::STRIPES_PER_PAGE) {
            return Err(corrupt(format!("page {page} of {manifest:?} is another page")));
        }
        Ok(Some((decoded, value.len())))
    }

    /// Forgets a page that was just changed.
    pub(crate) fn forget_page(&self, manifest: ManifestId, page: u32) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.stripes.remove(&(manifest, page));
    }

    /// As [`Self::stripe`], as it is now.
    pub(crate) fn current_stripe(
        &self,
        manifest: ManifestId,
        stripe_index: u32,
    ) -> Result<Option<Stripe>, Fault> {
        let page_index = stripe_index / ManifestPage::STRIPES_PER_PAGE;
        let Some((page, _)) = self.read_page(manifest, page_index)? else { return Ok(None) };
        if stripe_index >= page.stripe_count {
            return Ok(None);
        }
        Stripe::new(manifest, page, stripe_index).map(Some)
    }

    /// One page of a part table; `None` when there is no such page.
    pub(crate) fn part_page(
        &self,
        table: ManifestId,
        page: u32,
    ) -> Result<Option<Arc<PartTablePage>>, Fault> {
        if let Some(found) = self.parts.get(&(table, page)) {
            return Ok(Some(found));
        }
        let Some(value) = self.rows.get(Table::Mf, &key::mf(table, page))? else {
            return Ok(None);
        };
        let decoded: PartTablePage = super::rows::decode(&value)?;
        let decoded = Arc::new(decoded);
        let weight = value.len() * 2 + PAGE_OVERHEAD_BYTES;
        self.parts.insert((table, page), Arc::clone(&decoded), weight);
        Ok(Some(decoded))
    }

    /// The page and position of a stripe by its index; `None` when the body has no such stripe or
    /// does not exist.
    pub(crate) fn stripe(
        &self,
        manifest: ManifestId,
        stripe_index: u32,
    ) -> Result<Option<Stripe>, Fault> {
        let page_index = stripe_index / ManifestPage::STRIPES_PER_PAGE;
        let Some(page) = self.page(manifest, page_index)? else { return Ok(None) };
        if stripe_index >= page.stripe_count {
            return Ok(None);
        }
        Stripe::new(manifest, page, stripe_index).map(Some)
    }

    /// The index of the stripe that attempt `seq` made; `None` when no stripe of the body did.
    pub(crate) fn stripe_of_seq(
        &self,
        manifest: ManifestId,
        seq: StripeSeq,
    ) -> Result<Option<u32>, Fault> {
        let Some(first) = self.page(manifest, 0)? else { return Ok(None) };
        // Attempts that failed push numbers up, never down: the stripe is on the page its number
        // suggests, or before.
        let last_page = first.stripe_count.saturating_sub(1) / ManifestPage::STRIPES_PER_PAGE;
        let likely = (seq.0 / ManifestPage::STRIPES_PER_PAGE).min(last_page);
        for page_index in (0..=likely).rev() {
            let Some(page) = self.page(manifest, page_index)? else { return Ok(None) };
            let found = page.stripes.iter().position(|stripe| stripe.seq == seq);
            if let Some(position) = found {
                let position = u32::try_from(position).expect("a page is short");
                return Ok(Some(page.first_stripe + position));
            }
        }
        Ok(None)
    }
}

/// Decodes a page and checks what later code relies on.
pub(crate) fn decode_page(manifest: ManifestId, value: &[u8]) -> Result<ManifestPage, Fault> {
    let page: ManifestPage = super::rows::decode(value)?;
    let end = u64::from(page.first_stripe) + page.stripes.len() as u64;
    let stripe_len = u64::from(page.stripe_len_bytes);
    let is_sound = stripe_len > 0
        && page.len_bytes > 0
        && page.chunk_len_bytes > 0
        && (page.stripe_count == 1 || page.stripe_len_bytes.is_multiple_of(page.chunk_len_bytes))
        && u64::from(page.stripe_count) == page.len_bytes.div_ceil(stripe_len)
        && end <= u64::from(page.stripe_count)
        && page
            .stripes
            .iter()
            .all(|stripe| stripe.roots.len() == usize::from(stripe.k) + usize::from(stripe.m));
    if is_sound {
        Ok(page)
    } else {
        Err(corrupt(format!("a page of {manifest:?} contradicts itself")))
    }
}

/// One stripe of a body: its record, its geometry and where it lies in the body.
#[derive(Clone)]
pub(crate) struct Stripe {
    pub(crate) manifest: ManifestId,
    pub(crate) index: u32,
    pub(crate) geometry: StripeGeometry,
    page: Arc<ManifestPage>,
    position: usize,
}

impl Stripe {
    /// The stripe of a page that [`decode_page`] accepted.
    pub(crate) fn new(
        manifest: ManifestId,
        page: Arc<ManifestPage>,
        index: u32,
    ) -> Result<Self, Fault> {
        let damaged = |what: &str| corrupt(format!("stripe {index} of {manifest:?}: {what}"));
        let position = index
            .checked_sub(page.first_stripe)
            .map(|position| position as usize)
            .filter(|position| *position < page.stripes.len())
            .ok_or_else(|| damaged("not on its page"))?;
        let record = &page.stripes[position];
        let start = u64::from(index) * u64::from(page.stripe_len_bytes);
        let len = (page.len_bytes - start).min(u64::from(page.stripe_len_bytes));
        let geometry = StripeGeometry::new(StripeSpec {
            k: record.k,
            m: record.m,
            codec: Codec::from_id(record.codec).map_err(|error| damaged(&error.to_string()))?,
            chunk_len_bytes: page.chunk_len_bytes,
            plaintext_len_bytes: len,
        })
        .map_err(|error| damaged(&error.to_string()))?;
        if geometry.k() != record.k {
            return Err(damaged("its data shards do not fit its length"));
        }
        Ok(Self { manifest, index, geometry, page, position })
    }

    pub(crate) fn page(&self) -> &ManifestPage {
        &self.page
    }

    pub(crate) fn record(&self) -> &StripeRecord {
        &self.page.stripes[self.position]
    }

    pub(crate) fn shard_key(&self, index: ShardIndex) -> ShardKey {
        ShardKey { manifest: self.manifest, stripe: self.record().seq, index }
    }

    /// Index of the stripe's first chunk within the body.
    pub(crate) fn first_chunk(&self) -> u64 {
        let per_stripe = self.page.stripe_len_bytes.div_ceil(self.page.chunk_len_bytes);
        u64::from(self.index) * u64::from(per_stripe)
    }

    pub(crate) fn is_last(&self) -> bool {
        self.index + 1 == self.page.stripe_count
    }
}

/// What every page of a new body carries.
pub(crate) struct NewManifest {
    pub(crate) manifest: ManifestId,
    pub(crate) bucket: BucketId,
    pub(crate) len_bytes: u64,
    pub(crate) chunk_len_bytes: u32,
    pub(crate) stripe_len_bytes: u32,
    pub(crate) key_epoch: u32,
    pub(crate) data_key: Vec<u8>,
}

impl NewManifest {
    /// The rows that make the body findable: its pages, and its entry under each of its groups.
    pub(crate) fn ops(&self, stripes: Vec<StripeRecord>) -> Vec<Op> {
        let stripe_count = u32::try_from(stripes.len()).expect("the write path counts in u32");
        let mut groups: Vec<PlacementGroupId> = stripes.iter().map(|stripe| stripe.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut ops: Vec<Op> = groups
            .into_iter()
            .map(|group| Op::Put {
                table: Table::Pgidx,
                key: key::pgidx(group, self.manifest),
                value: bytes::Bytes::new(),
            })
            .collect();
        let pages = stripes.chunks(ManifestPage::STRIPES_PER_PAGE as usize);
        for (page_index, stripes) in (0..).zip(pages) {
            let page = ManifestPage {
                bucket: self.bucket,
                len_bytes: self.len_bytes,
                chunk_len_bytes: self.chunk_len_bytes,
                stripe_len_bytes: self.stripe_len_bytes,
                key_epoch: self.key_epoch,
                data_key: self.data_key.clone(),
                first_stripe: page_index * ManifestPage::STRIPES_PER_PAGE,
                stripe_count,
                stripes: stripes.to_vec(),
            };
            ops.push(put(Table::Mf, key::mf(self.manifest, page_index), &page));
        }
        ops
    }
}
