//! Record headers, trailers and tombstones of a segment.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_store::fuzzing::record(data));
