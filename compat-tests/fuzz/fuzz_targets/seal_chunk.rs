//! Sealed chunks of bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_seal::fuzzing::chunk(data));
