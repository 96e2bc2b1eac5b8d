//! Making lost shards from those that are left.
//!
//! Invariants:
//! - the same shards come back from any `k` of them, whichever are lost;
//! - what is solved once serves any number of ranges of the same shards.
//!
//! Deliberately absent: verification. Whoever fetched the shards knows by root or by tag which of
//! them are whole; a damaged input gives a damaged output.

use node_proto::ShardIndex;

use crate::cauchy;
use crate::codec::Codec;
use crate::geometry::{COLUMN_LEN_BYTES, StripeGeometry};
use crate::leopard;

/// Why shards were not reconstructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconstructError {
    /// Too few shards are left. Fetch more; when there are no more, the data is lost.
    #[error("{present} shards are present, {k} are needed")]
    NotEnough {
        /// Distinct shards given.
        present: usize,
        /// Shards needed.
        k: u8,
    },
    /// The stripe has no such shard.
    #[error("the stripe has {shard_count} shards, there is no shard {}", shard.0)]
    NoSuchShard {
        /// The index out of range.
        shard: ShardIndex,
        /// Shards of the stripe.
        shard_count: u8,
    },
    /// A shard is given or wanted twice, or both to a [`Restorer`].
    #[error("shard {} is named twice", shard.0)]
    NamedTwice {
        /// The repeated index.
        shard: ShardIndex,
    },
    /// A range is empty, not aligned to columns, longer than a shard, or not as long as the
    /// others.
    #[error("shard {} comes with a range of {len_bytes} bytes, which cannot be decoded", shard.0)]
    RangeLen {
        /// The shard with the refused range.
        shard: ShardIndex,
        /// Its length.
        len_bytes: usize,
    },
}

/// The solution for one loss of one stripe, to be used for one range after the other.
#[derive(Clone, Debug)]
pub struct Restorer {
    geometry: StripeGeometry,
    sources: Vec<ShardIndex>,
    wanted: Vec<ShardIndex>,
    plan: Plan,
}

#[derive(Clone, Debug)]
enum Plan {
    Copy,
    Matrix(cauchy::Matrix),
    Leopard(leopard::Restoring),
}

impl Restorer {
    /// How to make `wanted` shards from `present` ones, of which none is wanted. Any `k` are
    /// enough, more do no harm; data shards are preferred, since they need no decoding.
    ///
    /// # Errors
    /// [`ReconstructError`] when too few shards are present, or when the call makes no sense.
    pub fn new(
        geometry: &StripeGeometry,
        present: &[ShardIndex],
        wanted: &[ShardIndex],
    ) -> Result<Self, ReconstructError> {
        let mut named = vec![false; usize::from(geometry.shard_count())];
        for &shard in present.iter().chain(wanted) {
            let index = checked_index(geometry, shard)?;
            if std::mem::replace(&mut named[index], true) {
                return Err(ReconstructError::NamedTwice { shard });
            }
        }
        let k = usize::from(geometry.k());
        if present.len() < k {
            return Err(ReconstructError::NotEnough { present: present.len(), k: geometry.k() });
        }
        let mut sources = present.to_vec();
        sources.sort_unstable();
        sources.truncate(k);
        let plan = plan(geometry, &indexes(&sources), &indexes(wanted));
        Ok(Self { geometry: *geometry, sources, wanted: wanted.to_vec(), plan })
    }

    /// The `k` shards that are used, ascending.
    #[must_use]
    pub fn sources(&self) -> &[ShardIndex] {
        &self.sources
    }

    /// Fills `restored` with ranges of the wanted shards, in the order in which they were named.
    ///
    /// `sources` are the whole shards of [`Self::sources`] in that order, or the same range of
    /// each, aligned to [`COLUMN_LEN_BYTES`] ([`StripeGeometry::column_range`]).
    ///
    /// # Errors
    /// [`ReconstructError::RangeLen`] when a range cannot be decoded or is not as long as the
    /// others; then `restored` is untouched.
    ///
    /// # Panics
    /// When there are not as many slices as shards: the caller's mistake.
    pub fn restore(
        &self,
        sources: &[&[u8]],
        restored: &mut [&mut [u8]],
    ) -> Result<(), ReconstructError> {
        assert_eq!(sources.len(), self.sources.len(), "one range for each source");
        assert_eq!(restored.len(), self.wanted.len(), "one range for each wanted shard");
        let range_len = sources[0].len();
        let lens = sources.iter().map(|range| range.len());
        let lens = lens.chain(restored.iter().map(|range| range.len()));
        for (&shard, len_bytes) in self.sources.iter().chain(&self.wanted).zip(lens) {
            check_range(&self.geometry, shard, len_bytes, range_len)?;
        }
        match &self.plan {
            Plan::Copy => restored.iter_mut().for_each(|copy| copy.copy_from_slice(sources[0])),
            Plan::Matrix(matrix) => matrix.multiply(sources, restored),
            Plan::Leopard(plan) => plan.restore(sources, restored),
        }
        Ok(())
    }
}

