//! Ranges against lengths, and names of buckets and keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_object::fuzzing::range(data));
