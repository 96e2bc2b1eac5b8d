//! What operators do with nodes: let in, send away, empty, take out.
//!
//! A node is named by its name or its peer id. A text that is a peer id is never taken for a name,
//! so that no node can pose as another one.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use gateway_meta::{
    Guard, Op,
    key::ctl,
    record::{LayoutChange, Membership, NodeRecord, TokenRecord},
};
use node_proto::{Layout, LayoutNode, NodeId, NodeState, PeerKey};

use crate::{
    cluster::{Cluster, Current, NextLayout},
    error::{
        ApproveError, ChangeNodeError, CommitLayoutError, NodeError, RejectError, RetireError,
        StoreError,
    },
    forecast::DeviceUsage,
    local::LOCAL_NAME,
    names::{validate_node_name, validate_zone},
    plan::{PlanError, Planned, Records, plan},
    rows::{Stored, delete, put, unchanged},
};

/// How a node is approved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// Only stage the change.
    pub is_staged: bool,
    /// What to call the node, whatever it was to be called.
    pub name: Option<String>,
    /// Its zone, whatever its token says.
    pub zone: Option<String>,
}

/// All nodes as they were read, and their rows for guards.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) records: Records,
    rows: HashMap<PeerKey, Bytes>,
}

/// What an operator means by a text.
enum Found {
    Local,
    Known { peer: PeerKey, stored: Box<Stored<NodeRecord>> },
}

impl Cluster {
    /// The id in the layout of a node, [`NodeId::LOCAL`] included: for changes to be staged.
    ///
    /// # Errors
    /// [`ChangeNodeError::Node`] or [`ChangeNodeError::NotMember`].
    pub async fn member_id(&self, node: &str) -> Result<NodeId, ChangeNodeError> {
        match self.find(node).await? {
            Found::Local => Ok(NodeId::LOCAL),
            Found::Known { stored, .. } => match stored.record.membership {
                Membership::Member { node } => Ok(node),
                _ => Err(ChangeNodeError::NotMember { node: node.to_owned() }),
            },
        }
    }

    /// Lets a node that waits into the layout, at once or with what is staged. Answers the layout
    /// as it is then.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing was changed then, unless the store does not know.
    pub async fn approve(
        &self,
        node: &str,
        approval: Approval,
    ) -> Result<Arc<Layout>, ApproveError> {
        approval.name.as_deref().map_or(Ok(()), validate_node_name)?;
        approval.zone.as_deref().map_or(Ok(()), validate_zone)?;
        let _exclusive = self.exclusive().await;
        let not_pending = || ApproveError::NotPending { node: node.to_owned() };
        let Found::Known { peer, stored } = self.find(node).await? else {
            return Err(not_pending());
        };
        let Membership::Pending { .. } = stored.record.membership else {
            return Err(not_pending());
        };
        let mut record = stored.record;
        record.name = approval.name.unwrap_or(record.name);
        record.zone = approval.zone.or(record.zone);
        let before = self.refresh()?;
        let change = LayoutChange::AddNode { peer };
        let mut guards = vec![unchanged(ctl::node(peer), Some(&stored.row))];
        let mut known = self.known().await?;
        let is_other = |(other, known): (&PeerKey, &NodeRecord)| {
            *other != peer && is_pending(known) && known.name == record.name
        };
        if known.records.iter().any(is_other) {
            return Err(PlanError::NameTaken { name: record.name }.into());
        }
        known.records.insert(peer, record.clone());
        if approval.is_staged {
            let ops = vec![put(ctl::node(peer), &record)];
            self.stage_more(&before, vec![change], &known.records, guards, ops).await?;
            return Ok(before.layout);
        }
        let ids = self.unused_ids(&before.layout)?;
        let planned = plan(&before.layout, ids, std::slice::from_ref(&change), &known.records)?;
        let mut ops = Vec::new();
        if let Some((guard, op)) = self.unstage(|staged| *staged == change)? {
            guards.push(guard);
            ops.push(op);
        }
        Ok(self.commit_plan(&before, planned, &known, guards, ops).await?)
    }

