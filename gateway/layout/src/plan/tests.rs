use gateway_meta::record::LayoutIdsRecord;
use node_proto::{ClusterId, Epoch, TokenId, UnixMillis};

use super::*;

const IDS: UnusedIds = UnusedIds(LayoutIdsRecord { next_node: 5, next_device: 20 });

fn peer(byte: u8) -> PeerKey {
    PeerKey([byte; 32])
}

fn drive(path: &str) -> OfferedDrive {
    OfferedDrive { path: path.to_owned(), mount_point: true, capacity_bytes: 7 }
}

fn pending(name: &str, zone: Option<&str>, drives: &[&str]) -> NodeRecord {
    NodeRecord {
        membership: Membership::Pending { is_preapproved: false },
        name: name.to_owned(),
        zone: zone.map(str::to_owned),
        version: String::new(),
        addresses: Vec::new(),
        drives: drives.iter().map(|path| drive(path)).collect(),
        token: TokenId([0; 8]),
        first_seen: UnixMillis(0),
    }
}

/// Six local drives and nothing else.
fn local() -> Layout {
    let device = |id| LayoutDevice::local(DeviceId(id), format!("devices/{id}"));
    Layout::local(ClusterId([1; 16]), (0..6).map(device).collect())
}

fn apply(layout: &Layout, changes: &[LayoutChange], records: &Records) -> Planned {
    plan(layout, IDS, changes, records).expect("fits")
}

#[test]
fn nodes_enter_with_ids_that_were_never_used() {
    let records = Records::from([
        (peer(1), pending("a", Some("rack"), &["/x", "/y"])),
        (peer(2), pending("b", None, &["/x"])),
    ]);
    let changes =
        [LayoutChange::AddNode { peer: peer(1) }, LayoutChange::AddNode { peer: peer(2) }];
    let planned = apply(&local(), &changes, &records);
    assert_eq!(planned.layout.check(), Ok(()));
    assert_eq!(planned.admitted, [(peer(1), NodeId(5)), (peer(2), NodeId(6))]);
    let devices: Vec<(u32, u32, &str)> = planned.layout.devices[6..]
        .iter()
        .map(|device| (device.id.0, device.node.0, device.failure_domain.as_str()))
        .collect();
    assert_eq!(devices, [(20, 5, "rack"), (21, 5, "rack"), (22, 6, "b")]);
    assert_eq!(planned.layout.devices[6].address, "/x");
    assert!(planned.layout.devices[6].mount_point);
    assert_eq!(planned.layout.epoch, Epoch(1), "whoever commits it counts");
    assert_eq!(planned.words[0], "node a of zone rack was added with 2 drives");
    // Added by somebody else meanwhile.
    let again = apply(&planned.layout, &changes[..1], &records);
    assert_eq!(again.layout, planned.layout);
    assert!(again.admitted.is_empty());
}

#[test]
fn names_stay_unique() {
    let mut records = Records::from([
        (peer(1), pending("a", None, &["/x"])),
        (peer(2), pending("a", None, &["/x"])),
        (peer(3), pending("gateway", None, &["/x"])),
    ]);
    let add = |byte| LayoutChange::AddNode { peer: peer(byte) };
    let twice = plan(&local(), IDS, &[add(1), add(2)], &records);
    assert_eq!(twice, Err(PlanError::NameTaken { name: "a".to_owned() }));
    let local_name = plan(&local(), IDS, &[add(3)], &records);
    assert_eq!(local_name, Err(PlanError::NameTaken { name: "gateway".to_owned() }));
    let rename = |name: &str| LayoutChange::Rename { node: NodeId(5), name: name.to_owned() };
    records.insert(peer(2), pending("b", None, &["/x"]));
    let renamed = plan(&local(), IDS, &[add(1), add(2), rename("b")], &records);
    assert_eq!(renamed, Err(PlanError::NameTaken { name: "b".to_owned() }));
    let planned = apply(&local(), &[add(1), rename("c"), rename("c"), add(2)], &records);
    assert_eq!(planned.layout.nodes[0].name, "c");
    assert!(matches!(
        plan(&planned.layout, IDS, &[rename("a b")], &records),
        Err(PlanError::InvalidName(_))
    ));
}

