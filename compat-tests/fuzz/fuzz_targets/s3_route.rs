//! Methods, paths, hosts and queries.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_s3::fuzzing::route(data));
