//! Layout changes that are looked at before they are applied, and the way back.
//!
//! Staged changes are kept as changes, not as a layout: when the layout moves on, they are what
//! they were, and the preview shows what they do now. Applying names the epoch that was looked at.

use std::{collections::HashMap, sync::Arc};

use gateway_meta::{
    Guard, KeyRange, Op, Table,
    key::ctl,
    record::{LayoutChange, LayoutRevisionRecord, Record, StagedLayoutRecord},
};
use node_proto::{Epoch, Layout, LayoutNode, NodeId, NodeState, UnixMillis};

use crate::{
    cluster::{Cluster, Current},
    error::{ApplyError, PreviewError, RevertError, StageError, StoreError},
    forecast::{DeviceUsage, Preview},
    limits::{REVISIONS_MAX, STAGED_CHANGES_MAX},
    plan::{Planned, Records, plan},
    rows::{Stored, delete, put, unchanged},
};

/// Changes that wait to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The layout when the last of them was staged.
    pub base: Epoch,
    /// When the last of them was staged.
    pub staged_at: UnixMillis,
    /// In the order they are applied in.
    pub changes: Vec<LayoutChange>,
    /// The nodes among them that leave: what they hold is to be told to [`Cluster::apply`].
    pub leaving: Vec<NodeId>,
}

/// How staged changes are applied.
#[derive(Clone, Debug, Default)]
pub struct Apply {
    /// The epoch of the layout that the operator looked at.
    pub expected: Epoch,
    /// How full devices are.
    pub usage: Vec<DeviceUsage>,
    /// How many shards metadata still names on each node that leaves. One that is not told counts
    /// as holding some.
    pub held_shards: HashMap<NodeId, u64>,
    /// Apply it below the floor too, and give up what leaving nodes hold.
    pub is_forced: bool,
}

/// What staging an earlier layout came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverted {
    /// What is staged now.
    pub staged: Staged,
    /// What of the earlier layout cannot be had again, in words.
    pub notes: Vec<String>,
}

/// One epoch of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The epoch.
    pub epoch: Epoch,
    /// When it began.
    pub changed_at: UnixMillis,
    /// What the change was, in words.
    pub what: String,
    /// The layout of this epoch.
    pub layout: Layout,
}

fn decode_revision(epoch: Epoch, row: &[u8]) -> Result<Revision, StoreError> {
    let LayoutRevisionRecord { changed_at, what, layout } = LayoutRevisionRecord::decode(row)?;
    Ok(Revision { epoch, changed_at, what, layout: Layout::decode(&layout)? })
}

impl Cluster {
    fn stored_stage(&self) -> Result<Option<Stored<StagedLayoutRecord>>, StoreError> {
        self.read(&ctl::staged_layout())
    }

    pub(crate) fn staged_changes(&self) -> Result<Vec<LayoutChange>, StoreError> {
        Ok(self.stored_stage()?.map_or_else(Vec::new, |stored| stored.record.changes))
    }

