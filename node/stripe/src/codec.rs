//! Which code made the parity of a stripe.

/// An erasure code, recorded with every version that uses it.
///
/// Codes are not interchangeable: the same data gives other parity bytes under another code. An id
/// is therefore never given to another code, and a code whose parity would change gets a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Parity shards are copies of the one data shard; `k` is 1.
    Replicate,
    /// Leopard Reed–Solomon over GF(2¹⁶), as the reed-solomon-simd crate 3.x computes it.
    LeopardGf16,
    /// Reed–Solomon over GF(2⁸) with a Cauchy matrix. The default: its degraded reads are cheap.
    CauchyGf8,
}

/// A persisted codec id that this version does not know: written by a newer one, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("codec id {id} is unknown to this version")]
pub struct UnknownCodec {
    /// The unknown id.
    pub id: u8,
}

impl Codec {
    /// The persisted id.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Replicate => 0,
            Self::LeopardGf16 => 1,
            Self::CauchyGf8 => 2,
        }
    }

    /// The codec with a persisted id.
    ///
    /// # Errors
    /// [`UnknownCodec`] when no codec has this id.
    pub const fn from_id(id: u8) -> Result<Self, UnknownCodec> {
        match id {
            0 => Ok(Self::Replicate),
            1 => Ok(Self::LeopardGf16),
            2 => Ok(Self::CauchyGf8),
            _ => Err(UnknownCodec { id }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_golden() {
        assert_eq!(Codec::Replicate.id(), 0);
        assert_eq!(Codec::LeopardGf16.id(), 1);
        assert_eq!(Codec::CauchyGf8.id(), 2);
    }

    #[test]
    fn every_byte_is_one_codec_or_refused() {
        for id in 0..=u8::MAX {
            match Codec::from_id(id) {
                Ok(codec) => assert_eq!(codec.id(), id),
                Err(error) => assert_eq!(error, UnknownCodec { id }),
            }
        }
        assert_eq!(Codec::from_id(3), Err(UnknownCodec { id: 3 }));
    }
}
