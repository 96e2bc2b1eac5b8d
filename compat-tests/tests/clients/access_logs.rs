//! Access logs of buckets, on a server that delivers them every second:
//! `clients/python/access_logs.py`.

use std::path::Path;

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;
use compat_tests::server::Server;

use crate::scenario::scenarios;

fn access_logs(home: &Path) -> Program {
    Program::new(installed("python", "python/bin/python"), home)
        .arg("-B")
        .arg(source_dir().join("python/access_logs.py"))
}

fn server() -> Server {
    Server::start(&["--access-log-interval", "1s"])
}

scenarios! {
    access_logs on server;

    #[test]
    fn requests_are_logged_in_the_target_bucket() {}
}
