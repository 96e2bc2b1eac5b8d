//! Stripe lists and the geometry they describe.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_object::fuzzing::manifest_page(data));
