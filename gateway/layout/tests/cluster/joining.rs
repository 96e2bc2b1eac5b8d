//! Joining: tokens, proofs, approval, and what is refused.

use std::time::Duration;

use gateway_layout::{
    Approval, ApproveError, Change, CreateTokenError, Kind, NewToken, NodeStatus, RejectError,
    RevokeTokenError, TokenState, limits,
};
use gateway_meta::{MetaStore, Table, key::ctl};
use node_proto::{JoinAnswer, NodeId, PeerKey, SignedLayout, join};

use super::{GATEWAY, Machine, TIB, admit, peer, reason, request, token, with_token};

fn admitted(cluster: &gateway_layout::Cluster, answer: JoinAnswer) -> node_proto::Layout {
    let JoinAnswer::Admitted { body, signature } = answer else {
        panic!("not admitted: {answer:?}");
    };
    let signed = SignedLayout::from_parts(body, signature);
    signed.verify(&cluster.public_key()).expect("signed by the cluster")
}

#[tokio::test]
async fn a_node_waits_for_approval_and_is_admitted_with_its_drives() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let token =
        token(&cluster, NewToken { zone: Some("rack-a".into()), ..NewToken::default() }).await;
    let asked = with_token(request("n1", 2), &token, peer(1));
    for _ in 0..3 {
        assert_eq!(cluster.join(peer(1), asked.clone()).await, JoinAnswer::Pending);
    }
    let waiting = cluster.node("n1").await.expect("waits");
    assert_eq!((waiting.status, waiting.id), (NodeStatus::Pending, None));
    assert_eq!((waiting.zone.as_str(), waiting.new_drives.len()), ("rack-a", 2));
    assert!(cluster.addresses().is_empty(), "it is no member yet");

    let mut watch = cluster.watch();
    let epoch = watch.borrow_and_update().epoch;
    let layout = cluster.approve("n1", Approval::default()).await.expect("approved");
    assert!(watch.has_changed().expect("open"));
    assert_eq!(watch.borrow_and_update().epoch.0, epoch.0 + 1);
    assert_eq!(layout.node_of_peer(peer(1)).expect("in the layout").id, NodeId(1));
    assert_eq!(admitted(&cluster, cluster.join(peer(1), asked).await), *layout);
    let node = cluster.node(&peer(1).to_string()).await.expect("found by its peer id");
    assert_eq!(node.status, NodeStatus::Active);
    assert_eq!(node.devices.iter().map(|device| device.0).collect::<Vec<_>>(), [6, 7]);
    assert!(layout.devices[6..].iter().all(|device| device.failure_domain == "rack-a"));
    assert_eq!(layout.devices[6].capacity_bytes, TIB);
    assert_eq!(cluster.addresses()[&peer(1)], ["/ip4/10.0.0.7/tcp/9100"]);
    let twice = cluster.approve("n1", Approval::default()).await;
    assert!(matches!(twice, Err(ApproveError::NotPending { .. })));
}

#[tokio::test]
async fn a_pre_approved_node_needs_nobody_and_later_no_proof() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let new = NewToken { name: Some("box".into()), is_approved: true, ..NewToken::default() };
    let token = token(&cluster, new).await;
    let asked = with_token(request("localhost", 1), &token, peer(1));
    let layout = admitted(&cluster, cluster.join(peer(1), asked.clone()).await);
    let node = layout.node_of_peer(peer(1)).expect("in the layout");
    assert_eq!((node.name.as_str(), node.zone.as_str()), ("box", "box"));

    // After a restart on both sides, with another address and a drive more.
    let cluster = machine.start().await;
    assert_eq!(cluster.addresses()[&peer(1)], asked.addresses);
    let mut again = request("localhost", 2);
    again.addresses = vec!["/dns/box.example/tcp/9100".to_owned()];
    again.version = "0.2.0".to_owned();
    let mut watch = cluster.watch();
    watch.mark_unchanged();
    assert_eq!(admitted(&cluster, cluster.join(peer(1), again.clone()).await), layout);
    assert!(watch.has_changed().expect("open"), "who dials by addresses is told");
    watch.mark_unchanged();
    assert_eq!(admitted(&cluster, cluster.join(peer(1), again.clone()).await), layout);
    assert!(!watch.has_changed().expect("open"), "nothing is new");
    assert_eq!(cluster.addresses()[&peer(1)], again.addresses);
    let report = cluster.node("box").await.expect("found");
    assert_eq!((report.version.as_str(), report.new_drives.len()), ("0.2.0", 1));
    assert!(report.last_seen.is_some());
    let added = cluster.stage(Change::AddDrives { node: report.id.expect("a member") }).await;
    assert_eq!(added.expect("staged").changes.len(), 1);
}

