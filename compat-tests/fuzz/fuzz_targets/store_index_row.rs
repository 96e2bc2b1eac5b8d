//! Values of a drive's index rows.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_store::fuzzing::index_row(data));
