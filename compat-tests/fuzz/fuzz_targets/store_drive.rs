//! Drives whose index is rebuilt from segments of any content.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_store::fuzzing::drive(data));