fn plan(geometry: &StripeGeometry, sources: &[usize], wanted: &[usize]) -> Plan {
    match geometry.codec() {
        Codec::Replicate => Plan::Copy,
        Codec::CauchyGf8 => {
            Plan::Matrix(cauchy::Matrix::of_restoring(usize::from(geometry.k()), sources, wanted))
        }
        Codec::LeopardGf16 => {
            Plan::Leopard(leopard::Restoring::new(leopard::Shape::of(geometry), sources, wanted))
        }
    }
}

fn indexes(shards: &[ShardIndex]) -> Vec<usize> {
    shards.iter().map(|shard| usize::from(shard.0)).collect()
}

fn checked_index(geometry: &StripeGeometry, shard: ShardIndex) -> Result<usize, ReconstructError> {
    if geometry.has_shard(shard) {
        Ok(usize::from(shard.0))
    } else {
        Err(ReconstructError::NoSuchShard { shard, shard_count: geometry.shard_count() })
    }
}

fn check_range(
    geometry: &StripeGeometry,
    shard: ShardIndex,
    len_bytes: usize,
    expected_bytes: usize,
) -> Result<(), ReconstructError> {
    let usable = len_bytes.is_multiple_of(COLUMN_LEN_BYTES)
        && (1..=geometry.shard_len_bytes()).contains(&len_bytes);
    if usable && len_bytes == expected_bytes {
        Ok(())
    } else {
        Err(ReconstructError::RangeLen { shard, len_bytes })
    }
}

/// Makes `wanted` shards from `present` ones, in the order of `wanted`.
///
/// All of `present` are the whole shards, or the same range of each, aligned to
/// [`COLUMN_LEN_BYTES`] ([`StripeGeometry::column_range`]); the result is the same range of the
/// wanted shards. Any `k` distinct shards are enough, more do no harm; data shards are preferred,
/// since they need no decoding. A wanted shard that is present is copied.
///
/// # Errors
/// [`ReconstructError`] when too few shards are present, or when the call makes no sense.
pub fn reconstruct(
    geometry: &StripeGeometry,
    present: &[(ShardIndex, &[u8])],
    wanted: &[ShardIndex],
) -> Result<Vec<(ShardIndex, Vec<u8>)>, ReconstructError> {
    let range_len = present.first().map_or(0, |(_, range)| range.len());
    let mut given: Vec<Option<&[u8]>> = vec![None; usize::from(geometry.shard_count())];
    for &(shard, range) in present {
        let index = checked_index(geometry, shard)?;
        check_range(geometry, shard, range.len(), range_len)?;
        if given[index].replace(range).is_some() {
            return Err(ReconstructError::NamedTwice { shard });
        }
    }
    let mut named = vec![false; given.len()];
    let mut missing = Vec::new();
    for &shard in wanted {
        let index = checked_index(geometry, shard)?;
        if std::mem::replace(&mut named[index], true) {
            return Err(ReconstructError::NamedTwice { shard });
        }
        if given[index].is_none() {
            missing.push(shard);
        }
    }
    let mut restored: Vec<Vec<u8>> = Vec::new();
    if !missing.is_empty() {
        let present: Vec<ShardIndex> = present.iter().map(|(shard, _)| *shard).collect();
        let restorer = Restorer::new(geometry, &present, &missing)?;
        let of = |shard: &ShardIndex| given[usize::from(shard.0)].expect("a source is present");
        let sources: Vec<&[u8]> = restorer.sources().iter().map(of).collect();
        restored.resize_with(missing.len(), || vec![0; range_len]);
        let mut ranges: Vec<&mut [u8]> = restored.iter_mut().map(Vec::as_mut_slice).collect();
        restorer.restore(&sources, &mut ranges)?;
    }
    let mut restored = restored.into_iter();
    let take = |shard: &ShardIndex| match given[usize::from(shard.0)] {
        Some(present) => (*shard, present.to_vec()),
        None => (*shard, restored.next().expect("restored in the order of the wanted")),
    };
    Ok(wanted.iter().map(take).collect())
}

#[cfg(test)]
mod tests;