    /// Sends a node that waits away; its token is void from then on.
    ///
    /// # Errors
    /// [`RejectError`]; nothing was changed then, unless the store does not know.
    pub async fn reject(&self, node: &str) -> Result<(), RejectError> {
        let _exclusive = self.exclusive().await;
        let Found::Known { peer, stored } = self.find(node).await? else {
            return Err(RejectError::NotPending { node: node.to_owned() });
        };
        let Membership::Pending { .. } = stored.record.membership else {
            return Err(RejectError::NotPending { node: node.to_owned() });
        };
        let mut guards = vec![unchanged(ctl::node(peer), Some(&stored.row))];
        let mut ops = vec![delete(ctl::node(peer))];
        let token_key = ctl::join_token(stored.record.token);
        if let Some(token) = self.read::<TokenRecord>(&token_key)? {
            guards.push(unchanged(token_key.clone(), Some(&token.row)));
            ops.push(put(token_key, &TokenRecord { is_revoked: true, ..token.record }));
        }
        if let Some((guard, op)) = self.unstage(|c| *c == LayoutChange::AddNode { peer })? {
            guards.push(guard);
            ops.push(op);
        }
        if !self.commit(guards, ops).await? {
            return Err(RejectError::Conflict { node: node.to_owned() });
        }
        self.forget(peer);
        tracing::info!(%peer, node, "a node was rejected");
        Ok(())
    }

    /// Has a node emptied: it takes no new shards, and what it holds is moved elsewhere.
    ///
    /// # Errors
    /// [`ChangeNodeError`]; nothing was changed then, unless the store does not know.
    pub async fn drain(
        &self,
        node: &str,
        usage: &[DeviceUsage],
        is_forced: bool,
    ) -> Result<Arc<Layout>, ChangeNodeError> {
        self.set_node_state(node, NodeState::Draining, (!is_forced).then_some(usage)).await
    }

    /// Has a node take shards again.
    ///
    /// # Errors
    /// [`ChangeNodeError`]; nothing was changed then, unless the store does not know.
    pub async fn activate(&self, node: &str) -> Result<Arc<Layout>, ChangeNodeError> {
        self.set_node_state(node, NodeState::Active, None).await
    }

    /// Checks the forecast when `usage` is given. Changes nothing where nothing would change.
    async fn set_node_state(
        &self,
        node: &str,
        state: NodeState,
        usage: Option<&[DeviceUsage]>,
    ) -> Result<Arc<Layout>, ChangeNodeError> {
        let _exclusive = self.exclusive().await;
        let id = self.member_id(node).await?;
        let before = self.refresh()?;
        let ids = self.unused_ids(&before.layout)?;
        let known = Known::default();
        let change = LayoutChange::SetState { node: id, state };
        let planned = plan(&before.layout, ids, &[change], &known.records)?;
        if planned.layout == *before.layout {
            return Ok(before.layout);
        }
        if let Some(usage) = usage {
            let preview = self.forecast(&before.layout, &planned, usage);
            if preview.verdict.is_refused() {
                return Err(ChangeNodeError::Refused { preview: Box::new(preview) });
            }
        }
        Ok(self.commit_plan(&before, planned, &known, Vec::new(), Vec::new()).await?)
    }

    /// Takes a drained node out of the layout for ever. `held_shards` is how many shards metadata
    /// still names on its devices; `is_forced` gives them up, and needs no draining.
    ///
    /// # Errors
    /// [`RetireError`]; nothing was changed then, unless the store does not know.
    pub async fn retire(
        &self,
        node: &str,
        held_shards: u64,
        is_forced: bool,
    ) -> Result<Arc<Layout>, RetireError> {
        let _exclusive = self.exclusive().await;
        let id = match self.find(node).await? {
            Found::Local => NodeId::LOCAL,
            Found::Known { stored, .. } => match stored.record.membership {
                Membership::Member { node } => node,
                _ => return Err(RetireError::NotMember { node: node.to_owned() }),
            },
        };
        let before = self.refresh()?;
        let known = self.known().await?;
        let ids = self.unused_ids(&before.layout)?;
        let change = LayoutChange::RemoveNode { node: id };
        let planned = plan(&before.layout, ids, &[change], &known.records)?;
        let state = before.layout.node(id).map(|node| node.state);
        if !is_forced && state != Some(NodeState::Draining) {
            return Err(RetireError::NotDraining { node: node.to_owned() });
        }
        if !is_forced && held_shards > 0 {
            return Err(RetireError::HoldsShards { node: node.to_owned(), held_shards });
        }
        let (guards, ops) = self.unstage(|change| names_node(change, id))?.into_iter().unzip();
        Ok(self.commit_plan(&before, planned, &known, guards, ops).await?)
    }

