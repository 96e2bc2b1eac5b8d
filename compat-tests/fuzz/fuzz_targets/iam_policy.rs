//! Policies of buckets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_iam::fuzzing::policy(data));
