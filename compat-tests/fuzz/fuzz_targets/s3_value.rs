//! Tokens, ids, ranges, dates, digests, percent-encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_s3::fuzzing::value(data));