    /// What an operator means: a node that is not retired.
    async fn find(&self, node: &str) -> Result<Found, NodeError> {
        let no_such_node = || NodeError::NoSuchNode { node: node.to_owned() };
        let layout = self.refresh()?.layout;
        let peer = match node.parse::<PeerKey>() {
            Ok(peer) if Some(peer) == self.deps().gateway => return Ok(Found::Local),
            Ok(peer) => Some(peer),
            Err(_) => match layout.nodes.iter().find(|member| member.name == node) {
                Some(LayoutNode { id: NodeId::LOCAL, .. }) => return Ok(Found::Local),
                Some(member) => member.peer,
                None if node == LOCAL_NAME && layout.node(NodeId::LOCAL).is_none() => {
                    return Ok(Found::Local);
                }
                None => self.known().await?.records.into_iter().find_map(|(peer, record)| {
                    (is_pending(&record) && record.name == node).then_some(peer)
                }),
            },
        };
        let peer = peer.ok_or_else(no_such_node)?;
        match self.node_record(peer)? {
            Some(stored) if !matches!(stored.record.membership, Membership::Retired { .. }) => {
                Ok(Found::Known { peer, stored: Box::new(stored) })
            }
            _ => Err(no_such_node()),
        }
    }

    pub(crate) async fn known(&self) -> Result<Known, StoreError> {
        let mut known = Known::default();
        for (peer, stored) in self.node_records().await? {
            known.rows.insert(peer, stored.row);
            known.records.insert(peer, stored.record);
        }
        Ok(known)
    }

    /// Commits a planned layout together with what became of nodes.
    pub(crate) async fn commit_plan(
        &self,
        before: &Current,
        planned: Planned,
        known: &Known,
        mut guards: Vec<Guard>,
        mut ops: Vec<Op>,
    ) -> Result<Arc<Layout>, CommitLayoutError> {
        let admitted =
            planned.admitted.iter().map(|(peer, node)| (*peer, Membership::Member { node: *node }));
        let since = self.now();
        let removed = planned
            .removed
            .iter()
            .filter_map(|node| Some((node.peer?, Membership::Retired { node: node.id, since })));
        let mut changed = Vec::new();
        for (peer, membership) in admitted.chain(removed) {
            let Some(record) = known.records.get(&peer) else { continue };
            let record = NodeRecord { membership, ..record.clone() };
            guards.push(unchanged(ctl::node(peer), known.rows.get(&peer)));
            ops.push(put(ctl::node(peer), &record));
            changed.push((peer, record));
        }
        let what = planned.words.join("; ");
        let next = NextLayout { layout: planned.layout, what, guards, ops };
        let layout = self.commit_layout(before, next).await?;
        for (peer, record) in &changed {
            match record.membership {
                Membership::Member { .. } => self.note_addresses(*peer, record),
                _ => self.forget(*peer),
            }
        }
        Ok(layout)
    }
}

/// Whether a change is about a node of the layout.
fn names_node(change: &LayoutChange, id: NodeId) -> bool {
    match change {
        LayoutChange::AddNode { .. } => false,
        LayoutChange::AddDrives { node }
        | LayoutChange::RemoveNode { node }
        | LayoutChange::SetZone { node, .. }
        | LayoutChange::SetState { node, .. }
        | LayoutChange::Rename { node, .. } => *node == id,
    }
}

pub(crate) fn is_pending(record: &NodeRecord) -> bool {
    matches!(record.membership, Membership::Pending { .. })
}
