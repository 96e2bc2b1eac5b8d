//! Join tokens, requests to join, and signed documents.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_proto::fuzzing::join(data));
