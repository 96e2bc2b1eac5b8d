//! Sums of products of shards with constants, as fast as the processor does them.
//!
//! Invariants:
//! - every kernel makes the same bytes, whatever the lengths and alignments;
//! - up to [`LINES_MAX`] results are made in one pass over the sources, so 4+2 reads its data once;
//! - a kernel runs only on a processor that was asked whether it has the instructions.
//!
//! Deliberately absent: stores past the caches. What is made is hashed or opened next.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod lanes;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

/// Results of one pass. Chosen: their sums fit into the registers of every kernel.
const LINES_MAX: usize = 4;

/// Bytes of all sources that are worked through before the next pass over them. Chosen so that they
/// stay in the second-level cache; revisit with `every_kernel_is_fast` among the tests.
const RUN_LEN_BYTES: usize = 256 << 10;

/// A way to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// `GF2P8AFFINEQB` on 64 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Gfni512,
    /// `GF2P8AFFINEQB` on 32 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Gfni256,
    /// Tables of nibbles in 32-byte registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Tables of nibbles in 16-byte registers.
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    /// Tables of nibbles in 16-byte registers.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Tables of nibbles in memory; on every processor.
    Scalar,
}

impl Kernel {
    /// The kernels that this build knows, fastest first.
    const ALL: &[Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Gfni512,
        #[cfg(target_arch = "x86_64")]
        Self::Gfni256,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Ssse3,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        Self::Scalar,
    ];

    /// The fastest that this processor can run. The answers of the processor are cached.
    pub(super) fn best() -> Self {
        Self::available().next().unwrap_or(Self::Scalar)
    }

    /// All that this processor can run, fastest first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|kernel| kernel.is_available())
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni512 => {
                is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx512f")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Gfni256 => is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3 => is_x86_feature_detected!("ssse3"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Scalar => true,
        }
    }

    /// Makes a prefix of `run` of some results, and returns where it ends.
    fn start<const LINES: usize>(
        self,
        rows: [&[u8]; LINES],
        sources: &[&[u8]],
        made: &mut [&mut [u8]; LINES],
        run: Range<usize>,
    ) -> usize {
        assert!(self.is_available(), "{self:?} is not for this processor");
        match self {
            // SAFETY: the processor has the instructions of the kernel, as was just asserted.
            #[cfg(target_arch = "x86_64")]
            Self::Gfni512 => unsafe { x86::gfni_512::start(rows, sources, made, run) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Gfni256 => unsafe { x86::gfni_256::start(rows, sources, made, run) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::avx2::start(rows, sources, made, run) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3 => unsafe { x86::ssse3::start(rows, sources, made, run) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => unsafe { aarch64::neon::start(rows, sources, made, run) },
            Self::Scalar => run.start,
        }
    }
}

/// Fills each of `made` with the sum of `sources`, each times its factor in the row.
///
/// # Panics
/// When the numbers or lengths of the slices differ: the caller's mistake.
pub(super) fn combine(kernel: Kernel, rows: &[Vec<u8>], sources: &[&[u8]], made: &mut [&mut [u8]]) {
    let Some(len) = made.first().map(|line| line.len()) else { return };
    assert_eq!(rows.len(), made.len(), "a row for each result");
    assert!(rows.iter().all(|row| row.len() == sources.len()), "a factor for each source");
    assert!(sources.iter().all(|source| source.len() == len), "sources of equal length");
    assert!(made.iter().all(|line| line.len() == len), "results of equal length");
    let run_len = match made.len() {
        ..=LINES_MAX => len,
        _ => RUN_LEN_BYTES / sources.len().max(1),
    };
    for start in (0..len).step_by(run_len.max(1)) {
        let run = start..(start + run_len).min(len);
        let passes = rows.chunks(LINES_MAX).zip(made.chunks_mut(LINES_MAX));
        for (rows, made) in passes {
            match made.len() {
                1 => pass::<1>(kernel, rows, sources, made, run.clone()),
                2 => pass::<2>(kernel, rows, sources, made, run.clone()),
                3 => pass::<3>(kernel, rows, sources, made, run.clone()),
                _ => pass::<LINES_MAX>(kernel, rows, sources, made, run.clone()),
            }
        }
    }
}

/// Makes a run of some results in one pass over the sources.
fn pass<const LINES: usize>(
    kernel: Kernel,
    rows: &[Vec<u8>],
    sources: &[&[u8]],
    made: &mut [&mut [u8]],
    run: Range<usize>,
) {
    let rows: [&[u8]; LINES] = std::array::from_fn(|line| rows[line].as_slice());
    let made: &mut [&mut [u8]; LINES] = made.try_into().expect("matched on the number");
    let done = kernel.start(rows, sources, made, run.clone());
    for (row, line) in rows.iter().zip(made) {
        scalar::combine(row, sources, line, done..run.end);
    }
}
