//! Which instructions advance lanes, chosen at run time.

#[cfg(target_arch = "aarch64")]
use crate::aarch64;
use crate::rounds::Lane;
use crate::scalar;
#[cfg(target_arch = "x86_64")]
use crate::x86_64;

/// A way to advance lanes that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Instructions);

/// Made by [`Kernel::available`] only, which asks the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// Ordinary registers, on any processor.
    pub const SCALAR: Self = Self(Instructions::Scalar);

    /// The fastest of this processor.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::SCALAR)
    }

    /// All of this processor, the fastest last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") {
                kernels.push(Self(Instructions::Avx2));
            }
            if std::arch::is_x86_feature_detected!("avx512f") {
                kernels.push(Self(Instructions::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            kernels.push(Self(Instructions::Neon));
        }
        kernels
    }

    /// Streams that go along at once.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self.0 {
            Instructions::Scalar => scalar::SIDE_BY_SIDE,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => 2 * x86_64::AVX2_LANES,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => 2 * x86_64::AVX512_LANES,
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => 2 * aarch64::NEON_LANES,
        }
    }

    /// Fewest streams that are faster in these lanes than two by two in ordinary registers.
    /// Measured with `bench stages`, but for NEON, which is chosen.
    pub(crate) const fn lanes_min(self) -> usize {
        match self.0 {
            Instructions::Scalar => scalar::SIDE_BY_SIDE,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => 5,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => 3,
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => 5,
        }
    }

    /// Advances lanes, at most [`Self::lanes`], over their steps, which are equally many.
    pub(crate) fn advance(self, lanes: &mut [Lane<'_>]) {
        match self.0 {
            Instructions::Scalar => scalar::advance_side_by_side(lanes),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this kernel exists because the processor has AVX2.
            Instructions::Avx2 => unsafe {
                match lanes.len() {
                    ..=x86_64::AVX2_LANES => x86_64::advance_avx2(lanes),
                    _ => x86_64::advance_avx2_twice(lanes),
                }
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this kernel exists because the processor has AVX-512F.
            Instructions::Avx512 => unsafe {
                match lanes.len() {
                    ..=x86_64::AVX512_LANES => x86_64::advance_avx512(lanes),
                    _ => x86_64::advance_avx512_twice(lanes),
                }
            },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: this kernel exists because the processor has NEON.
            Instructions::Neon => unsafe {
                match lanes.len() {
                    ..=aarch64::NEON_LANES => aarch64::advance_neon(lanes),
                    _ => aarch64::advance_neon_twice(lanes),
                }
            },
        }
    }
}
