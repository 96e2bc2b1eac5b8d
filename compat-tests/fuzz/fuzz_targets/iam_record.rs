//! Persisted accounts and access keys, and names.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_iam::fuzzing::record(data));
