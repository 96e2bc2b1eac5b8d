//! Chunked bodies that are signed, changed anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_s3::fuzzing::signed_chunks(data));
