//! A node asks a gateway to join.

use node_mesh::CallError;
use node_proto::{JoinAnswer, SignedLayout};

use crate::hosts::{cluster_key, gateway, introduce, layout, node, question};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_asks_until_it_is_admitted() {
    let (gateway, node) = (gateway(1).await, node(2).await);
    let (to, at) = (gateway.mesh.peer(), gateway.mesh.addresses());

    let answer = node.mesh.join(to, &at, &question("n")).await.unwrap();
    assert_eq!(answer, JoinAnswer::Pending);
    assert_eq!(gateway.host.asked.lock()[0], (node.mesh.peer(), question("n")));

    introduce(&layout(3, to, &[node.mesh.peer()]), &[&gateway]);
    let answer = node.mesh.join(to, &at, &question("n")).await.unwrap();
    let JoinAnswer::Admitted { body, signature } = answer else { panic!("{answer:?}") };
    let signed = SignedLayout::from_parts(body, signature);
    assert_eq!(signed.verify(&cluster_key().public()).unwrap().epoch.0, 3);

    gateway.mesh.shutdown().await;
    node.mesh.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_ask_a_node_to_join() {
    let (asked, asking) = (node(1).await, node(2).await);
    let to = asked.mesh.peer();
    let answer = asking.mesh.join(to, &asked.mesh.addresses(), &question("n")).await;
    assert!(matches!(answer, Err(CallError::Unreachable { .. })), "{answer:?}");
    assert!(asked.host.asked.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_another_key_is_not_asked() {
    let (gateway, node) = (gateway(1).await, node(2).await);
    let expected = node_mesh::Identity::from_seed([99; 32]).peer();
    let answer = node.mesh.join(expected, &gateway.mesh.addresses(), &question("n")).await;
    let Err(CallError::Unreachable { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("another peer"), "{reason}");
    assert!(gateway.host.asked.lock().is_empty());
}
