//! The compression function, written once for all kernels.
//!
//! Invariants:
//! - the table of rounds is that of RFC 1321, section 3.4; kernels differ only in what a word is.

/// Bytes that the compression function takes at once. Source: RFC 1321.
pub(crate) const STEP_LEN_BYTES: usize = 64;

/// Words of a step. Source: RFC 1321.
pub(crate) const STEP_WORDS: usize = 16;

/// The four words of a stream's state. Source: RFC 1321.
pub(crate) type State = [u32; 4];

/// What a stream starts from. Source: RFC 1321, section 3.3.
pub(crate) const INITIAL_STATE: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// One stream's run of steps.
pub(crate) struct Lane<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) steps: &'a [[u8; STEP_LEN_BYTES]],
}

/// Calls `$round!(function, a, b, c, d, word, rotation, constant)` for all 64 rounds,
/// where `a` to `d` are indexes of the state.
macro_rules! all_rounds {
    ($round:ident) => {
        $round!(f, 0, 1, 2, 3, 0, 7, 0xd76a_a478);
        $round!(f, 3, 0, 1, 2, 1, 12, 0xe8c7_b756);
        $round!(f, 2, 3, 0, 1, 2, 17, 0x2420_70db);
        $round!(f, 1, 2, 3, 0, 3, 22, 0xc1bd_ceee);
        $round!(f, 0, 1, 2, 3, 4, 7, 0xf57c_0faf);
        $round!(f, 3, 0, 1, 2, 5, 12, 0x4787_c62a);
        $round!(f, 2, 3, 0, 1, 6, 17, 0xa830_4613);
        $round!(f, 1, 2, 3, 0, 7, 22, 0xfd46_9501);
        $round!(f, 0, 1, 2, 3, 8, 7, 0x6980_98d8);
        $round!(f, 3, 0, 1, 2, 9, 12, 0x8b44_f7af);
        $round!(f, 2, 3, 0, 1, 10, 17, 0xffff_5bb1);
        $round!(f, 1, 2, 3, 0, 11, 22, 0x895c_d7be);
        $round!(f, 0, 1, 2, 3, 12, 7, 0x6b90_1122);
        $round!(f, 3, 0, 1, 2, 13, 12, 0xfd98_7193);
        $round!(f, 2, 3, 0, 1, 14, 17, 0xa679_438e);
        $round!(f, 1, 2, 3, 0, 15, 22, 0x49b4_0821);
        $round!(g, 0, 1, 2, 3, 1, 5, 0xf61e_2562);
        $round!(g, 3, 0, 1, 2, 6, 9, 0xc040_b340);
        $round!(g, 2, 3, 0, 1, 11, 14, 0x265e_5a51);
        $round!(g, 1, 2, 3, 0, 0, 20, 0xe9b6_c7aa);
        $round!(g, 0, 1, 2, 3, 5, 5, 0xd62f_105d);
        $round!(g, 3, 0, 1, 2, 10, 9, 0x0244_1453);
        $round!(g, 2, 3, 0, 1, 15, 14, 0xd8a1_e681);
        $round!(g, 1, 2, 3, 0, 4, 20, 0xe7d3_fbc8);
        $round!(g, 0, 1, 2, 3, 9, 5, 0x21e1_cde6);
        $round!(g, 3, 0, 1, 2, 14, 9, 0xc337_07d6);
        $round!(g, 2, 3, 0, 1, 3, 14, 0xf4d5_0d87);
        $round!(g, 1, 2, 3, 0, 8, 20, 0x455a_14ed);
        $round!(g, 0, 1, 2, 3, 13, 5, 0xa9e3_e905);
        $round!(g, 3, 0, 1, 2, 2, 9, 0xfcef_a3f8);
        $round!(g, 2, 3, 0, 1, 7, 14, 0x676f_02d9);
        $round!(g, 1, 2, 3, 0, 12, 20, 0x8d2a_4c8a);
        $round!(h, 0, 1, 2, 3, 5, 4, 0xfffa_3942);
        $round!(h, 3, 0, 1, 2, 8, 11, 0x8771_f681);
        $round!(h, 2, 3, 0, 1, 11, 16, 0x6d9d_6122);
        $round!(h, 1, 2, 3, 0, 14, 23, 0xfde5_380c);
        $round!(h, 0, 1, 2, 3, 1, 4, 0xa4be_ea44);
        $round!(h, 3, 0, 1, 2, 4, 11, 0x4bde_cfa9);
        $round!(h, 2, 3, 0, 1, 7, 16, 0xf6bb_4b60);
        $round!(h, 1, 2, 3, 0, 10, 23, 0xbebf_bc70);
        $round!(h, 0, 1, 2, 3, 13, 4, 0x289b_7ec6);
        $round!(h, 3, 0, 1, 2, 0, 11, 0xeaa1_27fa);
        $round!(h, 2, 3, 0, 1, 3, 16, 0xd4ef_3085);
        $round!(h, 1, 2, 3, 0, 6, 23, 0x0488_1d05);
        $round!(h, 0, 1, 2, 3, 9, 4, 0xd9d4_d039);
        $round!(h, 3, 0, 1, 2, 12, 11, 0xe6db_99e5);
        $round!(h, 2, 3, 0, 1, 15, 16, 0x1fa2_7cf8);
        $round!(h, 1, 2, 3, 0, 2, 23, 0xc4ac_5665);
        $round!(i, 0, 1, 2, 3, 0, 6, 0xf429_2244);
        $round!(i, 3, 0, 1, 2, 7, 10, 0x432a_ff97);
        $round!(i, 2, 3, 0, 1, 14, 15, 0xab94_23a7);
        $round!(i, 1, 2, 3, 0, 5, 21, 0xfc93_a039);
        $round!(i, 0, 1, 2, 3, 12, 6, 0x655b_59c3);
        $round!(i, 3, 0, 1, 2, 3, 10, 0x8f0c_cc92);
        $round!(i, 2, 3, 0, 1, 10, 15, 0xffef_f47d);
        $round!(i, 1, 2, 3, 0, 1, 21, 0x8584_5dd1);
        $round!(i, 0, 1, 2, 3, 8, 6, 0x6fa8_7e4f);
        $round!(i, 3, 0, 1, 2, 15, 10, 0xfe2c_e6e0);
        $round!(i, 2, 3, 0, 1, 6, 15, 0xa301_4314);
        $round!(i, 1, 2, 3, 0, 13, 21, 0x4e08_11a1);
        $round!(i, 0, 1, 2, 3, 4, 6, 0xf753_7e82);
        $round!(i, 3, 0, 1, 2, 11, 10, 0xbd3a_f235);
        $round!(i, 2, 3, 0, 1, 2, 15, 0x2ad7_d2bb);
        $round!(i, 1, 2, 3, 0, 9, 21, 0xeb86_d391);
    };
}

