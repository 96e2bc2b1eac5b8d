//! The memory of outcomes: which transaction ids were committed, and with what result.
//!
//! Invariants:
//! - the rows depend on the sequence of remembered outcomes alone, never on clocks, configuration
//!   or how batches were grouped;
//! - at least the last [`OUTCOMES_PER_GENERATION`] outcomes of all gateways together are known, at
//!   most twice as many;
//! - one row per outcome; forgetting a generation is one range delete.
//!
//! Rows of the `tx` table:
//!
//! | Key | Value |
//! | --- | --- |
//! | `n` | how many outcomes were ever remembered, `u64` big-endian |
//! | `o` · generation `u32` · incarnation `u64` · sequence `u64`, all big-endian | [`OutcomeRecord`] |
//!
//! Outcome `i` belongs to generation `i / OUTCOMES_PER_GENERATION`. The first outcome of a
//! generation forgets the last but one. Generations follow the order of commits and not the ids, so
//! a quiet gateway is not forgotten sooner than a busy one that shares the store.

use bytes::Bytes;

use crate::apply::{Change, View};
use crate::record::{OutcomeRecord, Record};
use crate::{CommitOutcome, KeyRange, ReadError, Table, TxId};

/// Outcomes per generation; part of the persisted format. Chosen: a retry comes within seconds, and
/// at the 16,000 commits/s of one store this is at least six of them, for 10 MB of rows.
pub(crate) const OUTCOMES_PER_GENERATION: u64 = 100_000;

const COUNT_KEY: &[u8] = b"n";

/// Where the memory stands. Cheap to copy, so that a group can be tried and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    remembered: u64,
    per_generation: u64,
}

impl Ledger {
    /// Reads where the memory of `view` stands.
    pub(crate) fn load(view: &impl View) -> Result<Self, ReadError> {
        let remembered = match view.get(Table::Tx, COUNT_KEY)? {
            None => 0,
            Some(value) => u64::from_be_bytes(value.as_ref().try_into().map_err(|_| {
                ReadError::Io { reason: format!("outcome count is {} bytes long", value.len()) }
            })?),
        };
        Ok(Self { remembered, per_generation: OUTCOMES_PER_GENERATION })
    }

    /// The first outcome of `txid`, if it is remembered.
    pub(crate) fn recall(
        &self,
        view: &impl View,
        txid: TxId,
    ) -> Result<Option<CommitOutcome>, ReadError> {
        let newest = self.generation();
        for generation in (newest.saturating_sub(1)..=newest).rev() {
            if let Some(value) = view.get(Table::Tx, &outcome_key(generation, txid))? {
                let record = OutcomeRecord::decode(&value)
                    .map_err(|error| ReadError::Io { reason: error.to_string() })?;
                return Ok(Some(record.into()));
            }
        }
        Ok(None)
    }

    /// Remembers an outcome. The group must also write [`Self::count_row`] once at its end.
    pub(crate) fn remember(&mut self, txid: TxId, outcome: CommitOutcome) -> Remembered {
        let generation = self.generation();
        let starts = self.remembered.is_multiple_of(self.per_generation);
        let forget = (starts && generation >= 2).then(|| Change::DeleteRange {
            table: Table::Tx,
            range: KeyRange::prefix(&outcome_prefix(generation - 2)),
        });
        self.remembered += 1;
        let row = Change::Put {
            table: Table::Tx,
            key: outcome_key(generation, txid),
            value: OutcomeRecord::from(outcome).encode(),
        };
        Remembered { row, forget }
    }

    /// The row that [`Self::load`] reads.
    pub(crate) fn count_row(&self) -> Change {
        Change::Put {
            table: Table::Tx,
            key: COUNT_KEY.to_vec(),
            value: Bytes::copy_from_slice(&self.remembered.to_be_bytes()),
        }
    }

    fn generation(&self) -> u32 {
        u32::try_from(self.remembered / self.per_generation)
            .expect("2^32 generations of outcomes outlast any store")
    }
}

