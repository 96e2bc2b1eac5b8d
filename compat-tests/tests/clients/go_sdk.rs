//! The AWS SDK for Go v2 with its upload manager: `clients/go`.

use std::path::Path;

use compat_tests::clients::installed;
use compat_tests::program::Program;

use crate::scenario::scenarios;

fn go_sdk(home: &Path) -> Program {
    Program::new(installed("go", "bin/go-client"), home)
}

scenarios! {
    go_sdk;

    #[test]
    fn another_account_is_refused() {}

    #[test]
    fn conditional_writes() {}

    #[test]
    fn copies_and_deletes_many() {}

    #[test]
    fn errors_are_typed() {}

    #[test]
    fn every_checksum_algorithm() {}

    #[test]
    fn keys_are_literal() {}

    #[test]
    fn pages_join_to_the_whole_list() {}

    #[test]
    fn presigned_requests() {}

    #[test]
    fn put_get_head_delete_roundtrip() {}

    #[test]
    fn uploader_and_downloader() {}

    #[test]
    fn uploader_streams() {}

    #[test]
    fn versions_and_delete_markers() {}

    #[test]
    fn versions_are_listed_in_pages() {}

    #[test]
    fn versions_are_deleted_in_batches() {}

    #[test]
    fn object_lock() {}

    #[test]
    fn terraform_state_lock() {}

    #[test]
    fn lifecycle_rules() {}

    #[test]
    fn customer_keys() {}

    #[test]
    fn key_service_and_default_encryption() {}

    #[test]
    fn cors_website_and_tagging() {}

    #[test]
    fn other_configurations() {}

    #[test]
    fn policies_let_anybody_in() {}

    #[test]
    fn objects_are_renamed() {}
}