/// The same word of several streams.
///
/// The operations are those of RFC 1321 on each stream. Methods are inlined into kernels that were
/// compiled for the processor's instructions; elsewhere they would be slow, never wrong.
pub(crate) trait Words: Copy {
    /// Streams in one value.
    const LANES: usize;

    fn splat(word: u32) -> Self;

    /// One word of each stream; `words` has [`Self::LANES`].
    fn load(words: &[u32]) -> Self;

    /// The reverse of [`Self::load`].
    fn store(self, words: &mut [u32]);

    /// All words of one step of each stream; `inputs` has [`Self::LANES`].
    fn step(inputs: &[&[[u8; STEP_LEN_BYTES]]], index: usize) -> [Self; STEP_WORDS];

    fn add(self, other: Self) -> Self;

    /// The same value, computed before what follows. Otherwise compilers move the addition of
    /// constants to the end, into the chain of operations that every round waits for.
    fn settled(self) -> Self;

    /// `REST` is `32 - BY`: stable Rust computes no constants from constant parameters.
    fn rotate_left<const BY: i32, const REST: i32>(self) -> Self;

    /// `early + F(b, c, d)`. In this and the next three, what needs `b` comes last: rounds wait for
    /// it.
    fn f(early: Self, b: Self, c: Self, d: Self) -> Self;
    /// `early + G(b, c, d)`.
    fn g(early: Self, b: Self, c: Self, d: Self) -> Self;
    /// `early + H(b, c, d)`.
    fn h(early: Self, b: Self, c: Self, d: Self) -> Self;
    /// `early + I(b, c, d)`.
    fn i(early: Self, b: Self, c: Self, d: Self) -> Self;
}

