//! Starting, draining, restarting; accounts and keys from the command line.
//!
//! Every test has a server of its own.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use compat_tests::payload;
use compat_tests::server::{Credentials, Server};

/// Long enough that the upload is under way when the server is told to stop, and short enough for
/// any drain.
const HALFWAY_PAUSE: Duration = Duration::from_millis(700);

#[test]
fn sigterm_ends_with_status_0_and_a_restart_has_everything() {
    let server = Server::start(&[]);
    let bucket = server.new_bucket("lifecycle");
    let lens = [0, 100, 5000, 100_000, 9 * 1024 * 1024];
    for len in lens {
        let put = server.wire().put(&format!("/{bucket}/{len}"));
        put.body(payload::bytes(1, len)).send().expect_status(200);
    }
    assert_eq!(server.terminate().code(), Some(0));
    server.start_again();
    for len in lens {
        let answer = server.wire().get(&format!("/{bucket}/{len}")).send().status_is(200);
        assert!(answer.body == payload::bytes(1, len), "{len} bytes differ");
    }
}

/// What a client is told that is let in and has not sent its body.
const CONTINUE: &[u8; 25] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[test]
fn an_upload_under_way_at_sigterm_is_finished() {
    let server = Server::start(&[]);
    let bucket = server.new_bucket("lifecycle");
    let data = payload::bytes(2, 400_000);
    let target = format!("/{bucket}/slow");
    let presigned = server.wire().put(&target).presigned(Duration::from_secs(60)).into_target();
    let address = server.s3_address();
    let mut stream = TcpStream::connect(&address).expect("the server accepts connections");
    let head = format!(
        "PUT {presigned} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n",
        data.len()
    );
    stream.write_all(head.as_bytes()).expect("the server reads the request");
    // Before the server says so, the request may still be in the kernel's hands.
    let mut go_on = [0; CONTINUE.len()];
    std::io::Read::read_exact(&mut stream, &mut go_on).expect("the server lets the upload in");
    assert_eq!(go_on, *CONTINUE);
    stream.write_all(&data[..100_000]).expect("the server reads the body");
    thread::scope(|scope| {
        let ending = scope.spawn(|| server.terminate());
        thread::sleep(HALFWAY_PAUSE);
        stream.write_all(&data[100_000..]).expect("a draining server reads on");
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let status = ending.join().expect("the server ends");
        assert_eq!(status.code(), Some(0));
    });
    server.start_again();
    let stored = server.wire().get(&target).send().status_is(200);
    assert!(stored.body == data, "the upload differs");
}

#[test]
fn a_second_start_on_a_live_directory_is_refused() {
    let server = Server::start(&[]);
    let bucket = server.new_bucket("lifecycle");
    let second = server.start_second_process();
    assert!(second.code.is_some_and(|code| code != 0), "{second:?}");
    assert!(!second.stderr.is_empty(), "it says why");
    assert!(!second.stderr.contains("panicked"), "{}", second.stderr);
    server.wire().head(&format!("/{bucket}")).send().expect_status(200);
    server.kill();
    server.start_again();
    server.wire().head(&format!("/{bucket}")).send().expect_status(200);
}

#[test]
fn a_revoked_key_and_a_deleted_user_are_refused() {
    let server = Server::start(&[]);
    let wire = |key: &serde_json::Value| {
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        server
            .wire()
            .signed_by(&Credentials::new(&text("access_key_id"), &text("secret_access_key")))
    };
    let _ = server.datamesh(&["user", "create", "carol"]).succeed();
    let first = server.datamesh(&["key", "create", "--user", "carol"]).succeed().json();
    let second = server.datamesh(&["key", "create", "--user", "carol"]).succeed().json();
    wire(&first).get("/").send().expect_status(200);
    let revoked = first["access_key_id"].as_str().unwrap_or_default();
    let _ = server.datamesh(&["key", "revoke", revoked]).succeed();
    wire(&first).get("/").send().expect_error(403, "InvalidAccessKeyId");
    wire(&second).get("/").send().expect_status(200);
    let _ = server.datamesh(&["user", "delete", "carol"]).succeed();
    wire(&second).get("/").send().expect_error(403, "InvalidAccessKeyId");
    server.kill();
    server.start_again();
    wire(&first).get("/").send().expect_error(403, "InvalidAccessKeyId");
    wire(&second).get("/").send().expect_error(403, "InvalidAccessKeyId");
}

#[test]
fn accounts_survive_a_kill() {
    let server = Server::start(&[]);
    let second = server.second_account().clone();
    let wire = server.wire().signed_by(&second);
    wire.put("/lifecycle-second").send().expect_status(200);
    server.kill();
    server.start_again();
    let wire = server.wire().signed_by(&second);
    let listed = wire.get("/").send().status_is(200);
    assert_eq!(listed.elements("Name"), ["lifecycle-second"]);
}

#[test]
fn health_and_metrics_are_on_the_admin_address() {
    let server = Server::start(&[]);
    for path in ["healthz", "readyz", "metrics"] {
        let url = format!("{}/{path}", server.admin_url());
        assert_eq!(compat_tests::wire::get(&url), Some(200), "{path}");
    }
    let on_s3 = format!("{}/metrics", server.s3_url());
    assert_ne!(compat_tests::wire::get(&on_s3), Some(200), "metrics are not for S3 clients");
}
