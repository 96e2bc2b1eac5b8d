//! Lifecycle rules that act, on a server whose days last two seconds:
//! `clients/python/lifecycle_days.py`.

use std::path::Path;

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;
use compat_tests::server::Server;

use crate::scenario::scenarios;

fn lifecycle_days(home: &Path) -> Program {
    Program::new(installed("python", "python/bin/python"), home)
        .arg("-B")
        .arg(source_dir().join("python/lifecycle_days.py"))
}

fn server() -> Server {
    Server::start(&["--lifecycle-day", "2s"])
}

scenarios! {
    lifecycle_days on server;

    #[test]
    fn objects_expire_by_prefix_tag_and_size() {}

    #[test]
    fn versions_expire_and_lone_markers_go() {}

    #[test]
    fn current_versions_expire_into_markers() {}

    #[test]
    fn uploads_left_behind_are_aborted() {}

    #[test]
    fn locked_versions_do_not_expire() {}
}
