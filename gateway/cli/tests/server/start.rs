//! Starting, credentials, and the files of the data directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::process::{Machine, Server};
use crate::s3::{Credentials, payload};

const ACCESS_KEY_VAR: &str = "DATAMESH_ROOT_ACCESS_KEY";
const SECRET_KEY_VAR: &str = "DATAMESH_ROOT_SECRET_KEY";

/// The value of a line that the server printed, such as `Secret key    …`.
fn printed(server: &Server, title: &str) -> Option<String> {
    let printed = server.printed();
    let value = printed.lines().find_map(|line| line.strip_prefix(title))?;
    Some(value.trim().to_owned())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file exists").permissions().mode() & 0o777
}

#[test]
fn first_start_prints_credentials_once_and_later_starts_keep_them() {
    let machine = Machine::new();
    let server = machine.start();
    assert_eq!(printed(&server, "S3 endpoint").as_deref(), Some(server.s3_url()));
    assert_eq!(printed(&server, "Admin").as_deref(), Some(server.admin_url()));
    let made = Credentials {
        access_key: printed(&server, "Access key").expect("the access key is printed"),
        secret_key: printed(&server, "Secret key").expect("the secret is printed"),
    };
    assert_eq!(server.printed().matches(&made.secret_key).count(), 1);
    assert!(!server.log().contains(&made.secret_key), "the secret is in the log");
    server.s3_as(made.clone()).make_bucket("kept");
    server.stop();

    let server = machine.start();
    assert_eq!(printed(&server, "Access key").as_ref(), Some(&made.access_key));
    assert_eq!(printed(&server, "Secret key"), None);
    assert!(!server.printed().contains(&made.secret_key), "the secret is printed again");
    assert!(!server.log().contains(&made.secret_key), "the secret is in the log");
    let buckets = server.s3_as(made).get("/");
    buckets.expect_status(200);
    assert_eq!(buckets.element("Name").as_deref(), Some("kept"));
    server.stop();
}

#[test]
fn secrets_are_readable_by_their_owner_alone() {
    let machine = Machine::new();
    let server = machine.start();
    assert_eq!(mode(&machine.data().join("credentials.json")), 0o600);
    assert_eq!(mode(&machine.data().join("root.key")), 0o600);
    server.stop();
}

#[test]
fn endpoints_are_published_while_the_server_runs() {
    let machine = Machine::new();
    let server = machine.start();
    let endpoints = machine.data().join("endpoints.json");
    let text = fs::read_to_string(&endpoints).expect("endpoints are published");
    assert!(text.contains(server.s3_url()) && text.contains(server.admin_url()), "{text}");
    server.stop();
    assert!(!endpoints.exists());
    machine
        .admin(&["user", "list"])
        .failed_with(1, &format!("no server is running on {}", machine.data().display()));
}

#[test]
fn given_credentials_win_and_are_never_printed() {
    let machine = Machine::new();
    let first = machine.start();
    let made = first.root();
    first.stop();

    let given = Credentials::new("GIVENROOT01", "given/secret+0123456789");
    let server = machine
        .server()
        .env(ACCESS_KEY_VAR, &given.access_key)
        .env(SECRET_KEY_VAR, &given.secret_key)
        .start();
    server.s3_as(given.clone()).make_bucket("mine");
    server.s3_as(made.clone()).get("/").expect_error(403, "InvalidAccessKeyId");
    assert_eq!(printed(&server, "Access key").as_ref(), Some(&given.access_key));
    assert!(!server.printed().contains(&given.secret_key), "the given secret is printed");
    assert!(!server.log().contains(&given.secret_key), "the given secret is in the log");
    server.stop();

    let server = machine.start();
    assert_eq!(server.root(), given, "a start without credentials keeps those given last");
    server.s3().get("/mine").expect_status(200);
    server.stop();
}

#[test]
fn first_start_with_given_credentials_makes_none() {
    let machine = Machine::new();
    let given = Credentials::new("GIVENROOT01", "given/secret+0123456789");
    let server = machine
        .server()
        .env(ACCESS_KEY_VAR, &given.access_key)
        .env(SECRET_KEY_VAR, &given.secret_key)
        .start();
    assert_eq!(printed(&server, "Secret key"), None);
    assert_eq!(server.root(), given);
    server.stop();
}

#[test]
fn half_of_the_given_credentials_is_refused() {
    let machine = Machine::new();
    let only = |name: &str, value: &str| machine.server().env(name, value).refused();
    only(ACCESS_KEY_VAR, "GIVENROOT01")
        .failed_with(1, &format!("{ACCESS_KEY_VAR} is set but {SECRET_KEY_VAR} is not"));
    only(SECRET_KEY_VAR, "given/secret+0123456789")
        .failed_with(1, &format!("{SECRET_KEY_VAR} is set but {ACCESS_KEY_VAR} is not"));
}

#[test]
fn given_credentials_that_break_a_rule_are_refused_by_name() {
    let machine = Machine::new();
    let given = |access_key: &str, secret_key: &str| {
        let launch = machine.server().env(ACCESS_KEY_VAR, access_key);
        launch.env(SECRET_KEY_VAR, secret_key).refused()
    };
    given("with/slash", "given/secret+0123456789").failed_with(1, ACCESS_KEY_VAR);
    let short = given("GIVENROOT01", "hush123");
    short.failed_with(1, SECRET_KEY_VAR);
    assert!(!short.stderr.contains("hush123"), "the secret is told: {short:?}");
}

#[test]
fn data_directory_can_be_moved() {
    let machine = Machine::new();
    let server = machine.start();
    let credentials = server.root();
    let body = payload(1, 100 << 10);
    server.s3().make_bucket("moved");
    server.s3().put("/moved/object", &body);
    server.stop();

    let elsewhere = Machine::new();
    fs::rename(machine.data(), elsewhere.data()).expect("both are on one file system");
    let server = elsewhere.start();
    server.s3_as(credentials).expect_object("/moved/object", &body);
    server.stop();
}

#[test]
fn json_log_is_one_object_a_line() {
    let machine = Machine::new();
    let server = machine.server().args(&["--log-format", "json"]).start();
    server.s3().make_bucket("logged");
    let pid = u64::from(server.pid());
    server.ask_to_stop();
    let log = machine.path().join("stderr-0");
    assert_eq!(server.ended(crate::process::DRAIN_MAX).code(), Some(0));
    let log = fs::read_to_string(log).expect("the log is text");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.iter().any(|line| line["message"] == "serving" && line["pid"] == pid), "{log}");
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
}

#[test]
fn help_names_commands_flags_and_where_credentials_come_from() {
    let machine = Machine::new();
    let help = machine.run(&["--help"]).succeeded().stdout;
    for command in ["server", "user", "key", "device", "repair", "scrub"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing: {help}");
    }
    let help = machine.run(&["server", "--help"]).succeeded().stdout;
    for flag in ["--data", "--drive", "--s3", "--admin", "--tls-cert", "--memory-limit"] {
        assert!(help.contains(flag), "{flag} is missing: {help}");
    }
    assert!(help.contains("DATAMESH_ROOT_SECRET_KEY"), "{help}");
}
