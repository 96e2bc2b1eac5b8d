//! How large the measured objects are and how many.

use std::time::Duration;

use crate::{args::ReportArgs, stages::composed::READ_SET_BYTES};

/// Sizes in bytes and numbers of everything that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) rounds: u16,
    /// Time for each figure of a round.
    pub(crate) time: Duration,
    /// Several stripes.
    pub(crate) large: u64,
    /// One shorter stripe.
    pub(crate) medium: u64,
    /// Copies.
    pub(crate) small: u64,
    /// Kept in the metadata.
    pub(crate) tiny: u64,
    /// To see whether the cost of a byte grows with the object.
    pub(crate) huge: u64,
    /// Operations at once: one, some, many.
    pub(crate) concurrency: [u16; 3],
    /// Objects that reads of large ones go around.
    pub(crate) large_objects: u64,
    /// The same for all others.
    pub(crate) objects: u64,
    /// Keys of the smaller bucket that is listed: one page.
    pub(crate) few_keys: u64,
    /// Keys of the larger one.
    pub(crate) many_keys: u64,
    /// Of them, deleted before it is listed again.
    pub(crate) deleted_keys: u64,
    /// Uploads at once whose memory is measured.
    pub(crate) uploads: u16,
    /// Size of each of them.
    pub(crate) upload: u64,
    /// Bytes that the composed pipeline reads around.
    pub(crate) read_set: usize,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Scale {
    /// What the command line asks for.
    pub(crate) fn new(args: &ReportArgs) -> Self {
        let default = if args.rehearse {
            Self::rehearsal()
        } else if args.full {
            Self::full()
        } else {
            Self::usual()
        };
        Self {
            rounds: args.rounds.unwrap_or(default.rounds),
            time: args.time.unwrap_or(default.time),
            ..default
        }
    }

    /// Chosen: ends within eight minutes on two cores.
    fn usual() -> Self {
        Self {
            rounds: 3,
            time: Duration::from_millis(1500),
            large: 64 * MIB,
            medium: MIB,
            small: 64 * KIB,
            tiny: 4 * KIB,
            huge: GIB,
            concurrency: [1, 8, 32],
            large_objects: 8,
            objects: 1000,
            few_keys: 1000,
            many_keys: 101_000,
            deleted_keys: 100_000,
            uploads: 256,
            upload: 8 * MIB,
            read_set: READ_SET_BYTES,
        }
    }

    fn full() -> Self {
        Self {
            rounds: 5,
            time: Duration::from_secs(3),
            huge: 10 * GIB,
            many_keys: 1_000_000,
            large_objects: 16,
            ..Self::usual()
        }
    }

    /// Chosen: every kind of object and of phase, within seconds.
    fn rehearsal() -> Self {
        Self {
            rounds: 1,
            time: Duration::from_millis(30),
            large: 9 * MIB,
            medium: 256 * KIB,
            huge: 20 * MIB,
            concurrency: [1, 2, 4],
            large_objects: 2,
            objects: 60,
            few_keys: 60,
            many_keys: 260,
            deleted_keys: 200,
            uploads: 8,
            upload: MIB,
            read_set: 8 << 20,
            ..Self::usual()
        }
    }
}
