//! A slow node: reads go around it.

use std::time::Duration;

use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup};
use compat_tests::payload;

use crate::{alone, is_long, time_requests};

/// Objects read. Chosen: more than a cache of one would hold.
const OBJECTS: u64 = 24;

/// Length of an object. Chosen: one stripe on all nodes.
const LEN: usize = 1 << 20;

/// What every exchange with the slow node takes longer, half in each direction.
const SLOWNESS: Duration = Duration::from_millis(400);

/// How long a mesh has to learn that a node is slow. Source: the issue.
const WARM_UP: Duration = Duration::from_secs(10);

#[test]
fn after_a_warm_up_a_slow_node_costs_at_most_twice_the_healthy_p99() {
    let (_turn, mut random) = alone();
    let mesh = Mesh::with(MeshSetup::new(0).nodes(vec![NodeSetup::new().behind_proxy(); 6]));
    let wire = mesh.wire();
    let bucket = mesh.gateway().new_bucket("slow");
    let contents: Vec<_> = (0..OBJECTS).map(|_| payload::bytes(random.next_u64(), LEN)).collect();
    for (number, body) in contents.iter().enumerate() {
        wire.put(&format!("/{bucket}/{number}")).body(body.clone()).send().expect_status(200);
    }
    let mut read = || {
        let number = usize::try_from(random.below(OBJECTS)).unwrap_or(0);
        let answer = wire.get(&format!("/{bucket}/{number}")).send().status_is(200);
        assert!(answer.body == contents[number], "object {number} differs");
    };
    let measured = Duration::from_secs(if is_long() { 60 } else { 12 });
    let _ = time_requests(Duration::from_secs(3), &mut read);
    let healthy = time_requests(measured, &mut read);
    let slow = mesh.node(2);
    let slow = slow.proxy.as_ref().expect("it is behind a proxy");
    slow.delay(SLOWNESS / 2, SLOWNESS / 2);
    let warm_up = time_requests(WARM_UP, &mut read);
    let after = time_requests(measured, &mut read);
    println!(
        "GET of 1 MiB, one of six nodes {SLOWNESS:?} slower: healthy {healthy}; warm-up \
         {warm_up}; after it {after}"
    );
    let (healthy, after) = (healthy.percentile(99), after.percentile(99));
    assert!(after <= healthy * 2, "p99 {after:?} is more than twice the healthy {healthy:?}");
}
