//! The AWS SDK for JavaScript v3 with lib-storage: `clients/node`.

use std::path::Path;

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;

use crate::scenario::scenarios;

fn javascript_sdk(home: &Path) -> Program {
    Program::new("node", home)
        .env("NODE_PATH", installed("node", "node/node_modules"))
        .arg(source_dir().join("node/client.cjs"))
}

scenarios! {
    javascript_sdk;

    #[test]
    fn put_get_head_delete_roundtrip() {}

    #[test]
    fn upload_helper_uses_multipart() {}

    #[test]
    fn upload_helper_streams() {}

    #[test]
    fn put_streams_with_a_trailing_checksum() {}

    #[test]
    fn get_streams() {}

    #[test]
    fn pages_join_to_the_whole_listing() {}

    #[test]
    fn presigned_requests() {}

    #[test]
    fn copies_and_deletes_many() {}

    #[test]
    fn conditional_writes() {}

    #[test]
    fn every_checksum_algorithm() {}

    #[test]
    fn errors_are_typed() {}

    #[test]
    fn another_account_is_refused() {}
}
