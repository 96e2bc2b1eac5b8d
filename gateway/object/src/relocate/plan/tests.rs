use node_proto::DeviceHealth;

use super::super::balance::Holder;
use super::super::scene::Seen;
use super::*;

const M: u8 = 2;

/// Devices by their domains; each is a node of its own, with the number of its device.
fn scene(domains: &[&str], change: impl Fn(u32, &mut Seen)) -> Scene {
    Scene::of((0..).zip(domains).map(|(id, domain)| {
        let mut seen = Seen {
            node: NodeId(id),
            domain: (*domain).to_owned(),
            is_draining: false,
            health: DeviceHealth::Online,
            is_writable: true,
            capacity_bytes: 1000,
            free_bytes: 500 + u64::from(id),
        };
        change(id, &mut seen);
        (DeviceId(id), seen)
    }))
}

fn draining(nodes: &'static [u32]) -> impl Fn(u32, &mut Seen) {
    move |id, seen| {
        seen.is_draining = nodes.contains(&id);
        seen.is_writable = !seen.is_draining;
    }
}

fn ids(ids: &[u32]) -> Vec<DeviceId> {
    ids.iter().copied().map(DeviceId).collect()
}

fn planned(scene: &Scene, purpose: Purpose<'_>, members: &[u32], width: usize) -> Plan {
    let members = ids(members);
    let placed = Placed { members: &members, width, m: M, shard_len_bytes: 10 };
    plan(scene, purpose, placed)
}

fn step(position: usize, from: u32, to: u32) -> Step {
    Step { position, from: DeviceId(from), to: DeviceId(to) }
}

#[test]
fn a_drained_shard_goes_to_the_roomiest_domain_that_is_free() {
    let scene = scene(&["a", "b", "c", "d", "e", "f", "b"], draining(&[0]));
    let drain = Purpose::Drain(NodeId(0));
    let plan = planned(&scene, drain, &[0, 1, 2, 3], 4);
    assert_eq!(plan, Plan::Move(vec![step(0, 0, 5)]), "6 has more room, next to 1");
    assert_eq!(planned(&scene, drain, &[1, 2, 3, 4], 4), Plan::Stay);
    assert_eq!(planned(&scene, drain, &[1, 2, 3, 0], 3), Plan::Trim);
    assert_eq!(planned(&scene, Purpose::Drain(NodeId(3)), &[0, 1, 2, 3], 4), Plan::Stay);
}

#[test]
fn without_a_spare_domain_a_stripe_gets_narrower_and_never_loses_parity() {
    let drain = Purpose::Drain(NodeId(0));
    let all = ["a", "b", "c", "d", "e", "f"];
    let six = scene(&all, draining(&[0]));
    assert_eq!(planned(&six, drain, &[0, 1, 2, 3, 4, 5], 6), Plan::Recode { k: 3 });
    let three = scene(&all[..3], draining(&[0]));
    assert!(matches!(planned(&three, drain, &[0, 1, 2], 3), Plan::Blocked(_)));
}

#[test]
fn devices_that_are_away_or_full_are_waited_for() {
    let drain = Purpose::Drain(NodeId(0));
    let away = |health| {
        scene(&["a", "b", "c", "d"], move |id, seen| {
            draining(&[0])(id, seen);
            if id == 3 {
                (seen.is_writable, seen.health) = (false, health);
            }
        })
    };
    let Plan::Blocked(why) = planned(&away(DeviceHealth::Offline), drain, &[0, 1, 2], 3) else {
        panic!("there is a domain for it");
    };
    assert!(why.contains("in: d"), "{why}");
    let Plan::Blocked(why) = planned(&away(DeviceHealth::Full), drain, &[0, 1, 2], 3) else {
        panic!("there is a domain for it");
    };
    assert!(why.contains("full"), "{why}");
}

#[test]
fn shards_of_one_domain_are_moved_apart() {
    let scene = scene(&["a", "a", "b", "c", "d"], |_, _| {});
    let plan = planned(&scene, Purpose::Respread, &[0, 1, 2, 3], 4);
    assert_eq!(plan, Plan::Move(vec![step(1, 1, 4)]));
    assert_eq!(planned(&scene, Purpose::Respread, &[0, 2, 3, 1], 3), Plan::Trim);
    assert_eq!(planned(&scene, Purpose::Respread, &[0, 2, 3, 4], 4), Plan::Stay);
    let departed = planned(&scene, Purpose::Departed, &[0, 2, 3, 9], 4);
    assert_eq!(departed, Plan::Move(vec![step(3, 9, 4)]));
}

#[test]
fn a_rebalance_moves_one_shard_into_each_domain_within_its_budget() {
    let scene = scene(&["a", "b", "c", "d"], |_, _| {});
    let held = |device: u32, held_bytes| Holder {
        device: DeviceId(device),
        domain: scene.domain(DeviceId(device)).unwrap().to_owned(),
        capacity_bytes: 1000,
        held_bytes,
    };
    let holders = [held(0, 40), held(1, 40), held(2, 40), held(3, 0)];
    let budget = Budget::new(&holders, 3);
    let purpose = Purpose::Rebalance(&budget);
    assert!(concerns(&scene, purpose, &ids(&[0, 1])) && !concerns(&scene, purpose, &ids(&[3])));
    let plan = planned(&scene, purpose, &[0, 1, 2], 3);
    assert_eq!(plan, Plan::Move(vec![step(0, 0, 3)]), "no second shard into one domain");
    assert_eq!(planned(&scene, purpose, &[0, 1, 2], 3), Plan::Move(vec![step(1, 1, 3)]));
    assert_eq!(planned(&scene, purpose, &[3, 1, 2], 3), Plan::Stay);
    assert_eq!(planned(&scene, purpose, &[0, 1, 2], 3), Plan::Move(vec![step(2, 2, 3)]));
    assert_eq!(planned(&scene, purpose, &[0, 1, 2], 3), Plan::Stay);
}
