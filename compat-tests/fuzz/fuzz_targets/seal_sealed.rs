//! Stored secrets and keys of every kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_seal::fuzzing::sealed(data));
