//! One walk through a bucket: its versions, then its uploads.
//!
//! *Crash consistency:* the place is recorded from time to time, behind what was acted on; a restart
//! goes on from there.

use std::collections::VecDeque;

use gateway_meta::{
    BucketId, MetaSnapshot, Table,
    key::ctl,
    record::{BucketRecord, LifecyclePlace, LifecycleProgressRecord, LifecycleStage, Record},
};
use node_proto::UnixMillis;

use super::{
    act::{InForce, batches},
    rules::Day,
    walk::{DoomedKey, DoomedUpload},
};
use crate::{Fault, engine::Engine, publish::bucket_exists};

/// How a bucket is cut into pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Rows of one page. 1,000; chosen: a few milliseconds of one thread.
    pub(super) page_rows: u64,
    /// Rows of a key behind which a full page may end within it. 1,000; chosen: nearly all keys
    /// have fewer and are judged in one piece.
    pub(super) key_rows: u64,
    /// Pages between records of the place. 16; chosen: a restart repeats some sixteen thousand
    /// rows, and a pass over a million writes its place sixty times.
    pub(super) pages_per_record: u32,
}

impl Default for Cut {
    fn default() -> Self {
        Self { page_rows: 1000, key_rows: 1000, pages_per_record: 16 }
    }
}

/// Uploads aborted in one step. Chosen: each is a commit of its own.
const UPLOADS_PER_STEP: usize = 16;

/// A pass under way.
pub(super) struct Pass {
    pub(super) bucket: BucketId,
    pub(super) name: String,
    /// The place behind the last page read.
    progress: LifecycleProgressRecord,
    /// What of that page has not been acted on.
    doomed: VecDeque<Doom>,
    pages: u32,
}

/// What is acted on in one step.
enum Doom {
    Versions(Vec<DoomedKey>),
    Uploads(Vec<DoomedUpload>),
}

/// How a pass stands after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more.
    More,
    /// All of the bucket was seen.
    Through,
    /// The bucket, or its rules, are gone.
    Gone,
}

impl Engine {
    /// The pass that a bucket needs now, if any: one that was not finished, or another because a
    /// midnight has passed or its rules changed since the last began.
    pub(super) fn due_pass(
        &self,
        bucket: BucketId,
        name: String,
        rules: &[u8],
    ) -> Result<Option<Pass>, Fault> {
        let row = self.row(Table::Ctl, &ctl::lifecycle_progress(bucket))?;
        let last = row.and_then(|row| {
            let read = LifecycleProgressRecord::decode(&row);
            read.inspect_err(|error| self.damaged(bucket, error)).ok()
        });
        let progress = due_progress(last, crc(rules), self.lifecycle_day(), self.clock.now());
        Ok(progress.map(|progress| Pass {
            bucket,
            name,
            progress,
            doomed: VecDeque::new(),
            pages: 0,
        }))
    }

    /// Reads and judges a page, or acts on as much of the last one as fits a commit.
    pub(super) async fn step_pass(&self, pass: &mut Pass, cut: Cut) -> Result<Step, Fault> {
        let in_force = match self.rules_in_force(&pass.name, pass.bucket) {
            Ok(Some(in_force)) => in_force,
            Ok(None) => return Ok(Step::Gone),
            Err(fault @ Fault::Corrupt { .. }) => {
                // Nothing can be told until they are replaced. The other buckets have their turn.
                self.damaged(pass.bucket, &fault);
                return Ok(Step::Gone);
            }
            Err(fault) => return Err(fault),
        };
        match pass.doomed.pop_front() {
            None => self.read_page(pass, &in_force, cut).await?,
            Some(doom) => self.act(pass, doom).await?,
        }
        if !pass.doomed.is_empty() {
            return Ok(Step::More);
        }
        let is_through = pass.progress.stage == LifecycleStage::Done;
        if is_through || pass.pages.is_multiple_of(cut.pages_per_record) {
            self.record_place(&in_force, pass).await?;
        }
        Ok(if is_through { Step::Through } else { Step::More })
    }

    /// Acts on some of a page. What fails is tried again, except for damaged rows: their key is
    /// left to the next pass, and the others of the same commit are tried one by one.
    async fn act(&self, pass: &mut Pass, doom: Doom) -> Result<(), Fault> {
        let place = (pass.name.as_str(), pass.bucket);
        let outcome = match &doom {
            Doom::Versions(batch) => self.act_on_versions(place, batch.clone()).await,
            Doom::Uploads(batch) => self.act_on_uploads(place, batch.clone()).await,
        };
        match (outcome, doom) {
            (Ok(()), _) => Ok(()),
            (Err(Fault::Corrupt { .. }), Doom::Versions(batch)) if batch.len() > 1 => {
                let alone = batch.into_iter().rev().map(|doomed| Doom::Versions(vec![doomed]));
                alone.for_each(|doom| pass.doomed.push_front(doom));
                Ok(())
            }
            (Err(fault @ Fault::Corrupt { .. }), _) => {
                self.damaged(pass.bucket, &fault);
                Ok(())
            }
            (Err(fault), doom) => {
                pass.doomed.push_front(doom);
                Err(fault)
            }
        }
    }

