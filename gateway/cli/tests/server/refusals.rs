//! Starts that must be refused, with a message that says what to do.

use std::fs;
use std::net::TcpListener;

use crate::process::Machine;

#[test]
fn second_server_on_a_live_directory_is_refused() {
    let machine = Machine::new();
    let server = machine.start();
    machine.server().refused().failed_with(1, "another server is running");
    server.s3().get("/").expect_status(200);
    let endpoints = fs::read_to_string(machine.data().join("endpoints.json"));
    assert!(endpoints.expect("still published").contains(server.s3_url()));
    server.stop();
}

#[test]
fn foreign_directory_is_refused_and_left_alone() {
    let machine = Machine::new();
    fs::create_dir(machine.data()).expect("the test's directory is writable");
    fs::write(machine.data().join("thesis.txt"), "mine").expect("the directory is writable");
    machine.server().refused().failed_with(1, "thesis.txt");
    assert_eq!(fs::read_dir(machine.data()).expect("it is there").count(), 1);
}

#[test]
fn directory_of_a_newer_release_is_refused() {
    let machine = Machine::new();
    machine.start().stop();
    let path = machine.data().join("format.json");
    let text = fs::read_to_string(&path).expect("the directory is formatted");
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    assert_ne!(newer, text, "{text}");
    fs::write(&path, newer).expect("the directory is writable");
    machine.server().refused().failed_with(1, "use a newer release");
}

#[test]
fn two_drives_are_refused_and_three_are_accepted_afterwards() {
    let machine = Machine::new();
    let drives = ["a", "b", "c"].map(|name| machine.new_drive(name));
    machine.server().drives(&drives[..2]).refused().failed_with(1, "three or more drives");
    let server = machine.server().drives(&drives).start();
    server.s3().make_bucket("works");
    server.stop();
}

#[test]
fn one_drive_named_twice_is_refused() {
    let machine = Machine::new();
    let drive = machine.new_drive("a");
    let drives = [drive.clone(), machine.new_drive("b"), drive];
    machine.server().drives(&drives).refused().failed_with(1, "named twice");
}

#[test]
fn drive_of_another_cluster_is_refused_and_not_remembered() {
    let theirs = Machine::new();
    let foreign = theirs.new_drive("a");
    theirs
        .server()
        .drives(&[foreign.clone(), theirs.new_drive("b"), theirs.new_drive("c")])
        .start()
        .stop();

    let ours = Machine::new();
    ours.start().stop();
    ours.server()
        .drives(std::slice::from_ref(&foreign))
        .refused()
        .failed_with(1, "belongs to another cluster");
    let server = ours.start();
    let devices = ours.admin_json(&["device", "list"]);
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(6), "{devices}");
    server.stop();
}

#[test]
fn directory_with_other_files_is_no_drive_and_not_remembered() {
    let machine = Machine::new();
    machine.start().stop();
    let photos = machine.new_drive("photos");
    fs::write(photos.join("cat.jpg"), "mine").expect("the test's directory is writable");
    machine
        .server()
        .drives(std::slice::from_ref(&photos))
        .refused()
        .failed_with(1, &photos.display().to_string());
    assert_eq!(fs::read_dir(&photos).expect("it is there").count(), 1);
    let server = machine.start();
    let devices = machine.admin_json(&["device", "list"]);
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(6), "{devices}");
    server.stop();
}

#[test]
fn drive_used_by_another_server_is_refused() {
    let theirs = Machine::new();
    let drives = ["a", "b", "c"].map(|name| theirs.new_drive(name));
    let server = theirs.server().drives(&drives).start();
    let ours = Machine::new();
    ours.server().drives(&drives).refused().failed_with(1, &drives[0].display().to_string());
    server.s3().make_bucket("unharmed");
    server.stop();
}

#[test]
fn port_in_use_is_refused_by_the_name_of_its_flag() {
    let machine = Machine::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = listener.local_addr().expect("it is bound").to_string();
    machine
        .server_on(&["--s3", &taken, "--admin", "127.0.0.1:0"])
        .refused()
        .failed_with(1, &format!("cannot listen on --s3 {taken}"));
    machine
        .server_on(&["--s3", "127.0.0.1:0", "--admin", &taken])
        .refused()
        .failed_with(1, &format!("cannot listen on --admin {taken}"));
}

#[test]
fn usage_errors_exit_with_two() {
    let machine = Machine::new();
    let refused = |arguments: &[&str]| machine.server().args(arguments).refused();
    refused(&["--memory-limit", "1Gi"]).failed_with(2, "--memory-limit");
    refused(&["--drive-capacity", "lots"]).failed_with(2, "--drive-capacity");
    refused(&["--tls-cert", "cert.pem"]).failed_with(2, "--tls-key");
    refused(&["--tls-key", "key.pem"]).failed_with(2, "--tls-cert");
    refused(&["--log-format", "xml"]).failed_with(2, "--log-format");
    machine.run(&["server"]).failed_with(2, "--data");
    assert!(!machine.data().exists(), "a usage error touches nothing");
}

#[test]
fn options_that_cannot_work_are_refused() {
    let machine = Machine::new();
    let refused = |arguments: &[&str]| machine.server().args(arguments).refused();
    refused(&["--memory-limit", "1MiB"]).failed_with(2, "at least 64 MiB");
    refused(&["--log", "gateway_s3=loudest"]).failed_with(1, "--log");
    let missing = machine.path().join("no.pem");
    let missing = missing.to_str().expect("the path is UTF-8");
    refused(&["--tls-cert", missing, "--tls-key", missing]).failed_with(1, missing);
}

#[test]
fn lost_root_key_is_refused_and_not_replaced() {
    let machine = Machine::new();
    machine.start().stop();
    let path = machine.data().join("root.key");
    let kept = fs::read(&path).expect("the key is there");
    fs::remove_file(&path).expect("the directory is writable");
    machine.server().refused().failed_with(1, "restore it from your copy");
    assert!(!path.exists());
    fs::write(&path, kept).expect("the directory is writable");
    machine.start().stop();
}

#[test]
fn root_key_of_another_directory_is_refused() {
    let machine = Machine::new();
    machine.start().stop();
    let path = machine.data().join("root.key");
    fs::write(&path, "07".repeat(32)).expect("the directory is writable");
    machine.server().refused().failed_with(1, "does not belong to this data directory");
    fs::write(&path, "not a key").expect("the directory is writable");
    machine.server().refused().failed_with(1, "root.key");
}