/// What remembering one outcome changes.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) row: Change,
    pub(crate) forget: Option<Change>,
}

fn outcome_prefix(generation: u32) -> Vec<u8> {
    [&b"o"[..], &generation.to_be_bytes()].concat()
}

fn outcome_key(generation: u32, txid: TxId) -> Vec<u8> {
    [&b"o"[..], &generation.to_be_bytes(), &txid.incarnation.to_be_bytes(), &txid.seq.to_be_bytes()]
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Rows;

    const fn txid(seq: u64) -> TxId {
        TxId { incarnation: 0x0102_0304_0506_0708, seq }
    }

    /// Remembers the outcome of every id and keeps the rows.
    fn remember(rows: &mut Rows, per_generation: u64, seqs: std::ops::Range<u64>) -> Ledger {
        let mut ledger = Ledger { per_generation, ..Ledger::load(rows).unwrap() };
        for seq in seqs {
            let outcome = CommitOutcome::GuardFailed { guard_index: seq as usize };
            let Remembered { row, forget } = ledger.remember(txid(seq), outcome);
            forget.into_iter().for_each(|change| rows.change(change));
            rows.change(row);
        }
        rows.change(ledger.count_row());
        ledger
    }

    fn recalled(ledger: &Ledger, rows: &Rows) -> Vec<u64> {
        (0..100).filter(|seq| ledger.recall(rows, txid(*seq)).unwrap().is_some()).collect()
    }

    #[test]
    fn one_to_two_generations_are_known() {
        let mut rows = Rows::default();
        for count in 1..=40 {
            let ledger = remember(&mut rows, 4, count - 1..count);
            let first = (count / 4).saturating_sub(1) * 4;
            assert_eq!(recalled(&ledger, &rows), (first..count).collect::<Vec<_>>(), "{count}");
            let kept = crate::overlay::range_of(rows.table(Table::Tx), &KeyRange::all()).count();
            assert!(kept <= 9, "{kept} rows for two generations of four and a count");
        }
    }

    #[test]
    fn a_loaded_ledger_goes_on_where_it_stood() {
        let mut rows = Rows::default();
        let ledger = remember(&mut rows, OUTCOMES_PER_GENERATION, 0..5);
        assert_eq!(Ledger::load(&rows).unwrap(), ledger);
        assert_eq!(
            ledger.recall(&rows, txid(3)).unwrap(),
            Some(CommitOutcome::GuardFailed { guard_index: 3 })
        );
        assert_eq!(ledger.recall(&rows, TxId { incarnation: 1, seq: 3 }).unwrap(), None);
    }

    #[test]
    fn rows_have_golden_bytes() {
        let mut rows = Rows::default();
        remember(&mut rows, 2, 0..3);
        let found: Vec<(&[u8], &[u8])> = rows
            .table(Table::Tx)
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
            .collect();
        let id = b"\x01\x02\x03\x04\x05\x06\x07\x08";
        let key = |generation: u8, seq: u8| {
            [&b"o"[..], &[0, 0, 0, generation], id, &[0, 0, 0, 0, 0, 0, 0, seq]].concat()
        };
        let keys = [key(0, 0), key(0, 1), key(1, 2)];
        assert_eq!(
            found,
            [
                (&b"n"[..], &[0, 0, 0, 0, 0, 0, 0, 3][..]),
                (&keys[0], &[1, 1, 0]),
                (&keys[1], &[1, 1, 1]),
                (&keys[2], &[1, 1, 2]),
            ]
        );
    }

    #[test]
    fn damaged_rows_are_errors() {
        let mut rows = Rows::default();
        let put = |key: Vec<u8>| Change::Put { table: Table::Tx, key, value: Bytes::from("odd") };
        rows.change(put(outcome_key(0, txid(1))));
        Ledger::load(&rows).unwrap().recall(&rows, txid(1)).unwrap_err();
        rows.change(put(COUNT_KEY.to_vec()));
        Ledger::load(&rows).unwrap_err();
    }
}
