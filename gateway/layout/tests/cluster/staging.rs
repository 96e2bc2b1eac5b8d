//! Staged changes: previews, floors, applying and reverting.

use std::collections::HashMap;

use gateway_layout::{
    Apply, ApplyError, Approval, Change, DeviceUsage, Kind, NewToken, PreviewError, RevertError,
    StageError, Verdict, limits,
};
use node_proto::{DeviceId, Epoch, JoinAnswer, NodeId, NodeState};

use super::{Machine, TIB, admit, peer, request, token, with_token};

fn at(expected: Epoch) -> Apply {
    Apply { expected, ..Apply::default() }
}

#[tokio::test]
async fn staged_nodes_enter_together_in_one_epoch() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    for byte in 1..=2 {
        let token = token(&cluster, NewToken::default()).await;
        let asked = with_token(request(&format!("n{byte}"), 2), &token, peer(byte));
        assert_eq!(cluster.join(peer(byte), asked).await, JoinAnswer::Pending);
        let staged = Approval { is_staged: true, ..Approval::default() };
        cluster.approve(&format!("n{byte}"), staged).await.expect("staged");
    }
    let before = cluster.layout();
    assert_eq!(before.devices.len(), 6, "only staged");
    let usage: Vec<DeviceUsage> = (0..6)
        .map(|id| DeviceUsage {
            device: DeviceId(id),
            capacity_bytes: TIB,
            used_bytes: TIB / 2,
            is_up: true,
        })
        .collect();
    let preview = cluster.preview(&usage).await.expect("previews");
    assert_eq!((preview.base, preview.changes.len()), (before.epoch, 2));
    // Two drives of ten... each node is one domain with two drives, and a domain holds at most a
    // sixth: 2 * 1/6 of 3 TiB.
    assert!(preview.moved_bytes.abs_diff(TIB) < 100, "{}", preview.moved_bytes);
    assert_eq!(preview.verdict, Verdict::AboveFloor);

    // Staged changes survive a restart.
    let cluster = machine.start().await;
    let layout = cluster.apply(&Apply { usage, ..at(preview.base) }).await.expect("applied");
    assert_eq!(layout.epoch.0, before.epoch.0 + 1);
    assert_eq!((layout.nodes.len(), layout.devices.len()), (2, 10));
    assert_eq!(layout.devices, preview.layout.devices);
    assert_eq!(cluster.staged().expect("reads"), None);
    let nothing = cluster.apply(&at(layout.epoch)).await;
    assert!(matches!(nothing, Err(ApplyError::NothingStaged)));
    let asked = request("n1", 2);
    assert!(matches!(cluster.join(peer(1), asked).await, JoinAnswer::Admitted { .. }));
    let history = cluster.history(1).await.expect("reads");
    assert!(history[0].what.contains("n1") && history[0].what.contains("n2"), "{history:?}");
}

#[tokio::test]
async fn of_two_who_apply_the_same_epoch_one_wins() {
    let machine = Machine::new();
    let setup = machine.start_with_drives().await;
    admit(&setup, "n", 1).await;
    let zone = Some("z".to_owned());
    setup.stage(Change::SetZone { node: NodeId(1), zone }).await.expect("staged");
    let (left, right) = (machine.start().await, machine.start().await);
    let apply = at(left.layout().epoch);
    let (first, second) = tokio::join!(left.apply(&apply), right.apply(&apply));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let refused = first.as_ref().err().or(second.as_ref().err()).expect("one was refused");
    assert_eq!(refused.kind(), Kind::Conflict);
    assert_eq!(left.layout().epoch.0, apply.expected.0 + 1);
    assert_eq!(left.layout(), right.layout());
    assert!(left.layout().devices[6..].iter().all(|device| device.failure_domain == "z"));
}

#[tokio::test]
async fn what_was_looked_at_is_what_is_applied() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    admit(&cluster, "n", 1).await;
    let rename = |name: &str| Change::Rename { node: NodeId(1), name: name.to_owned() };
    cluster.stage(rename("m")).await.expect("staged");
    assert_eq!(cluster.stage(rename("m")).await.expect("once").changes.len(), 1);
    let looked_at = cluster.preview(&[]).await.expect("previews").base;
    admit(&cluster, "o", 2).await;
    let stale = cluster.apply(&at(looked_at)).await.expect_err("stale");
    assert!(matches!(stale, ApplyError::OtherEpoch { .. }), "{stale}");
    // A change that no longer fits is told, and can be discarded.
    let staged = cluster.stage(rename("o")).await;
    assert!(matches!(staged, Err(StageError::Plan(_))), "the name is taken");
    cluster.stage(rename("p")).await.expect("staged");
    admit(&cluster, "p", 3).await;
    let preview = cluster.preview(&[]).await.expect_err("does not fit any more");
    assert!(matches!(preview, PreviewError::Plan(_)) && preview.kind() == Kind::Conflict);
    let refused = cluster.apply(&at(cluster.layout().epoch)).await;
    assert!(matches!(refused, Err(ApplyError::Plan(_))));
    assert!(cluster.discard().await.expect("discards"));
    assert!(!cluster.discard().await.expect("discards"));
    assert!(cluster.preview(&[]).await.expect("previews").changes.is_empty());
}

