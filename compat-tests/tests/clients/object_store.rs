//! object_store's own integration tests, as its release has them: `clients/object_store`.

use std::path::Path;

use compat_tests::clients::{aws_environment, installed};
use compat_tests::program::Program;

use crate::scenario::assert_all_have_tests;

fn object_store(home: &Path) -> Program {
    Program::new(installed("object_store", "bin/object-store-client"), home)
}

/// Tests that run the scenario of their name in a new bucket: the client cannot make one.
macro_rules! scenarios {
    ($(#[test] fn $name:ident() {})+) => {
        $(
            #[test]
            fn $name() {
                let server = $crate::shared();
                let bucket = server.new_bucket("object-store");
                let program = object_store(&server.home_dir());
                let _ = aws_environment(program, &server, server.root())
                    .env("AWS_BUCKET", bucket)
                    .env("COMPAT_KMS_KEY", server.kms_key())
                    .arg(stringify!($name))
                    .succeed();
            }
        )+

        #[test]
        fn every_scenario_has_a_test() {
            let program = object_store(&std::env::temp_dir());
            assert_all_have_tests(program, &[$(stringify!($name)),+]);
        }
    };
}

scenarios! {
    #[test]
    fn attributes_come_back() {}

    #[test]
    fn copies_and_renames() {}

    #[test]
    fn copies_and_renames_of_nothing() {}

    #[test]
    fn copies_if_not_exists() {}

    #[test]
    fn get_options() {}

    #[test]
    fn lists_after_an_offset() {}

    #[test]
    fn lists_directories() {}

    #[test]
    fn lists_in_pages() {}

    #[test]
    fn lists_with_a_delimiter() {}

    #[test]
    fn multipart_out_of_order() {}

    #[test]
    fn multipart_parts_out_of_order() {}

    #[test]
    fn multipart_race() {}

    #[test]
    fn multipart_under_a_customer_key() {}

    #[test]
    fn multipart_uploads() {}

    #[test]
    fn multipart_uploads_with_options() {}

    #[test]
    fn nonexistent_object() {}

    #[test]
    fn put_get_delete_list() {}

    #[test]
    fn put_get_delete_list_crc64nvme() {}

    #[test]
    fn put_get_delete_list_sha256() {}

    #[test]
    fn put_get_delete_list_under_a_customer_key() {}

    #[test]
    fn put_get_delete_list_under_kms() {}

    #[test]
    fn put_get_delete_list_unsigned() {}

    #[test]
    fn put_options() {}

    #[test]
    fn stream_get() {}
}