    /// What is staged, if anything is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn staged(&self) -> Result<Option<Staged>, StoreError> {
        Ok(self.stored_stage()?.map(|stored| Staged::new(stored.record)))
    }

    /// Adds a change to what is staged.
    ///
    /// # Errors
    /// [`StageError`]; nothing was staged then, unless the store does not know.
    pub async fn stage(&self, change: LayoutChange) -> Result<Staged, StageError> {
        let _exclusive = self.exclusive().await;
        let before = self.refresh()?;
        let records = self.known().await?.records;
        self.stage_more(&before, vec![change], &records, Vec::new(), Vec::new()).await
    }

    /// Checks that all of what is staged still fits, and keeps it.
    pub(crate) async fn stage_more(
        &self,
        before: &Current,
        more: Vec<LayoutChange>,
        records: &Records,
        mut guards: Vec<Guard>,
        mut ops: Vec<Op>,
    ) -> Result<Staged, StageError> {
        let stored = self.stored_stage()?;
        let row = stored.as_ref().map(|stored| stored.row.clone());
        let mut changes = stored.map_or_else(Vec::new, |stored| stored.record.changes);
        changes.extend(
            more.into_iter().filter(|change| !changes.contains(change)).collect::<Vec<_>>(),
        );
        if changes.len() > STAGED_CHANGES_MAX {
            return Err(StageError::TooMany { limit: STAGED_CHANGES_MAX });
        }
        plan(&before.layout, self.unused_ids(&before.layout)?, &changes, records)?;
        let base = before.layout.epoch;
        let record = StagedLayoutRecord { base, staged_at: self.now(), changes };
        guards.push(unchanged(ctl::staged_layout(), row.as_ref()));
        ops.push(put(ctl::staged_layout(), &record));
        if !self.commit(guards, ops).await? {
            return Err(StageError::Conflict);
        }
        Ok(Staged::new(record))
    }

    /// What takes changes that make no sense any more out of what is staged, if there are any.
    pub(crate) fn unstage(
        &self,
        is_void: impl Fn(&LayoutChange) -> bool,
    ) -> Result<Option<(Guard, Op)>, StoreError> {
        let Some(stored) = self.stored_stage()? else { return Ok(None) };
        let mut record = stored.record;
        let len = record.changes.len();
        record.changes.retain(|change| !is_void(change));
        let op = match record.changes.len() {
            same if same == len => return Ok(None),
            0 => delete(ctl::staged_layout()),
            _ => put(ctl::staged_layout(), &record),
        };
        Ok(Some((unchanged(ctl::staged_layout(), Some(&stored.row)), op)))
    }

    /// Forgets what is staged. Whether there was something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn discard(&self) -> Result<bool, StoreError> {
        let _exclusive = self.exclusive().await;
        let had_some = self.stored_stage()?.is_some();
        self.commit(Vec::new(), vec![delete(ctl::staged_layout())]).await?;
        Ok(had_some)
    }

    /// What applying the staged changes would do now. Without any: what moves because of changes
    /// already applied.
    ///
    /// # Errors
    /// [`PreviewError`].
    pub async fn preview(&self, usage: &[DeviceUsage]) -> Result<Preview, PreviewError> {
        let before = self.refresh()?;
        let ids = self.unused_ids(&before.layout)?;
        let changes = self.staged_changes()?;
        let planned = plan(&before.layout, ids, &changes, &self.known().await?.records)?;
        Ok(self.forecast(&before.layout, &planned, usage))
    }

    pub(crate) fn forecast(
        &self,
        before: &Layout,
        planned: &Planned,
        usage: &[DeviceUsage],
    ) -> Preview {
        let unavailability = self.unavailability();
        let settings = &self.deps().settings;
        let words = planned.words.clone();
        crate::forecast::forecast(before, &planned.layout, words, usage, &unavailability, settings)
    }

    /// Applies what is staged, as one new epoch.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing was changed then, unless the store does not know.
    pub async fn apply(&self, apply: &Apply) -> Result<Arc<Layout>, ApplyError> {
        let _exclusive = self.exclusive().await;
        let before = self.refresh()?;
        let current = before.layout.epoch;
        if current != apply.expected {
            return Err(ApplyError::OtherEpoch { expected: apply.expected, current });
        }
        let stored = self.stored_stage()?.ok_or(ApplyError::NothingStaged)?;
        let known = self.known().await?;
        let ids = self.unused_ids(&before.layout)?;
        let planned = plan(&before.layout, ids, &stored.record.changes, &known.records)?;
        if !apply.is_forced {
            for node in planned.removed.iter().map(|node| node.id) {
                let held_shards = apply.held_shards.get(&node).copied().unwrap_or(u64::MAX);
                if held_shards > 0 || !is_draining(&before.layout, node) {
                    return Err(ApplyError::HoldsShards { node, held_shards });
                }
            }
            let preview = self.forecast(&before.layout, &planned, &apply.usage);
            if preview.verdict.is_refused() {
                return Err(ApplyError::Refused { preview: Box::new(preview) });
            }
        }
        let guards = vec![unchanged(ctl::staged_layout(), Some(&stored.row))];
        let ops = vec![delete(ctl::staged_layout())];
        Ok(self.commit_plan(&before, planned, &known, guards, ops).await?)
    }

    /// The last `limit` epochs, newest first; at most [`REVISIONS_MAX`] are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, limit: usize) -> Result<Vec<Revision>, StoreError> {
        let limit = limit.min(usize::try_from(REVISIONS_MAX).unwrap_or(usize::MAX));
        let end = Epoch(self.refresh()?.layout.epoch.0 + 1);
        let start = Epoch(end.0.saturating_sub(limit as u64));
        let range =
            KeyRange { start: ctl::layout_revision(start), end: Some(ctl::layout_revision(end)) };
        let rows = self.deps().meta.scan(Table::Ctl, range, limit).await?;
        let prefix_len = ctl::layout_revision_prefix().len();
        let decode = |(key, row): &(bytes::Bytes, bytes::Bytes)| {
            let epoch = key[prefix_len..].try_into().map(u64::from_be_bytes);
            let epoch = epoch.map_err(|_| StoreError::Corrupt {
                reason: "a layout revision row has a damaged key".to_owned(),
            })?;
            decode_revision(Epoch(epoch), row)
        };
        rows.iter().rev().map(decode).collect()
    }

    /// Stages what leads back to the layout of an earlier epoch, as far as there is a way: nodes
    /// that were retired since do not come back, and nodes that came since are only drained.
    ///
    /// # Errors
    /// [`RevertError`]; nothing was staged then, unless the store does not know.
    pub async fn revert(&self, epoch: Epoch) -> Result<Reverted, RevertError> {
        let _exclusive = self.exclusive().await;
        let before = self.refresh()?;
        let row = self.deps().meta.get(Table::Ctl, &ctl::layout_revision(epoch));
        let row = row.map_err(StoreError::from)?.ok_or(RevertError::NoSuchEpoch { epoch })?;
        if self.stored_stage()?.is_some() {
            return Err(RevertError::StagedAlready);
        }
        let target = decode_revision(epoch, &row)?.layout;
        let (changes, notes) = way_back(&before.layout, &target);
        if changes.is_empty() {
            return Err(RevertError::NoDifference { epoch });
        }
        let records = self.known().await?.records;
        let staged = self.stage_more(&before, changes, &records, Vec::new(), Vec::new()).await?;
        Ok(Reverted { staged, notes })
    }
}