/// Most lanes of any kernel.
pub(crate) const LANES_MAX: usize = 32;

/// Advances up to `GROUPS` times [`Words::LANES`] lanes over their steps, which are equally many.
/// Groups go through each round one after the other, so that one group's instructions fill the
/// time in which another's results are not there yet.
#[inline(always)]
pub(crate) fn advance<W: Words, const GROUPS: usize>(lanes: &mut [Lane<'_>]) {
    let Some(first) = lanes.first() else { return };
    let (count, idle) = (first.steps.len(), first.steps);
    assert!(lanes.len() <= GROUPS * W::LANES && GROUPS * W::LANES <= LANES_MAX);
    assert!(lanes.iter().all(|lane| lane.steps.len() == count), "lanes drop out between runs");
    // Lanes without a stream repeat the first one's bytes; what they compute is dropped.
    let mut inputs = [idle; LANES_MAX];
    let mut words = [[0; LANES_MAX]; 4];
    for (index, lane) in lanes.iter().enumerate() {
        inputs[index] = lane.steps;
        (0..4).for_each(|word| words[word][index] = lane.state[word]);
    }
    let group_of = |group: usize| group * W::LANES..(group + 1) * W::LANES;
    // Loops, not closures: those would not inherit the instructions that a kernel was compiled for.
    let mut states = [[W::splat(0); 4]; GROUPS];
    for (group, state) in states.iter_mut().enumerate() {
        for (word, values) in state.iter_mut().zip(&words) {
            *word = W::load(&values[group_of(group)]);
        }
    }
    let mut step = [[W::splat(0); STEP_WORDS]; GROUPS];
    for index in 0..count {
        for (group, step) in step.iter_mut().enumerate() {
            *step = W::step(&inputs[group_of(group)], index);
        }
        compress::<W, GROUPS>(&mut states, &step);
    }
    for (group, state) in states.into_iter().enumerate() {
        for (word, values) in words.iter_mut().zip(state) {
            values.store(&mut word[group_of(group)]);
        }
    }
    for (index, lane) in lanes.iter_mut().enumerate() {
        *lane.state = words.map(|word| word[index]);
    }
}

/// One step of every lane.
#[inline(always)]
pub(crate) fn compress<W: Words, const GROUPS: usize>(
    states: &mut [[W; 4]; GROUPS],
    step: &[[W; STEP_WORDS]; GROUPS],
) {
    let before = *states;
    macro_rules! a_round {
        ($mix:ident, $a:literal, $b:literal, $c:literal, $d:literal, $word:literal, $by:literal, $k:literal) => {
            for (state, words) in states.iter_mut().zip(step) {
                let early = words[$word].add(W::splat($k)).add(state[$a]).settled();
                let sum = W::$mix(early, state[$b], state[$c], state[$d]);
                state[$a] = sum.rotate_left::<$by, { 32 - $by }>().add(state[$b]);
            }
        };
    }
    all_rounds!(a_round);
    for (state, before) in states.iter_mut().zip(before) {
        for (word, before) in state.iter_mut().zip(before) {
            *word = word.add(before);
        }
    }
}
