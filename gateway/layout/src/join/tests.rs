use super::*;

fn request() -> JoinRequest {
    let path = "/srv/a".to_owned();
    JoinRequest {
        proof: None,
        name: "node-1".to_owned(),
        version: "0.1.0".to_owned(),
        addresses: vec!["/ip4/10.0.0.7/tcp/9100".to_owned()],
        drives: vec![OfferedDrive { path, mount_point: false, capacity_bytes: 1 << 40 }],
    }
}

fn verdict(change: impl FnOnce(&mut JoinRequest)) -> Result<(), RefusedRequest> {
    let mut request = request();
    change(&mut request);
    validate(&request)
}

fn drive(path: &str, capacity_bytes: u64) -> OfferedDrive {
    OfferedDrive { path: path.to_owned(), mount_point: false, capacity_bytes }
}

#[test]
fn what_an_honest_node_says_is_taken() {
    assert_eq!(validate(&request()), Ok(()));
    let most = verdict(|request| {
        request.addresses = vec!["/dns/node-1.example/tcp/1".to_owned(); ADDRESSES_MAX];
        request.drives = (0..DRIVES_MAX).map(|i| drive(&format!("/d{i}"), 0)).collect();
    });
    assert_eq!(most, Ok(()));
}

#[test]
fn what_no_honest_node_says_is_refused() {
    let name = verdict(|request| request.name = "a/../b".to_owned());
    assert!(matches!(name, Err(RefusedRequest::Name(_))), "{name:?}");
    assert_eq!(verdict(|r| r.version = "x".repeat(65)), Err(RefusedRequest::Version));
    assert_eq!(verdict(|r| r.version = "1\n2".to_owned()), Err(RefusedRequest::Version));
    for count in [0, ADDRESSES_MAX + 1] {
        let refused = verdict(|r| r.addresses = vec!["/ip4/1.2.3.4/tcp/1".to_owned(); count]);
        assert_eq!(refused, Err(RefusedRequest::AddressCount { count }));
    }
    for count in [0, DRIVES_MAX + 1] {
        let drives = (0..count).map(|i| drive(&format!("/d{i}"), 0)).collect();
        let refused = verdict(|request| request.drives = drives);
        assert_eq!(refused, Err(RefusedRequest::DriveCount { count }));
    }
    let long = "x".repeat(PATH_LEN_BYTES_MAX + 1);
    let too_much = drive("/a", CAPACITY_BYTES_MAX + 1);
    for drives in [
        vec![drive("", 1)],
        vec![drive(&long, 1)],
        vec![drive("/a\u{1b}[2J", 1)],
        vec![too_much],
        vec![drive("/a", 1), drive("/b", 1), drive("/a", 2)],
    ] {
        let refused = verdict(|request| request.drives = drives);
        assert!(matches!(refused, Err(RefusedRequest::Drive { .. })), "{refused:?}");
    }
}

#[test]
fn addresses_are_hosts_with_tcp_ports() {
    for address in ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/65535", "/dns4/a.b/tcp/9100"] {
        assert!(is_address(address), "{address}");
    }
    let long = format!("/dns/{}/tcp/1", "x".repeat(ADDRESS_LEN_BYTES_MAX));
    for address in [
        "",
        "/",
        "10.0.0.1:9100",
        "/ip4/10.0.0.1",
        "/ip4/10.0.0.1/udp/9100",
        "/ip4/10.0.0/tcp/9100",
        "/ip4/10.0.0.1/tcp/0",
        "/ip4/10.0.0.1/tcp/65536",
        "/ip6/10.0.0.1/tcp/1",
        "/dns//tcp/1",
        "/dns/a b/tcp/1",
        "/dns/ä/tcp/1",
        long.as_str(),
    ] {
        assert!(!is_address(address), "{address}");
    }
}
