//! Object keys on their way into row keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_meta::fuzzing::key_escape(data));
