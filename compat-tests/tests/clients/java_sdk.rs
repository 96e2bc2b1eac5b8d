//! The AWS SDK for Java v2, synchronous client: `clients/java`.

use std::path::Path;

use compat_tests::clients::installed;
use compat_tests::program::Program;

use crate::scenario::scenarios;

/// For a program that lives a second: no optimising compiler, no parallel collector.
const SHORT_LIVED: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

fn java_sdk(home: &Path) -> Program {
    let dir = installed("java", "java");
    let class_path = format!("{0}/lib/*:{0}/classes", dir.display());
    Program::new("java", home).args(SHORT_LIVED).arg("-cp").arg(class_path).arg("Client")
}

scenarios! {
    java_sdk;

    #[test]
    fn put_get_head_delete_roundtrip() {}

    #[test]
    fn parts_join_to_one_object() {}

    #[test]
    fn streams_are_sent_and_received() {}

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
    fn keys_are_literal() {}

    #[test]
    fn errors_are_typed() {}

    #[test]
    fn another_account_is_refused() {}
}