#[test]
fn nodes_leave_with_their_devices_and_the_gateway_does_not() {
    let records = Records::from([(peer(1), pending("a", None, &["/x"]))]);
    let add = LayoutChange::AddNode { peer: peer(1) };
    let with = apply(&local(), std::slice::from_ref(&add), &records).layout;
    let remove = |node| [LayoutChange::RemoveNode { node: NodeId(node) }];
    let without = apply(&with, &remove(5), &records);
    assert_eq!(without.layout, local());
    assert_eq!(without.removed[0].peer, Some(peer(1)));
    assert_eq!(plan(&with, IDS, &remove(0), &records), Err(PlanError::Local));
    let unknown = PlanError::NoSuchNode { node: NodeId(9) };
    assert_eq!(plan(&with, IDS, &remove(9), &records), Err(unknown.clone()));
    assert_eq!(unknown.kind(), Kind::NotFound);
    let stranger = plan(&local(), IDS, &[LayoutChange::AddNode { peer: peer(9) }], &records);
    assert_eq!(stranger, Err(PlanError::NotPending { peer: peer(9) }));
    let mut retired = records.clone();
    retired.get_mut(&peer(1)).expect("it is there").membership =
        Membership::Retired { node: NodeId(5), since: UnixMillis(1) };
    let back = plan(&local(), IDS, &[add], &retired);
    assert_eq!(back, Err(PlanError::NotPending { peer: peer(1) }));
}

#[test]
fn only_drives_that_are_no_devices_are_added() {
    let mut records = Records::from([(peer(1), pending("a", Some("z"), &["/x", "/y"]))]);
    let with = apply(&local(), &[LayoutChange::AddNode { peer: peer(1) }], &records).layout;
    let more = [LayoutChange::AddDrives { node: NodeId(5) }];
    let none = PlanError::NoNewDrives { node: "a".to_owned() };
    assert_eq!(plan(&with, IDS, &more, &records), Err(none.clone()));
    // One vanished, one is new: the former stays.
    records.get_mut(&peer(1)).expect("it is there").drives = vec![drive("/y"), drive("/z")];
    let ids = UnusedIds(LayoutIdsRecord { next_node: 6, next_device: 22 });
    let planned = plan(&with, ids, &more, &records).expect("fits");
    let addresses: Vec<&str> =
        planned.layout.devices[6..].iter().map(|device| device.address.as_str()).collect();
    assert_eq!(addresses, ["/x", "/y", "/z"]);
    assert_eq!(planned.layout.devices[8].failure_domain, "z");
    let of_gateway = plan(&with, ids, &[LayoutChange::AddDrives { node: NodeId::LOCAL }], &records);
    assert!(matches!(of_gateway, Err(PlanError::NoNewDrives { .. })), "{of_gateway:?}");
}

#[test]
fn zones_and_states_of_the_gateways_own_drives_are_told_by_a_node() {
    let records = Records::new();
    let node = NodeId::LOCAL;
    let zone = |zone: Option<&str>| LayoutChange::SetZone { node, zone: zone.map(str::to_owned) };
    let merged = apply(&local(), &[zone(Some("here"))], &records).layout;
    assert_eq!(merged.check(), Ok(()));
    assert_eq!(merged.nodes[0].name, "gateway");
    assert!(merged.devices.iter().all(|device| device.failure_domain == "here"));
    let split = apply(&merged, &[zone(None)], &records).layout;
    assert_eq!(split.devices, local().devices);
    let state = NodeState::Draining;
    let drained = apply(&local(), &[LayoutChange::SetState { node, state }], &records).layout;
    assert!(drained.is_draining(DeviceId(3)));
    assert_eq!(drained.devices, local().devices);
    let bad = plan(&local(), IDS, &[zone(Some("drive-1"))], &records);
    assert!(matches!(bad, Err(PlanError::InvalidName(_))), "{bad:?}");
}

#[test]
fn ids_end_without_starting_again() {
    let records = Records::from([(peer(1), pending("a", None, &["/x"]))]);
    let add = [LayoutChange::AddNode { peer: peer(1) }];
    for (next_node, next_device) in [(u32::MAX, 1), (1, u32::MAX)] {
        let ids = UnusedIds(LayoutIdsRecord { next_node, next_device });
        assert_eq!(plan(&local(), ids, &add, &records), Err(PlanError::IdsUsedUp));
    }
}