#[tokio::test]
async fn changes_below_the_floor_and_losses_need_force() {
    let machine = Machine::new();
    let cluster = machine.start().await;
    for byte in 1..=4 {
        admit(&cluster, &format!("n{byte}"), byte).await;
    }
    for node in [1, 2] {
        let zone = Some("same".to_owned());
        cluster.stage(Change::SetZone { node: NodeId(node), zone }).await.expect("staged");
    }
    let zone = Some("same".to_owned());
    cluster.stage(Change::SetZone { node: NodeId(3), zone }).await.expect("staged");
    let apply = at(cluster.layout().epoch);
    let refused = cluster.apply(&apply).await.expect_err("two domains are left");
    assert!(matches!(&refused, ApplyError::Refused { .. }), "{refused}");
    assert_eq!(refused.kind(), Kind::Refused);
    let forced = Apply { is_forced: true, ..apply };
    let layout = cluster.apply(&forced).await.expect("forced");
    // What is no worse than now needs no force.
    let rename = Change::Rename { node: NodeId(4), name: "m".to_owned() };
    cluster.stage(rename).await.expect("staged");
    cluster.apply(&at(layout.epoch)).await.expect("no worse");
}

#[tokio::test]
async fn nodes_leave_only_when_they_hold_nothing() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    admit(&cluster, "n", 1).await;
    let staged = cluster.stage(Change::RemoveNode { node: NodeId(1) }).await.expect("staged");
    assert_eq!(staged.leaving, [NodeId(1)]);
    let told = |epoch, held| Apply { held_shards: HashMap::from([(NodeId(1), held)]), ..at(epoch) };
    let epoch = cluster.layout().epoch;
    let active = cluster.apply(&told(epoch, 0)).await;
    assert!(matches!(active, Err(ApplyError::HoldsShards { .. })), "it may get some any time");
    let epoch = cluster.drain("n", &[], false).await.expect("drained").epoch;
    for apply in [told(epoch, 1), at(epoch)] {
        let holds = cluster.apply(&apply).await;
        assert!(matches!(holds, Err(ApplyError::HoldsShards { .. })), "{holds:?}");
    }
    let layout = cluster.apply(&told(epoch, 0)).await.expect("applied");
    assert!(layout.nodes.is_empty());
    assert!(matches!(cluster.join(peer(1), request("n", 2)).await, JoinAnswer::Refused { .. }));
}

#[tokio::test]
async fn an_earlier_layout_is_staged_as_far_as_there_is_a_way() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    admit(&cluster, "left", 1).await;
    admit(&cluster, "stays", 2).await;
    let target = cluster.layout().epoch;
    let none = cluster.revert(target).await;
    assert!(matches!(none, Err(RevertError::NoDifference { .. })), "{none:?}");
    let unknown = cluster.revert(Epoch(99)).await.expect_err("unknown");
    assert_eq!(unknown.kind(), Kind::NotFound);

    let zone = Some("z".to_owned());
    for node in [NodeId(2), NodeId::LOCAL] {
        let zone = zone.clone();
        cluster.stage(Change::SetZone { node, zone }).await.expect("staged");
    }
    let rename = Change::Rename { node: NodeId(2), name: "other".to_owned() };
    cluster.stage(rename).await.expect("staged");
    let busy = cluster.revert(target).await;
    assert!(matches!(busy, Err(RevertError::StagedAlready)));
    let forced = Apply { is_forced: true, ..at(cluster.layout().epoch) };
    cluster.apply(&forced).await.expect("applied");
    cluster.retire("left", 0, true).await.expect("retired");
    admit(&cluster, "came", 3).await;

    let reverted = cluster.revert(target).await.expect("staged");
    let notes = reverted.notes.join("\n");
    assert!(notes.contains("left was retired since"), "{notes}");
    assert!(notes.contains("came came since"), "{notes}");
    let state = NodeState::Draining;
    assert!(reverted.staged.changes.contains(&Change::SetState { node: NodeId(3), state }));
    let forced = Apply { is_forced: true, ..at(cluster.layout().epoch) };
    let layout = cluster.apply(&forced).await.expect("applied");
    let node = layout.node(NodeId(2)).expect("it stayed");
    assert_eq!((node.name.as_str(), node.zone.as_str()), ("stays", "stays"));
    assert_eq!(layout.devices[0].failure_domain, "drive-0");
    assert!(layout.is_draining(layout.devices.last().expect("of the node that came").id));
}

#[tokio::test]
async fn history_and_staged_changes_are_bounded() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    admit(&cluster, "n", 1).await;
    for turn in 0..limits::REVISIONS_MAX / 2 + 10 {
        if turn % 2 == 0 {
            cluster.drain("n", &[], true).await.expect("drained");
        }
        cluster.activate("n").await.expect("activated");
    }
    for turn in 0..limits::REVISIONS_MAX / 2 {
        cluster.drain("n", &[], true).await.unwrap_or_else(|error| panic!("{turn}: {error}"));
        cluster.activate("n").await.expect("activated");
    }
    let all = cluster.history(usize::MAX).await.expect("reads");
    assert_eq!(all.len() as u64, limits::REVISIONS_MAX);
    assert_eq!(all[0].epoch, cluster.layout().epoch);
    assert!(all.windows(2).all(|pair| pair[0].epoch.0 == pair[1].epoch.0 + 1));
    let oldest = all.last().expect("some").epoch;
    let forgotten = cluster.revert(Epoch(oldest.0 - 1)).await;
    assert!(matches!(forgotten, Err(RevertError::NoSuchEpoch { .. })));
    for index in 0..limits::STAGED_CHANGES_MAX {
        let change = Change::Rename { node: NodeId(1), name: format!("n{index}") };
        cluster.stage(change).await.expect("staged");
    }
    let more = Change::Rename { node: NodeId(1), name: "more".to_owned() };
    let refused = cluster.stage(more).await.expect_err("too many");
    assert!(matches!(refused, StageError::TooMany { .. }));
}
