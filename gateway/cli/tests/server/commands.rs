//! The `noun verb` commands: what they print, how they fail, how they find the server.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{Finished, Machine, Server};
use crate::s3::Credentials;

/// A profile for the running server.
fn profile(name: &str, server: &Server, credentials: &Credentials) -> String {
    let Credentials { access_key, secret_key } = credentials;
    format!(
        "[profile.{name}]\nadmin = \"{}\"\naccess_key = \"{access_key}\"\nsecret_key = \
         \"{secret_key}\"\n",
        server.admin_url()
    )
}

fn names(users: &Value) -> Vec<&str> {
    let users = users["users"].as_array().expect("a list");
    users.iter().map(|user| user["name"].as_str().expect("a name")).collect()
}

#[test]
fn users_are_created_listed_and_deleted() {
    let machine = Machine::new();
    let server = machine.start();
    let created = machine.admin(&["user", "create", "ann"]).succeeded();
    assert_eq!(created.stdout, "created ann\n");
    let bob = machine.admin_json(&["user", "create", "bob@example.com"]);
    assert_eq!(bob["name"], "bob@example.com");
    assert_eq!(bob["canonical_id"].as_str().map(str::len), Some(64), "{bob}");
    let users = machine.admin_json(&["user", "list"]);
    assert_eq!(names(&users), ["ann", "bob@example.com", "root"]);
    let accounts: Vec<_> = (0..3).map(|index| users["users"][index]["account"].clone()).collect();
    assert!(accounts[0] != accounts[1] && accounts[1] == bob["account"], "{users}");

    let table = machine.admin(&["user", "list"]).succeeded().stdout;
    let titles: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(titles, ["NAME", "ACCOUNT", "CREATED"]);
    assert_eq!(table.lines().count(), 4, "{table}");

    let deleted = machine.admin(&["user", "delete", "ann"]).succeeded();
    assert_eq!(deleted.stdout, "deleted ann\n");
    let deleted = machine.admin_json(&["user", "delete", "bob@example.com"]);
    assert_eq!(deleted, json!({ "deleted": "bob@example.com" }));
    assert_eq!(names(&machine.admin_json(&["user", "list"])), ["root"]);
    server.stop();
}