#[tokio::test]
async fn strangers_and_wrong_proofs_learn_nothing_and_leave_nothing() {
    let machine = Machine::new();
    let cluster = machine.start().await;
    let good = token(&cluster, NewToken::default()).await;
    let no_proof = reason(cluster.join(peer(1), request("n", 1)).await);
    assert!(no_proof.contains("never admitted"), "{no_proof}");

    let unknown = node_proto::JoinToken { id: node_proto::TokenId([9; 8]), ..good.clone() };
    let wrong_secret = node_proto::JoinToken { secret: [9; 32], ..good.clone() };
    let other_gateway = node_proto::JoinToken { gateway: peer(77), ..good.clone() };
    let other_cluster =
        node_proto::JoinToken { cluster: node_proto::ClusterId([9; 16]), ..good.clone() };
    let stolen = with_token(request("n", 1), &good, peer(2));
    let mut refusals = vec![reason(cluster.join(peer(1), stolen).await)];
    for token in [unknown, wrong_secret, other_gateway, other_cluster] {
        let asked = with_token(request("n", 1), &token, peer(1));
        refusals.push(reason(cluster.join(peer(1), asked).await));
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    assert!(refusals[0].contains("not known"), "{refusals:?}");
    let rows = machine.meta.get(Table::Ctl, &ctl::node(peer(1))).expect("reads");
    assert_eq!(rows, None);
    let mut hostile = with_token(request("n", 1), &good, peer(1));
    hostile.addresses = vec!["http://x".to_owned()];
    assert!(reason(cluster.join(peer(1), hostile).await).contains("no address"));
    let state = cluster.tokens().await.expect("lists")[0].state;
    assert_eq!(state, TokenState::Open, "the token is still good");
    // The gateway itself is no node.
    let own = with_token(request("n", 1), &good, GATEWAY);
    assert!(reason(cluster.join(GATEWAY, own).await).contains("is a gateway"));
}

#[tokio::test]
async fn used_revoked_and_expired_tokens_are_refused_with_a_reason() {
    let machine = Machine::new();
    let cluster = machine.start().await;
    let used = token(&cluster, NewToken::default()).await;
    let revoked = token(&cluster, NewToken::default()).await;
    let short = NewToken { ttl: Some(Duration::from_secs(5)), ..NewToken::default() };
    let expired = token(&cluster, short).await;
    let ask = |token, byte: u8| {
        let asked = with_token(request(&format!("n{byte}"), 1), token, peer(byte));
        cluster.join(peer(byte), asked)
    };
    assert_eq!(ask(&used, 1).await, JoinAnswer::Pending);
    assert!(reason(ask(&used, 2).await).contains("another node"));
    cluster.revoke_token(&revoked.id.to_string()).await.expect("revoked");
    assert!(reason(ask(&revoked, 2).await).contains("revoked"));
    machine.clock.advance_ms(5_000);
    assert!(reason(ask(&expired, 2).await).contains("expired"));
    let states: Vec<TokenState> =
        cluster.tokens().await.expect("lists").into_iter().map(|token| token.state).collect();
    for state in [TokenState::Used { by: peer(1) }, TokenState::Revoked, TokenState::Expired] {
        assert!(states.contains(&state), "{states:?}");
    }
    // The node that came in time may ask on when its token has ended, and an operator may not
    // unmake it by revoking the token.
    machine.clock.advance_ms(100 * 24 * 3_600 * 1_000);
    cluster.revoke_token(&used.id.to_string()).await.expect("revoked");
    assert_eq!(ask(&used, 1).await, JoinAnswer::Pending);
    // The next token made has the ended ones forgotten.
    let _ = token(&cluster, NewToken::default()).await;
    assert_eq!(cluster.tokens().await.expect("lists").len(), 1);
    assert!(reason(ask(&expired, 2).await).contains("not known"));
    for id in ["", "xyz", "0123456789abcdef", &used.id.to_string()] {
        let unknown = cluster.revoke_token(id).await;
        assert!(matches!(unknown, Err(RevokeTokenError::NoSuchToken { .. })), "{id}");
    }
}

#[tokio::test]
async fn of_two_nodes_with_one_token_at_the_same_time_one_wins() {
    for _ in 0..20 {
        let machine = Machine::new();
        let (left, right) = (machine.start().await, machine.start().await);
        let token = token(&left, NewToken::default()).await;
        let (first, second) = tokio::join!(
            left.join(peer(1), with_token(request("n", 1), &token, peer(1))),
            right.join(peer(2), with_token(request("n", 1), &token, peer(2))),
        );
        let answers = [&first, &second];
        let waiting = answers.iter().filter(|answer| ***answer == JoinAnswer::Pending).count();
        assert_eq!(waiting, 1, "{answers:?}");
        let refused = if first == JoinAnswer::Pending { second } else { first };
        assert!(reason(refused).contains("another node"));
        assert_eq!(left.nodes().await.expect("lists").len(), 1);
    }
}

#[tokio::test]
async fn cloned_machines_with_one_name_get_numbers() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    admit(&cluster, "localhost", 1).await;
    for byte in [2, 3] {
        let token = token(&cluster, NewToken::default()).await;
        let asked = with_token(request("localhost", 1), &token, peer(byte));
        assert_eq!(cluster.join(peer(byte), asked).await, JoinAnswer::Pending);
    }
    let token = token(&cluster, NewToken::default()).await;
    let asked = with_token(request("gateway", 1), &token, peer(4));
    assert_eq!(cluster.join(peer(4), asked).await, JoinAnswer::Pending);
    let names: Vec<String> =
        cluster.nodes().await.expect("lists").into_iter().map(|node| node.name).collect();
    for name in ["localhost", "localhost-2", "localhost-3", "gateway", "gateway-2"] {
        assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{name} in {names:?}");
    }
    let taken = Approval { name: Some("localhost".into()), ..Approval::default() };
    let refused = cluster.approve("localhost-2", taken).await.expect_err("refused");
    assert_eq!(refused.kind(), Kind::Conflict);
    let pending = Approval { name: Some("localhost-3".into()), ..Approval::default() };
    assert_eq!(
        cluster.approve("localhost-2", pending).await.expect_err("taken").kind(),
        Kind::Conflict
    );
    let fine = Approval { name: Some("b".into()), zone: Some("z".into()), is_staged: false };
    let layout = cluster.approve("localhost-2", fine).await.expect("approved");
    let node = layout.node_of_peer(peer(2)).expect("in the layout");
    assert_eq!((node.name.as_str(), node.zone.as_str()), ("b", "z"));
}

