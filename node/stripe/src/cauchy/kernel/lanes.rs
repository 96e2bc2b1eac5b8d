//! The loop that all kernels of vectors share.
//!
//! A kernel keeps the sums of all results for some lanes in registers while it goes over the
//! sources.

/// Defines `start` from what is in scope: the type `Lane`, the number `LANES`, and the functions
/// `zero`, `load`, `store`, `operand`, `factor`, `product` and `add`, all for the same instructions.
/// A macro, because functions are inlined only where their instructions are enabled.
macro_rules! start {
    ($features:literal) => {
        /// Makes all whole steps of `run` and returns where they end.
        #[target_feature(enable = $features)]
        pub(in super::super) fn start<const LINES: usize>(
            rows: [&[u8]; LINES],
            sources: &[&[u8]],
            made: &mut [&mut [u8]; LINES],
            run: Range<usize>,
        ) -> usize {
            const LANE_LEN: usize = size_of::<Lane>();
            const STEP_LEN: usize = LANE_LEN * LANES;
            let mut at = run.start;
            while run.end - at >= STEP_LEN {
                let mut sums = [[zero(); LANES]; LINES];
                for (column, source) in sources.iter().enumerate() {
                    let lanes = source[at..at + STEP_LEN].as_chunks::<LANE_LEN>().0;
                    let mut operands = [operand(zero()); LANES];
                    for (operand_of, lane) in operands.iter_mut().zip(lanes) {
                        *operand_of = operand(load(lane));
                    }
                    for (sums, row) in sums.iter_mut().zip(&rows) {
                        let factor = factor(row[column]);
                        for (sum, operand) in sums.iter_mut().zip(&operands) {
                            *sum = add(*sum, product(*operand, factor));
                        }
                    }
                }
                for (sums, line) in sums.iter().zip(made.iter_mut()) {
                    let lanes = line[at..at + STEP_LEN].as_chunks_mut::<LANE_LEN>().0;
                    for (sum, lane) in sums.iter().zip(lanes) {
                        store(lane, *sum);
                    }
                }
                at += STEP_LEN;
            }
            at
        }
    };
}

pub(super) use start;
