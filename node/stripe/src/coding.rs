//! Making parity, and making lost shards from those that are left.
//!
//! Invariants:
//! - the codes work column by column ([`COLUMN_LEN_BYTES`]): what is true for whole shards is true
//!   for equal column-aligned ranges of them;
//! - the same shards come back from any `k` of them, whichever are lost.
//!
//! Deliberately absent: verification. Whoever fetched the shards knows by root or by tag which of
//! them are whole; a damaged input gives a damaged output.

use std::borrow::Cow;

use node_proto::ShardIndex;

use crate::codec::Codec;
use crate::geometry::{COLUMN_LEN_BYTES, StripeGeometry};
use crate::leopard::{self, Shape};

/// Why parity was not made. The caller's buffers do not match its geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The data buffer is not k shards long.
    #[error("the data shards are {expected_bytes} bytes long, not {len_bytes}")]
    DataLen {
        /// Length of the given buffer.
        len_bytes: usize,
        /// [`StripeGeometry::data_len_bytes`].
        expected_bytes: usize,
    },
    /// The parity buffer is not m shards long.
    #[error("the parity shards are {expected_bytes} bytes long, not {len_bytes}")]
    ParityLen {
        /// Length of the given buffer.
        len_bytes: usize,
        /// [`StripeGeometry::parity_len_bytes`].
        expected_bytes: usize,
    },
}

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
    /// A shard is given or wanted twice.
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

/// Makes the parity shards of a stripe.
///
/// `data` holds the `k` data shards back to back, padding zeroed
/// ([`StripeGeometry::zero_padding`]); `parity` receives the `m` parity shards back to back. CPU
/// work of some milliseconds for a full stripe: call it off the reactor.
///
/// # Errors
/// [`EncodeError`] when a buffer has not the length that the geometry says; then `parity` is
/// untouched.
pub fn encode(
    geometry: &StripeGeometry,
    data: &[u8],
    parity: &mut [u8],
) -> Result<(), EncodeError> {
    let expected_bytes = geometry.data_len_bytes();
    if data.len() != expected_bytes {
        return Err(EncodeError::DataLen { len_bytes: data.len(), expected_bytes });
    }
    let expected_bytes = geometry.parity_len_bytes();
    if parity.len() != expected_bytes {
        return Err(EncodeError::ParityLen { len_bytes: parity.len(), expected_bytes });
    }
    let shard_len = geometry.shard_len_bytes();
    let data: Vec<&[u8]> = data.chunks_exact(shard_len).collect();
    let mut parity: Vec<_> = parity.chunks_exact_mut(shard_len).enumerate().collect();
    encode_parity(geometry, &data, &mut parity);
    Ok(())
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
    let mut shards = place_present(geometry, present)?;
    let mut seen = vec![false; shards.len()];
    let mut data_is_wanted = false;
    let mut parity_is_wanted = false;
    for &shard in wanted {
        let index = checked_index(geometry, shard)?;
        if std::mem::replace(&mut seen[index], true) {
            return Err(ReconstructError::NamedTwice { shard });
        }
        let missing = shards[index].is_none();
        data_is_wanted |= missing && geometry.is_data(shard);
        parity_is_wanted |= missing && !geometry.is_data(shard);
    }
    if data_is_wanted || parity_is_wanted {
        if present.len() < usize::from(geometry.k()) {
            return Err(ReconstructError::NotEnough { present: present.len(), k: geometry.k() });
        }
        // Parity is made from all of the data, so then every missing data shard is needed.
        let needed = |index: usize| parity_is_wanted || seen[index];
        restore_data(geometry, &mut shards, needed);
    }
    if parity_is_wanted {
        restore_parity(geometry, &mut shards, &seen);
    }
    let restored = |shard: &ShardIndex| {
        let bytes = shards[usize::from(shard.0)].take().expect("present, decoded or encoded");
        (*shard, bytes.into_owned())
    };
    Ok(wanted.iter().map(restored).collect())
}

