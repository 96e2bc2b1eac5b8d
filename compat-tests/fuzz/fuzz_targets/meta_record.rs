//! Persisted records of the metadata store.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_meta::fuzzing::record(data));