#[tokio::test]
async fn no_node_can_pose_as_another_by_its_name() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let victim = PeerKey([9; 32]);
    let token = token(&cluster, NewToken::default()).await;
    let asked = with_token(request(&victim.to_string(), 1), &token, peer(1));
    assert_eq!(cluster.join(peer(1), asked).await, JoinAnswer::Pending);
    let refused = cluster.approve(&victim.to_string(), Approval::default()).await;
    assert_eq!(refused.expect_err("no such node").kind(), Kind::NotFound);
}

#[tokio::test]
async fn rejected_nodes_are_sent_away_with_their_token() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let token = token(&cluster, NewToken::default()).await;
    let asked = with_token(request("n", 1), &token, peer(1));
    assert_eq!(cluster.join(peer(1), asked.clone()).await, JoinAnswer::Pending);
    let staged = Approval { is_staged: true, ..Approval::default() };
    cluster.approve("n", staged).await.expect("staged");
    assert_eq!(cluster.node("n").await.expect("found").status, NodeStatus::Staged);
    cluster.reject("n").await.expect("rejected");
    assert_eq!(cluster.staged().expect("reads"), None);
    assert!(reason(cluster.join(peer(1), asked).await).contains("rejected"));
    assert_eq!(cluster.reject("n").await.expect_err("gone").kind(), Kind::NotFound);
    admit(&cluster, "m", 2).await;
    assert!(matches!(cluster.reject("m").await, Err(RejectError::NotPending { .. })));
    assert!(matches!(cluster.reject("gateway").await, Err(RejectError::NotPending { .. })));
}