#[test]
fn user_commands_refuse_what_breaks_a_rule() {
    let machine = Machine::new();
    let server = machine.start();
    machine.admin(&["user", "create", "ann"]).succeeded();
    machine.admin(&["user", "create", "ann"]).failed_with(1, "a user named ann exists already");
    for name in ["a/b", "", "two words", "zoë", "..%2F", &"a".repeat(65)] {
        machine.admin(&["user", "create", name]).failed_with(1, "a user name is 1 to 64");
    }
    machine.admin(&["user", "delete", "a/b"]).failed_with(1, "no user is named a/b");
    machine.admin(&["user", "delete", "../users/ann"]).failed_with(1, "no user is named ../");
    machine.admin(&["user", "delete", "nobody"]).failed_with(1, "no user is named nobody");
    machine.admin(&["user", "delete", ""]).failed_with(1, "the name is empty");
    machine.admin(&["user", "delete", "root"]).failed_with(1, "cannot be deleted");
    let failed = machine.admin(&["user", "create", "ann", "--json"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{failed:?}");
    assert_eq!(names(&machine.admin_json(&["user", "list"])), ["ann", "root"]);
    server.stop();
}

#[test]
fn users_that_own_buckets_are_not_deleted() {
    let machine = Machine::new();
    let server = machine.start();
    machine.admin(&["user", "create", "ann"]).succeeded();
    let key = machine.admin_json(&["key", "create", "--user", "ann"]);
    let field = |name: &str| key[name].as_str().expect("a string").to_owned();
    let ann = server.s3_as(Credentials {
        access_key: field("access_key_id"),
        secret_key: field("secret_access_key"),
    });
    ann.make_bucket("anns");
    machine.admin(&["user", "delete", "ann"]).failed_with(1, "still owns buckets");
    ann.get("/anns").expect_status(200);
    ann.delete("/anns");
    machine.admin(&["user", "delete", "ann"]).succeeded();
    ann.get("/").expect_error(403, "InvalidAccessKeyId");
    server.stop();
}

#[test]
fn keys_are_created_listed_imported_and_revoked() {
    let machine = Machine::new();
    let server = machine.start();
    machine.admin(&["user", "create", "ann"]).succeeded();
    let made = machine.admin_json(&["key", "create", "--user", "ann"]);
    let (id, secret) = (made["access_key_id"].clone(), made["secret_access_key"].clone());
    assert!(secret.as_str().is_some_and(|secret| secret.len() >= 40), "{made}");
    let printed = machine.admin(&["key", "create", "--user", "ann"]).succeeded().stdout;
    assert!(printed.contains("Secret key    ") && printed.contains("shown this once"), "{printed}");
    let import = ["--access-key", "AKIAIOSFODNN7EXAMPLE", "--secret-key", "wJalr/UtnFEMI+K7MDENG"];
    let imported =
        machine.admin_json(&[&["key", "create", "--user", "ann"][..], &import[..]].concat());
    assert_eq!(imported["access_key_id"], "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(imported["secret_access_key"], "wJalr/UtnFEMI+K7MDENG");
    let ann = server.s3_as(Credentials::new(import[1], import[3]));
    ann.get("/").expect_status(200);

    let list = machine.admin_json(&["key", "list", "--user", "ann"]);
    let keys = list["keys"].as_array().expect("a list");
    assert_eq!(keys.len(), 3, "{list}");
    assert!(keys.iter().any(|key| key["access_key_id"] == id), "{list}");
    assert!(!list.to_string().contains(secret.as_str().expect("text")), "a list tells secrets");
    let table = machine.admin(&["key", "list", "--user", "ann"]).succeeded().stdout;
    assert!(table.starts_with("ACCESS KEY"), "{table}");
    assert!(!server.log().contains("wJalr/UtnFEMI"), "the log tells secrets");

    let revoked = machine.admin(&["key", "revoke", "AKIAIOSFODNN7EXAMPLE"]).succeeded();
    assert_eq!(revoked.stdout, "revoked AKIAIOSFODNN7EXAMPLE\n");
    ann.get("/").expect_error(403, "InvalidAccessKeyId");
    let id = id.as_str().expect("text");
    assert_eq!(machine.admin_json(&["key", "revoke", id]), json!({ "revoked": id }));
    let list = machine.admin_json(&["key", "list", "--user", "ann"]);
    assert_eq!(list["keys"].as_array().map(Vec::len), Some(1), "{list}");
    server.stop();
}

#[test]
fn key_commands_refuse_what_breaks_a_rule() {
    let machine = Machine::new();
    let server = machine.start();
    let root = server.root().access_key;
    machine.admin(&["user", "create", "ann"]).succeeded();
    let import = |id: &str, secret: &str| {
        let import = ["--access-key", id, "--secret-key", secret];
        machine.admin(&[&["key", "create", "--user", "ann"][..], &import[..]].concat())
    };
    import("IMPORTED", "long-enough-secret").succeeded();
    import("IMPORTED", "long-enough-secret").failed_with(1, "exists already");
    import(&root, "long-enough-secret").failed_with(1, "exists already");
    import("a/b", "long-enough-secret").failed_with(1, "an access key id is 3 to 128");
    import("IMPORTED2", "short").failed_with(1, "a secret access key is 8 to 128");
    machine
        .admin(&["key", "create", "--user", "ann", "--access-key", "HALF"])
        .failed_with(2, "--secret-key");
    machine.admin(&["key", "create", "--user", "nobody"]).failed_with(1, "no user is named nobody");
    machine.admin(&["key", "list", "--user", "nobody"]).failed_with(1, "no user is named nobody");
    machine.admin(&["key", "revoke", "NOSUCHKEY"]).failed_with(1, "no access key NOSUCHKEY");
    machine.admin(&["key", "revoke", &root]).failed_with(1, "cannot be revoked here");
    machine.admin(&["user", "list"]).succeeded();
    server.stop();
}

#[test]
fn status_commands_print_tables_and_json() {
    let machine = Machine::new();
    let server = machine.start();
    let devices = machine.admin_json(&["device", "list"]);
    let devices = devices["devices"].as_array().expect("a list");
    assert_eq!(devices.len(), 6);
    assert!(devices.iter().all(|device| device["health"] == "online"), "{devices:?}");
    let table = machine.admin(&["device", "list"]).succeeded().stdout;
    assert!(table.starts_with("DEVICE") && table.contains("devices/5"), "{table}");

    let repair = machine.admin_json(&["repair", "status"]);
    assert_eq!((&repair["idle"], &repair["queued_stripes"]), (&json!(true), &json!(0)), "{repair}");
    let text = machine.admin(&["repair", "status"]).succeeded().stdout;
    assert!(text.contains("Waiting stripes     0"), "{text}");

    let scrub = machine.admin_json(&["scrub", "start"]);
    assert_eq!(scrub["devices"].as_array().map(Vec::len), Some(6), "{scrub}");
    crate::process::await_true("a scrub pass", std::time::Duration::from_secs(30), || {
        let scrub = machine.admin_json(&["scrub", "status"]);
        let passes = scrub["devices"].as_array().expect("a list").iter();
        passes.clone().all(|device| device["completed_passes"].as_u64() >= Some(1))
    });
    let table = machine.admin(&["scrub", "status"]).succeeded().stdout;
    assert!(table.starts_with("DEVICE") && table.lines().count() == 7, "{table}");
    server.stop();
}

/// A command that lists users, without anything that says where the server is.
fn user_list(machine: &Machine) -> Command {
    machine.command(&["user", "list"])
}

fn expect_users(finished: Finished) {
    let finished = finished.succeeded();
    assert!(finished.stdout.contains("root"), "{finished:?}");
}

#[test]
fn environment_tells_where_the_server_is_and_who_asks() {
    let machine = Machine::new();
    let server = machine.start();
    let root = server.root();
    let mut command = user_list(&machine);
    command
        .env("DATAMESH_ADMIN", server.admin_url())
        .env("DATAMESH_ACCESS_KEY", &root.access_key)
        .env("DATAMESH_SECRET_KEY", &root.secret_key);
    expect_users(machine.finish(command));

    let mut command = user_list(&machine);
    command.env("DATAMESH_ADMIN", server.admin_url()).env("DATAMESH_ACCESS_KEY", "NOSECRET");
    machine.finish(command).failed_with(1, "DATAMESH_SECRET_KEY is not set");

    let mut command = user_list(&machine);
    command
        .env("DATAMESH_ADMIN", server.admin_url())
        .env("DATAMESH_ACCESS_KEY", &root.access_key)
        .env("DATAMESH_SECRET_KEY", "wrong-secret");
    machine.finish(command).failed_with(1, "the access key or its secret is wrong");

    machine.finish(user_list(&machine)).failed_with(1, "no credentials: set DATAMESH_ACCESS_KEY");
    server.stop();
}

#[test]
fn explicit_target_needs_no_data_directory() {
    let machine = Machine::new();
    let server = machine.start();
    let root = server.root();
    let mut command = user_list(&machine);
    // A shell that is set up for another machine's server, too.
    command
        .env("DATAMESH_DATA", machine.path().join("nothing-runs-here"))
        .env("DATAMESH_ADMIN", server.admin_url())
        .env("DATAMESH_ACCESS_KEY", &root.access_key)
        .env("DATAMESH_SECRET_KEY", &root.secret_key);
    expect_users(machine.finish(command));
    server.stop();
}

#[test]
fn named_data_directory_wins_over_the_default_profile() {
    let machine = Machine::new();
    let server = machine.start();
    let home = machine.home().join(".config/datamesh");
    fs::create_dir_all(&home).expect("the home directory is writable");
    let elsewhere = "[profile.default]\nadmin = \"http://127.0.0.1:1\"\naccess_key = \"ELSEWHERE\"\n\
                     secret_key = \"another-server\"\n";
    fs::write(home.join("config.toml"), elsewhere).expect("the home directory is writable");
    expect_users(machine.admin(&["user", "list"]));
    machine
        .finish(user_list(&machine))
        .failed_with(1, "cannot reach the server at http://127.0.0.1:1");
    server.stop();
}

#[test]
fn profile_tells_where_the_server_is_and_who_asks() {
    let machine = Machine::new();
    let server = machine.start();
    let config = machine.path().join("config");
    let file = config.join("datamesh/config.toml");
    fs::create_dir_all(config.join("datamesh")).expect("the test's directory is writable");
    let wrong = Credentials::new("NOBODY", "wrong-secret");
    let text = profile("default", &server, &server.root()) + &profile("other", &server, &wrong);
    fs::write(&file, text).expect("the test's directory is writable");
    let with_profile = |arguments: &[&str]| {
        let mut command = user_list(&machine);
        command.args(arguments).env("XDG_CONFIG_HOME", &config);
        machine.finish(command)
    };
    expect_users(with_profile(&[]));
    with_profile(&["--profile", "other"]).failed_with(1, "the access key or its secret is wrong");
    with_profile(&["--profile", "missing"]).failed_with(1, "has no profile missing");

    fs::write(&file, "[profile.default]\nadmim = \"typo\"\n").expect("the file is writable");
    with_profile(&[]).failed_with(1, "config.toml");

    // Without XDG_CONFIG_HOME it is in the home directory.
    let home = machine.home().join(".config/datamesh");
    fs::create_dir_all(&home).expect("the home directory is writable");
    let text = profile("default", &server, &server.root());
    fs::write(home.join("config.toml"), text).expect("the home directory is writable");
    expect_users(machine.finish(user_list(&machine)));
    server.stop();
}

#[test]
fn unreachable_and_foreign_servers_are_told_apart() {
    let machine = Machine::new();
    let server = machine.start();
    let root = server.root();
    let to = |url: &str| {
        let mut command = user_list(&machine);
        command
            .args(["--admin-url", url])
            .env("DATAMESH_ACCESS_KEY", &root.access_key)
            .env("DATAMESH_SECRET_KEY", &root.secret_key);
        machine.finish(command)
    };
    to(server.s3_url()).failed_with(1, "is this its admin address?");
    to("https://127.0.0.1:1").failed_with(1, "expected http://HOST:PORT");
    let url = server.admin_url().to_owned();
    server.stop();
    to(&url).failed_with(1, &format!("cannot reach the server at {url}"));
}

#[test]
fn killed_server_leaves_addresses_that_answer_clearly() {
    let machine = Machine::new();
    let server = machine.start();
    server.kill();
    machine.admin(&["user", "list"]).failed_with(1, "cannot reach the server at");
}
