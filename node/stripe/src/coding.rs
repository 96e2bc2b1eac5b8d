//! Making parity.
//!
//! Invariants:
//! - the codes work column by column ([`crate::COLUMN_LEN_BYTES`]): what is true for whole shards
//!   is true for equal column-aligned ranges of them.

use crate::cauchy;
use crate::codec::Codec;
use crate::geometry::StripeGeometry;
use crate::leopard;

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
    let (k, m) = (usize::from(geometry.k()), usize::from(geometry.m()));
    let data: Vec<&[u8]> = data.chunks_exact(shard_len).collect();
    let mut parity: Vec<&mut [u8]> = parity.chunks_exact_mut(shard_len).collect();
    match geometry.codec() {
        _ if m == 0 => {}
        Codec::Replicate => parity.iter_mut().for_each(|copy| copy.copy_from_slice(data[0])),
        Codec::CauchyGf8 => cauchy::Matrix::of_parity(k, 0..m).multiply(&data, &mut parity),
        Codec::LeopardGf16 => {
            let mut parity: Vec<(usize, &mut [u8])> = parity.into_iter().enumerate().collect();
            leopard::encode(leopard::Shape::of(geometry), &data, &mut parity);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