#[tokio::test]
async fn a_waiting_node_may_bring_a_better_token() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let plain = token(&cluster, NewToken::default()).await;
    let asked = with_token(request("n", 1), &plain, peer(1));
    assert_eq!(cluster.join(peer(1), asked).await, JoinAnswer::Pending);
    let new = NewToken { zone: Some("z".into()), is_approved: true, ..NewToken::default() };
    let better = token(&cluster, new).await;
    let asked = with_token(request("n", 1), &better, peer(1));
    let layout = admitted(&cluster, cluster.join(peer(1), asked).await);
    let node = layout.node_of_peer(peer(1)).expect("in the layout");
    assert_eq!((node.name.as_str(), node.zone.as_str()), ("n", "z"));
}

#[tokio::test]
async fn tokens_keep_no_secret_and_have_limits() {
    let machine = Machine::new();
    let cluster = machine.start().await;
    let made = cluster.create_token(NewToken::default()).await.expect("made");
    assert_eq!(made.report.expires.0 - made.report.created.0, 24 * 3_600 * 1_000);
    let row = machine.meta.get(Table::Ctl, &ctl::join_token(made.token.id));
    let row = row.expect("reads").expect("is kept");
    assert!(!row.windows(32).any(|window| window == made.token.secret));
    assert!(row.windows(32).any(|window| window == join::proof_key(&made.token.secret)));
    for ttl in [Duration::ZERO, limits::TOKEN_TTL_MAX + Duration::from_secs(1)] {
        let refused =
            cluster.create_token(NewToken { ttl: Some(ttl), ..NewToken::default() }).await;
        assert!(matches!(refused, Err(CreateTokenError::InvalidTtl { .. })));
    }
    let bad_zone = NewToken { zone: Some("a b".into()), ..NewToken::default() };
    assert_eq!(cluster.create_token(bad_zone).await.expect_err("bad").kind(), Kind::Invalid);
    for _ in 1..limits::TOKENS_MAX {
        cluster.create_token(NewToken::default()).await.expect("made");
    }
    let too_many = cluster.create_token(NewToken::default()).await.expect_err("too many");
    assert!(matches!(too_many, CreateTokenError::TooMany { .. }));
    assert_eq!(too_many.kind(), Kind::Conflict);
    machine.clock.advance_ms(24 * 3_600 * 1_000);
    cluster.create_token(NewToken::default()).await.expect("the others have ended");
}

#[tokio::test]
async fn tokens_need_a_mesh_and_an_address() {
    let machine = Machine::new();
    let off = gateway_layout::Cluster::open(gateway_layout::ClusterDeps {
        gateway: None,
        ..machine.deps()
    });
    let off = off.await.expect("opens");
    let refused = off.create_token(NewToken::default()).await;
    assert!(matches!(refused, Err(CreateTokenError::NoMesh)));
    assert_eq!(off.layout().epoch.0, 0, "nothing was committed");
    let deaf = machine.start().await;
    deaf.set_addresses(Vec::new());
    let refused = deaf.create_token(NewToken::default()).await;
    assert!(matches!(refused, Err(CreateTokenError::NoAddress)));
    deaf.set_addresses(vec!["/dns/x/tcp/1".to_owned(); 1_000]);
    let text = deaf.create_token(NewToken::default()).await.expect("made").token.to_string();
    assert!(text.parse::<node_proto::JoinToken>().is_ok(), "it is not too long to be read");
}

#[tokio::test]
async fn nodes_that_wait_are_bounded() {
    let machine = Machine::new();
    let cluster = machine.start().await;
    for number in 0..limits::PENDING_NODES_MAX {
        let token = token(&cluster, NewToken::default()).await;
        let peer = numbered_peer(number);
        let asked = with_token(request("n", 1), &token, peer);
        assert_eq!(cluster.join(peer, asked).await, JoinAnswer::Pending);
    }
    machine.clock.advance_ms(24 * 3_600 * 1_000);
    let more = token(&cluster, NewToken::default()).await;
    let late = numbered_peer(limits::PENDING_NODES_MAX);
    let asked = with_token(request("n", 1), &more, late);
    assert_eq!(cluster.join(late, asked.clone()).await, JoinAnswer::Busy);
    assert_eq!(cluster.tokens().await.expect("lists")[0].state, TokenState::Open);
    cluster.reject("n-7").await.expect("rejected");
    assert_eq!(cluster.join(late, asked).await, JoinAnswer::Pending);
    assert!(cluster.node("n-7").await.is_ok(), "the name was free again");
}

fn numbered_peer(number: usize) -> PeerKey {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    PeerKey(key)
}
