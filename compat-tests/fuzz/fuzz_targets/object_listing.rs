//! Listings against a reference.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_object::fuzzing::listing(data));