impl Staged {
    fn new(record: StagedLayoutRecord) -> Self {
        let StagedLayoutRecord { base, staged_at, changes } = record;
        let leaving = |change: &LayoutChange| match change {
            LayoutChange::RemoveNode { node } => Some(*node),
            _ => None,
        };
        let leaving = changes.iter().filter_map(leaving).collect();
        Self { base, staged_at, changes, leaving }
    }
}

fn is_draining(layout: &Layout, node: NodeId) -> bool {
    layout.node(node).is_some_and(|node| node.state == NodeState::Draining)
}

/// The changes that make `now` like `target`, and what stays different.
fn way_back(now: &Layout, target: &Layout) -> (Vec<LayoutChange>, Vec<String>) {
    let (mut changes, mut notes) = (Vec::new(), Vec::new());
    for old in target.nodes.iter().filter(|old| old.id != NodeId::LOCAL) {
        match now.node(old.id) {
            Some(node) => changes.extend(differences(node, old)),
            None => notes.push(format!("node {} was retired since and cannot come back", old.name)),
        }
    }
    for new in now.nodes.iter().filter(|node| node.id != NodeId::LOCAL) {
        if target.node(new.id).is_none() {
            notes.push(format!("node {} came since: drain it, then retire it", new.name));
            if new.state == NodeState::Active {
                let state = NodeState::Draining;
                changes.push(LayoutChange::SetState { node: new.id, state });
            }
        }
    }
    let local = |layout: &Layout| layout.node(NodeId::LOCAL).cloned();
    if let Some(node) = local(now) {
        let unnamed = LayoutNode { zone: String::new(), state: NodeState::Active, ..node.clone() };
        changes.extend(differences(&node, &local(target).unwrap_or(unnamed)));
    }
    let added = now.devices.iter().filter(|device| {
        let is_old_node = device.node == NodeId::LOCAL || target.node(device.node).is_some();
        is_old_node && target.device(device.id).is_none()
    });
    let added = added.count();
    if added > 0 {
        notes.push(format!("{added} drives were added since and stay"));
    }
    (changes, notes)
}

/// What makes `node` like `old`.
fn differences(node: &LayoutNode, old: &LayoutNode) -> Vec<LayoutChange> {
    let id = node.id;
    let mut changes = Vec::new();
    if node.name != old.name {
        changes.push(LayoutChange::Rename { node: id, name: old.name.clone() });
    }
    if node.zone != old.zone {
        let zone = (!old.zone.is_empty()).then(|| old.zone.clone());
        changes.push(LayoutChange::SetZone { node: id, zone });
    }
    if node.state != old.state {
        changes.push(LayoutChange::SetState { node: id, state: old.state });
    }
    changes
}
