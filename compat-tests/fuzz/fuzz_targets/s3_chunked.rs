//! Chunked bodies that are not signed, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_s3::fuzzing::chunked(data));
