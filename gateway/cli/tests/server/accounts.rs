//! Who may do what: accounts on S3 and on the admin API.

use crate::process::{Machine, Server};
use crate::s3::{Credentials, S3, payload};

/// Makes a user with a key and answers its client.
fn new_user(machine: &Machine, server: &Server, name: &str) -> (S3, Credentials) {
    machine.admin(&["user", "create", name]).succeeded();
    let key = machine.admin_json(&["key", "create", "--user", name]);
    let field = |name: &str| key[name].as_str().expect("a string").to_owned();
    let credentials =
        Credentials { access_key: field("access_key_id"), secret_key: field("secret_access_key") };
    (server.s3_as(credentials.clone()), credentials)
}

#[test]
fn buckets_belong_to_the_account_that_made_them() {
    let machine = Machine::new();
    let server = machine.start();
    let (ann, _) = new_user(&machine, &server, "ann");
    let (bob, _) = new_user(&machine, &server, "bob");
    let body = payload(1, 10_000);
    ann.make_bucket("anns");
    ann.put("/anns/object", &body);

    let nothing = bytes::Bytes::new;
    let refused = [
        ("GET", "/anns"),
        ("GET", "/anns?uploads"),
        ("GET", "/anns?location"),
        ("GET", "/anns/object"),
        ("GET", "/anns/no-such-object"),
        ("PUT", "/anns/object"),
        ("PUT", "/anns/new-object"),
        ("DELETE", "/anns/object"),
        ("DELETE", "/anns"),
        ("POST", "/anns/object?uploads"),
        ("GET", "/anns/object?tagging"),
    ];
    for (method, target) in refused {
        let answer = bob.send(method, target, nothing());
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (403, Some("AccessDenied")),
            "{method} {target}: {}",
            answer.describe()
        );
    }
    bob.send("HEAD", "/anns/object", nothing()).expect_status(403);
    bob.send("PUT", "/anns", nothing()).expect_error(409, "BucketAlreadyExists");

    ann.expect_object("/anns/object", &body);
    let list = bob.get("/");
    list.expect_status(200);
    assert_eq!(list.element("Name"), None, "{}", list.describe());
    assert_eq!(ann.get("/").element("Name").as_deref(), Some("anns"));
    server.stop();
}

#[test]
fn copy_from_a_foreign_bucket_is_refused() {
    let machine = Machine::new();
    let server = machine.start();
    let (ann, _) = new_user(&machine, &server, "ann");
    let (bob, _) = new_user(&machine, &server, "bob");
    ann.make_bucket("anns");
    ann.put("/anns/object", &payload(1, 10));
    bob.make_bucket("bobs");
    let answer = bob.copy("/anns/object", "/bobs/stolen");
    answer.expect_error(403, "AccessDenied");
    bob.get("/bobs/stolen").expect_error(404, "NoSuchKey");
    ann.copy("/anns/object", "/anns/copy").expect_status(200);
    server.stop();
}

#[test]
fn root_may_use_every_bucket() {
    let machine = Machine::new();
    let server = machine.start();
    let (ann, _) = new_user(&machine, &server, "ann");
    let body = payload(2, 5_000);
    ann.make_bucket("anns");
    ann.put("/anns/object", &body);
    server.s3().expect_object("/anns/object", &body);
    server.stop();
}

#[test]
fn revoked_key_is_refused_from_the_next_request_on() {
    let machine = Machine::new();
    let server = machine.start();
    let (ann, credentials) = new_user(&machine, &server, "ann");
    ann.make_bucket("anns");
    machine.admin(&["key", "revoke", &credentials.access_key]).succeeded();
    ann.get("/anns").expect_error(403, "InvalidAccessKeyId");
    server.s3().get("/anns").expect_status(200);
    server.stop();
}

#[test]
fn wrong_secret_and_unknown_key_are_refused() {
    let machine = Machine::new();
    let server = machine.start();
    let wrong = Credentials { secret_key: "wrong-secret".to_owned(), ..server.root() };
    server.s3_as(wrong).get("/").expect_error(403, "SignatureDoesNotMatch");
    let unknown = Credentials::new("NOSUCHKEY", "wrong-secret");
    server.s3_as(unknown).get("/").expect_error(403, "InvalidAccessKeyId");
    server.stop();
}

#[test]
fn keys_and_accounts_survive_a_restart() {
    let machine = Machine::new();
    let server = machine.start();
    let (ann, credentials) = new_user(&machine, &server, "ann");
    let body = payload(3, 70_000);
    ann.make_bucket("anns");
    ann.put("/anns/object", &body);
    server.kill();
    let server = machine.start();
    server.s3_as(credentials).expect_object("/anns/object", &body);
    server.stop();
}

#[test]
fn only_root_administers() {
    let machine = Machine::new();
    let server = machine.start();
    let (_, ann) = new_user(&machine, &server, "ann");
    let commands: [&[&str]; 6] = [
        &["user", "list"],
        &["user", "create", "eve"],
        &["key", "create", "--user", "root"],
        &["device", "list"],
        &["repair", "status"],
        &["scrub", "start"],
    ];
    for arguments in commands {
        let mut command = machine.command(arguments);
        command
            .env("DATAMESH_ADMIN", server.admin_url())
            .env("DATAMESH_ACCESS_KEY", &ann.access_key)
            .env("DATAMESH_SECRET_KEY", &ann.secret_key);
        machine.finish(command).failed_with(1, "this access key may not administer the server");
    }
    server.stop();
}
