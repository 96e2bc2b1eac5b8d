//! Frames of the shard protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_proto::fuzzing::frame(data));