    fn damaged(&self, BucketId(bucket): BucketId, error: &dyn std::fmt::Display) {
        tracing::error!(bucket, %error, "lifecycle met a damaged row and left its key alone");
        self.lifecycle.erred(1);
    }

    async fn read_page(&self, pass: &mut Pass, in_force: &InForce, cut: Cut) -> Result<(), Fault> {
        let judge = self.judge(in_force);
        pass.progress.stage = match pass.progress.stage.clone() {
            LifecycleStage::Versions(from) => {
                let read = move |snapshot: &dyn MetaSnapshot| judge.versions(snapshot, &from, cut);
                let page = self.on_snapshot(read).await?;
                self.note(page.examined, page.damaged);
                pass.doomed.extend(batches(page.doomed).into_iter().map(Doom::Versions));
                page.next.map_or(LifecycleStage::Uploads(Vec::new()), LifecycleStage::Versions)
            }
            LifecycleStage::Uploads(after) => {
                let rows_max = cut.page_rows;
                let read =
                    move |snapshot: &dyn MetaSnapshot| judge.uploads(snapshot, &after, rows_max);
                let page = self.on_snapshot(read).await?;
                self.note(page.examined, page.damaged);
                let batches = page.doomed.chunks(UPLOADS_PER_STEP);
                pass.doomed.extend(batches.map(|batch| Doom::Uploads(batch.to_vec())));
                page.next.map_or(LifecycleStage::Done, LifecycleStage::Uploads)
            }
            LifecycleStage::Done => LifecycleStage::Done,
        };
        pass.pages += 1;
        Ok(())
    }

    fn note(&self, examined: u64, damaged: u64) {
        self.lifecycle.examined(examined);
        if damaged > 0 {
            tracing::error!(damaged, "rows that lifecycle met cannot be understood");
            self.lifecycle.erred(damaged);
        }
    }

    async fn record_place(&self, in_force: &InForce, pass: &Pass) -> Result<(), Fault> {
        let bucket: &BucketRecord = &in_force.bucket;
        let put = gateway_meta::Op::Put {
            table: Table::Ctl,
            key: ctl::lifecycle_progress(pass.bucket),
            value: pass.progress.encode(),
        };
        // A bucket that is gone took its record along.
        self.commits.commit(vec![bucket_exists(bucket)], vec![put]).await.map(drop)
    }
}

impl Pass {
    /// When it began.
    pub(super) fn started(&self) -> UnixMillis {
        self.progress.started
    }
}

fn due_progress(
    last: Option<LifecycleProgressRecord>,
    rules_crc: u64,
    day: Day,
    now: UnixMillis,
) -> Option<LifecycleProgressRecord> {
    let anew = LifecycleProgressRecord {
        started: now,
        rules_crc,
        stage: LifecycleStage::Versions(LifecyclePlace::default()),
    };
    let Some(last) = last.filter(|last| last.rules_crc == rules_crc) else { return Some(anew) };
    if last.stage != LifecycleStage::Done {
        return Some(last);
    }
    (day.start(last.started) != day.start(now)).then_some(anew)
}

/// What tells one set of rules from another.
fn crc(rules: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, rules)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pass_is_due_once_a_day_and_after_changes_and_is_finished_first() {
        let day = Day::new(Duration::from_secs(1));
        let due = |last, crc, now| due_progress(last, crc, day, UnixMillis(now));
        let record = |started, stage| {
            let started = UnixMillis(started);
            Some(LifecycleProgressRecord { started, rules_crc: 7, stage })
        };
        let start = || LifecycleStage::Versions(LifecyclePlace::default());
        assert_eq!(due(None, 7, 1500), record(1500, start()));
        let done = || record(1500, LifecycleStage::Done);
        assert_eq!(due(done(), 7, 1999), None);
        assert_eq!(due(done(), 7, 2000), record(2000, start()));
        assert_eq!(due(done(), 7, 900), record(900, start()));
        let changed = due(done(), 8, 1600).unwrap();
        assert_eq!((changed.started, changed.rules_crc), (UnixMillis(1600), 8));
        let half = record(1500, LifecycleStage::Uploads(b"u".to_vec()));
        assert_eq!(due(half.clone(), 7, 99_000), half);
        assert_eq!(due(half, 8, 99_000).unwrap().stage, start());
    }
}