fn checked_index(geometry: &StripeGeometry, shard: ShardIndex) -> Result<usize, ReconstructError> {
    if geometry.has_shard(shard) {
        Ok(usize::from(shard.0))
    } else {
        Err(ReconstructError::NoSuchShard { shard, shard_count: geometry.shard_count() })
    }
}

/// The present ranges by shard index.
fn place_present<'a>(
    geometry: &StripeGeometry,
    present: &[(ShardIndex, &'a [u8])],
) -> Result<Vec<Option<Cow<'a, [u8]>>>, ReconstructError> {
    let range_len = present.first().map_or(0, |(_, range)| range.len());
    let mut shards = vec![None; usize::from(geometry.shard_count())];
    for &(shard, range) in present {
        let index = checked_index(geometry, shard)?;
        let len_bytes = range.len();
        let usable = len_bytes.is_multiple_of(COLUMN_LEN_BYTES)
            && (1..=geometry.shard_len_bytes()).contains(&len_bytes);
        if !usable || len_bytes != range_len {
            return Err(ReconstructError::RangeLen { shard, len_bytes });
        }
        if shards[index].replace(Cow::Borrowed(range)).is_some() {
            return Err(ReconstructError::NamedTwice { shard });
        }
    }
    Ok(shards)
}

/// Fills the needed data shards; at least `k` shards are there.
fn restore_data(
    geometry: &StripeGeometry,
    shards: &mut [Option<Cow<'_, [u8]>>],
    needed: impl Fn(usize) -> bool,
) {
    let k = usize::from(geometry.k());
    let missing = |index: &usize| shards[*index].is_none() && needed(*index);
    let missing: Vec<usize> = (0..k).filter(missing).collect();
    if missing.is_empty() {
        return;
    }
    let sources: Vec<(usize, &[u8])> = shards
        .iter()
        .enumerate()
        .filter_map(|(index, shard)| Some((index, shard.as_deref()?)))
        .take(k)
        .collect();
    let range_len = sources[0].1.len();
    let mut restored: Vec<(usize, Vec<u8>)> =
        missing.into_iter().map(|index| (index, vec![0; range_len])).collect();
    match geometry.codec() {
        Codec::Replicate => restored[0].1.copy_from_slice(sources[0].1),
        Codec::LeopardGf16 => leopard::restore(shape(geometry), &sources, &mut restored),
    }
    for (index, bytes) in restored {
        shards[index] = Some(Cow::Owned(bytes));
    }
}

/// Fills the wanted parity shards; all data shards are there.
fn restore_parity(
    geometry: &StripeGeometry,
    shards: &mut [Option<Cow<'_, [u8]>>],
    wanted: &[bool],
) {
    let (data, parity) = shards.split_at_mut(usize::from(geometry.k()));
    let wanted = &wanted[data.len()..];
    let data: Vec<&[u8]> =
        data.iter().map(|shard| shard.as_deref().expect("restored before")).collect();
    let mut made: Vec<(usize, Vec<u8>)> = (0..parity.len())
        .filter(|&index| wanted[index] && parity[index].is_none())
        .map(|index| (index, vec![0; data[0].len()]))
        .collect();
    let mut out: Vec<(usize, &mut [u8])> =
        made.iter_mut().map(|(index, bytes)| (*index, bytes.as_mut_slice())).collect();
    encode_parity(geometry, &data, &mut out);
    for (index, bytes) in made {
        parity[index] = Some(Cow::Owned(bytes));
    }
}

/// Makes those parity shards that `parity` names by their number among the parity shards.
fn encode_parity(geometry: &StripeGeometry, data: &[&[u8]], parity: &mut [(usize, &mut [u8])]) {
    if parity.is_empty() {
        return;
    }
    match geometry.codec() {
        Codec::Replicate => {
            for (_, copy) in parity {
                copy.copy_from_slice(data[0]);
            }
        }
        Codec::LeopardGf16 => leopard::encode(shape(geometry), data, parity),
    }
}

fn shape(geometry: &StripeGeometry) -> Shape {
    Shape { k: usize::from(geometry.k()), m: usize::from(geometry.m()) }
}

#[cfg(test)]
mod tests;
