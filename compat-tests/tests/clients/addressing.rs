//! Path style and virtual-host style, as the `Host` header tells them apart.
//!
//! The shared server is started with `--domain localhost`.

use compat_tests::server::{Server, unique_name};
use compat_tests::wire::{Request, Wire};

struct Hosts {
    server: Server,
    wire: Wire,
    port: String,
    bucket: String,
}

impl Hosts {
    fn new() -> Self {
        let server = crate::shared();
        let wire = server.wire();
        let address = server.s3_address();
        let port = address.rsplit(':').next().unwrap_or_default().to_owned();
        let bucket = server.new_bucket("addressing");
        Self { server, wire, port, bucket }
    }

    fn to_bucket(&self, request: Request) -> Request {
        request.host(&format!("{}.localhost:{}", self.bucket, self.port))
    }
}

#[test]
fn a_bucket_in_the_host_is_the_bucket() {
    let hosts = Hosts::new();
    let put = hosts.to_bucket(hosts.wire.put("/dir/key")).body("virtual");
    put.send().expect_status(200);
    let by_path = hosts.wire.get(&format!("/{}/dir/key", hosts.bucket)).send().status_is(200);
    assert_eq!(by_path.body, "virtual");
    let by_host = hosts.to_bucket(hosts.wire.get("/dir/key")).send().status_is(200);
    assert_eq!(by_host.body, "virtual");
    let listed = hosts.to_bucket(hosts.wire.get("/?list-type=2")).send().status_is(200);
    assert_eq!(listed.element("Name"), Some(hosts.bucket.clone()));
    assert_eq!(listed.elements("Key"), ["dir/key"]);
}

#[test]
fn the_first_path_segment_is_part_of_the_key() {
    let hosts = Hosts::new();
    let target = format!("/{}/key", hosts.bucket);
    hosts.to_bucket(hosts.wire.put(&target)).body("x").send().expect_status(200);
    let listed = hosts.to_bucket(hosts.wire.get("/")).send().status_is(200);
    assert_eq!(listed.elements("Key"), [format!("{}/key", hosts.bucket)]);
    hosts.wire.get(&target).send().expect_error(404, "NoSuchKey");
}

#[test]
fn the_domain_itself_is_path_style() {
    let hosts = Hosts::new();
    let host = format!("localhost:{}", hosts.port);
    let target = format!("/{}/key", hosts.bucket);
    hosts.wire.put(&target).host(&host).body("x").send().expect_status(200);
    hosts.wire.get(&target).send().expect_status(200);
    let buckets = hosts.wire.get("/").host(&host).send().status_is(200);
    assert!(buckets.elements("Name").contains(&hosts.bucket));
}

#[test]
fn host_names_compare_without_case() {
    let hosts = Hosts::new();
    hosts.wire.put(&format!("/{}/k", hosts.bucket)).body("x").send().expect_status(200);
    let host = format!("{}.LocalHost:{}", hosts.bucket, hosts.port);
    hosts.wire.get("/k").host(&host).send().expect_status(200);
}

#[test]
fn an_unknown_bucket_in_the_host_is_no_such_bucket() {
    let hosts = Hosts::new();
    let host = format!("{}.localhost:{}", unique_name("none"), hosts.port);
    hosts.wire.get("/k").host(&host).send().expect_error(404, "NoSuchBucket");
}

#[test]
fn a_bucket_name_with_dots_works_in_the_host() {
    let hosts = Hosts::new();
    let bucket = unique_name("dotted.name");
    let host = format!("{bucket}.localhost:{}", hosts.port);
    hosts.wire.put("/").host(&host).send().expect_status(200);
    hosts.wire.put("/k").host(&host).body("x").send().expect_status(200);
    hosts.wire.get(&format!("/{bucket}/k")).send().expect_status(200);
    drop(hosts.server);
}

#[test]
fn an_unknown_host_is_path_style() {
    let hosts = Hosts::new();
    let target = format!("/{}/k", hosts.bucket);
    hosts.wire.put(&target).host("storage.example").body("x").send().expect_status(200);
    hosts.wire.get(&target).send().expect_status(200);
}
