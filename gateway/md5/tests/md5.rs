//! Every kernel of this processor against RFC 1321 and against another implementation.

use gateway_md5::{Kernel, Md5, Update, update_together};
use md5::Digest as _;
use proptest::collection::vec;
use proptest::prelude::*;

/// RFC 1321, appendix A.5.
const VECTORS: [(&str, &str); 7] = [
    ("", "d41d8cd98f00b204e9800998ecf8427e"),
    ("a", "0cc175b9c0f1b6a831c399e269772661"),
    ("abc", "900150983cd24fb0d6963f7d28e17f72"),
    ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
    (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        "d174ab98d277d9f5a5611c2c9f419d9f",
    ),
    (
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "57edf4a22be3c955ac49da2e2107b67a",
    ),
];

/// Lengths at which the padding needs another step, a step fills up, or several do.
const EDGES: [usize; 16] =
    [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 64 * 17, 64 * 33 + 5];

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reference(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

/// Bytes that differ from stream to stream and from step to step.
fn content(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 167 + index / 64 * 31 + seed * 89 + 7) as u8).collect()
}

fn together(kernel: Kernel, streams: &[Vec<u8>]) -> Vec<[u8; 16]> {
    let mut states = vec![Md5::new(); streams.len()];
    let mut updates: Vec<Update<'_>> =
        states.iter_mut().zip(streams).map(|(md5, bytes)| Update { md5, bytes }).collect();
    update_together(kernel, &mut updates);
    states.into_iter().map(Md5::finish).collect()
}

#[test]
fn the_vectors_of_the_rfc_hold() {
    for (text, digest) in VECTORS {
        assert_eq!(hex(Md5::digest(text.as_bytes())), digest, "{text}");
    }
}

#[test]
fn every_kernel_agrees_at_every_number_of_streams() {
    for kernel in Kernel::available() {
        for count in 0..=2 * kernel.lanes() + 3 {
            let streams: Vec<_> = (0..count).map(|seed| content(64 * 5, seed)).collect();
            let expected: Vec<_> = streams.iter().map(|bytes| reference(bytes)).collect();
            assert_eq!(together(kernel, &streams), expected, "{kernel:?}, {count} streams");
        }
    }
}

#[test]
fn every_kernel_agrees_at_every_edge_of_the_padding() {
    for kernel in Kernel::available() {
        for len in EDGES {
            let streams: Vec<_> =
                (0..kernel.lanes()).map(|seed| content(len + seed % 2, seed)).collect();
            let expected: Vec<_> = streams.iter().map(|bytes| reference(bytes)).collect();
            assert_eq!(together(kernel, &streams), expected, "{kernel:?}, {len} bytes");
        }
    }
}

#[test]
fn lanes_drop_out_and_go_to_streams_that_wait() {
    for kernel in Kernel::available() {
        let lengths = (0..kernel.lanes() * 3).map(|index| (index * 977) % 9000);
        let streams: Vec<_> = lengths.enumerate().map(|(seed, len)| content(len, seed)).collect();
        let expected: Vec<_> = streams.iter().map(|bytes| reference(bytes)).collect();
        assert_eq!(together(kernel, &streams), expected, "{kernel:?}");
    }
}

#[test]
fn a_stream_of_more_than_four_gigabits_counts_all_of_them() {
    // The length is kept in bits: 512 MiB are 2^32 of them.
    let part = vec![0x5a; 1 << 20];
    let mut ours = Md5::new();
    let mut theirs = md5::Md5::new();
    for _ in 0..513 {
        ours.update(&part);
        theirs.update(&part);
    }
    assert_eq!(ours.finish(), <[u8; 16]>::from(theirs.finalize()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Streams take their bytes in updates of any length, and in each turn another set of them
    /// goes along.
    #[test]
    fn divided_updates_give_the_digest_of_the_whole(
        streams in vec(vec(vec(any::<u8>(), 0..400), 0..6), 0..70),
    ) {
        for kernel in Kernel::available() {
            let mut states = vec![Md5::new(); streams.len()];
            for turn in 0..6 {
                let mut updates: Vec<Update<'_>> = states
                    .iter_mut()
                    .zip(&streams)
                    .filter_map(|(md5, parts)| {
                        Some(Update { md5, bytes: parts.get(turn)?.as_slice() })
                    })
                    .collect();
                update_together(kernel, &mut updates);
            }
            for (md5, parts) in states.into_iter().zip(&streams) {
                prop_assert_eq!(md5.finish(), reference(&parts.concat()), "{:?}", kernel);
            }
        }
    }

    #[test]
    fn one_stream_alone_gives_the_digest_of_the_whole(parts in vec(vec(any::<u8>(), 0..300), 0..9)) {
        let mut md5 = Md5::new();
        parts.iter().for_each(|part| md5.update(part));
        prop_assert_eq!(md5.finish(), reference(&parts.concat()));
    }
}
