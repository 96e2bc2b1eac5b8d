//! minio-py: `clients/python/minio_client.py`.

use std::path::Path;

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;

use crate::scenario::scenarios;

fn minio_py(home: &Path) -> Program {
    Program::new(installed("python", "python/bin/python"), home)
        .arg("-B")
        .arg(source_dir().join("python/minio_client.py"))
}

scenarios! {
    minio_py;

    #[test]
    fn put_get_stat_remove_roundtrip() {}

    #[test]
    fn fput_uploads_in_parts() {}

    #[test]
    fn lists_with_and_without_recursion() {}

    #[test]
    fn copies_and_composes() {}

    #[test]
    fn presigned_urls_work_without_the_client() {}

    #[test]
    fn removes_many_and_tags() {}

    #[test]
    fn errors_carry_their_codes() {}
}
