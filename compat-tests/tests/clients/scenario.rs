//! Programs that hold many scenarios for one SDK and run one per process, by name.

use compat_tests::clients::aws_environment;
use compat_tests::program::Program;
use compat_tests::server::{Server, unique_name};

/// Runs scenario `name` of `program` against `server`.
pub(crate) fn run(program: Program, server: &Server, bucket_prefix: &str, name: &str) {
    let second = server.second_account();
    let _ = aws_environment(program, server, server.root())
        .env("COMPAT_PREFIX", unique_name(bucket_prefix))
        .env("COMPAT_SECOND_ACCESS_KEY", &second.access_key)
        .env("COMPAT_SECOND_SECRET_KEY", &second.secret_key)
        .env("COMPAT_KMS_KEY", server.kms_key())
        .arg(name)
        .succeed();
}

/// Checks that `program` has exactly the scenarios that have a test.
pub(crate) fn assert_all_have_tests(program: Program, tested: &[&str]) {
    let mut scenarios = program.arg("--list").succeed().lines();
    let mut tested: Vec<String> = tested.iter().map(|&name| name.to_owned()).collect();
    scenarios.sort();
    tested.sort();
    assert_eq!(scenarios, tested, "a scenario has no test, or a test no scenario");
}

/// Tests that run the scenario of their name: `scenarios! { client; #[test] fn a() {} … }`, where
/// `client(&Path)` gives the program that holds them, with that home directory. They are written
/// as functions so that they can be found by name; the body is the macro's. `client on server`
/// runs them on what `server()` starts, else they run on the server that the tests share.
macro_rules! scenarios {
    ($client:ident; $($tests:tt)+) => {
        $crate::scenario::scenarios! { $client on $crate::shared; $($tests)+ }
    };
    ($client:ident on $server:path; $(#[test] fn $name:ident() {})+) => {
        $(
            #[test]
            fn $name() {
                let server = $server();
                let program = $client(&server.home_dir());
                let prefix = stringify!($client).replace('_', "-");
                $crate::scenario::run(program, &server, &prefix, stringify!($name));
            }
        )+

        #[test]
        fn every_scenario_has_a_test() {
            let program = $client(&std::env::temp_dir());
            $crate::scenario::assert_all_have_tests(program, &[$(stringify!($name)),+]);
        }
    };
}

pub(crate) use scenarios;
