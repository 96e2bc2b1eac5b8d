//! Scans of segments of any content, on a medium with bad pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_store::fuzzing::segment(data));
