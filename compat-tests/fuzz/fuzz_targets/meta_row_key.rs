//! Row keys as they are found in the metadata store.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_meta::fuzzing::row_key(data));
