//! Changes that are decided but not yet written, laid over a state.
//!
//! Owns the view that later batches of a group are judged against. Invariant: reading through
//! [`Layered`] gives the same answers as reading the base after the changes were written to it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

use bytes::Bytes;

use crate::apply::{Change, View};
use crate::{KeyRange, ReadError, Table};

/// The changes of one group.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    tables: [TableOverlay; Table::ALL.len()],
}

#[derive(Debug, Default)]
struct TableOverlay {
    /// Rows put (`Some`) or deleted (`None`) behind all of `cleared`.
    rows: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// Ranges of the base that are gone.
    cleared: Vec<KeyRange>,
}

impl Overlay {
    /// Lays `change` over everything recorded before.
    pub(crate) fn record(&mut self, change: Change) {
        match change {
            Change::Put { table, key, value } => {
                self.tables[table as usize].rows.insert(key, Some(value));
            }
            Change::Delete { table, key } => {
                self.tables[table as usize].rows.insert(key, None);
            }
            Change::DeleteRange { table, range } => {
                let table = &mut self.tables[table as usize];
                let keys: Vec<_> =
                    range_of(&table.rows, &range).map(|(key, _)| key.clone()).collect();
                for key in keys {
                    table.rows.remove(&key);
                }
                table.cleared.push(range);
            }
        }
    }

    /// Keys of the rows put in `range`, ascending.
    pub(crate) fn put_keys<'a>(
        &'a self,
        table: Table,
        range: &'a KeyRange,
    ) -> impl DoubleEndedIterator<Item = &'a Vec<u8>> {
        self.tables[table as usize]
            .in_range(range)
            .filter_map(|(key, value)| value.as_ref().map(|_| key))
    }
}

impl TableOverlay {
    fn in_range<'a>(
        &'a self,
        range: &'a KeyRange,
    ) -> impl DoubleEndedIterator<Item = (&'a Vec<u8>, &'a Option<Bytes>)> {
        range_of(&self.rows, range)
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        self.cleared.iter().any(|range| range.contains(key))
    }
}

/// The rows of a map that lie in `range`.
pub(crate) fn range_of<'a, K: Borrow<[u8]> + Ord, V>(
    rows: &'a BTreeMap<K, V>,
    range: &KeyRange,
) -> btree_map::Range<'a, K, V> {
    let start = range.start.as_slice();
    let end = match &range.end {
        // A map panics on bounds that cross.
        Some(_) if range.is_void() => Bound::Excluded(start),
        Some(end) => Bound::Excluded(end.as_slice()),
        None => Bound::Unbounded,
    };
    rows.range::<[u8], _>((Bound::Included(start), end))
}

/// `base` as it will be once `overlay` is written.
pub(crate) struct Layered<'a, V> {
    pub(crate) base: &'a V,
    pub(crate) overlay: &'a Overlay,
}

impl<V: View> View for Layered<'_, V> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let changes = &self.overlay.tables[table as usize];
        match changes.rows.get(key) {
            Some(row) => Ok(row.clone()),
            None if changes.is_cleared(key) => Ok(None),
            None => self.base.get(table, key),
        }
    }

    fn first_key(&self, table: Table, range: &KeyRange) -> Result<Option<Vec<u8>>, ReadError> {
        let changes = &self.overlay.tables[table as usize];
        let put = self.overlay.put_keys(table, range).next();
        let mut rest = range.clone();
        while let Some(key) = self.base.first_key(table, &rest)? {
            if put.is_some_and(|put| *put <= key) {
                break;
            }
            if let Some(cleared) = changes.cleared.iter().find(|cleared| cleared.contains(&key)) {
                let Some(end) = &cleared.end else { break };
                rest.start.clone_from(end);
            } else if matches!(changes.rows.get(&key), Some(None)) {
                rest.start = key;
                rest.start.push(0x00);
            } else {
                return Ok(Some(key));
            }
        }
        Ok(put.cloned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;
    use crate::memory::Rows;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        vec(0..3_u8, 0..4)
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        (key(), of(key())).prop_map(|(start, end)| KeyRange { start, end })
    }

    fn change() -> impl Strategy<Value = Change> {
        let table = Table::Cur;
        prop_oneof![
            4 => (key(), 0..9_u8).prop_map(move |(key, value)| {
                Change::Put { table, key, value: Bytes::from(vec![value]) }
            }),
            2 => key().prop_map(move |key| Change::Delete { table, key }),
            1 => range().prop_map(move |range| Change::DeleteRange { table, range }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn a_layered_view_reads_like_the_written_state(
            before in vec(change(), 0..30), pending in vec(change(), 0..12),
            keys in vec(key(), 8), ranges in vec(range(), 8),
        ) {
            let (mut base, mut overlay) = (Rows::default(), Overlay::default());
            before.into_iter().for_each(|change| base.change(change));
            let mut written = base.clone();
            for change in pending {
                written.change(change.clone());
                overlay.record(change);
            }
            let layered = Layered { base: &base, overlay: &overlay };
            for key in keys {
                prop_assert_eq!(
                    layered.get(Table::Cur, &key).unwrap(),
                    View::get(&written, Table::Cur, &key).unwrap()
                );
            }
            for range in ranges {
                prop_assert_eq!(
                    layered.first_key(Table::Cur, &range).unwrap(),
                    written.first_key(Table::Cur, &range).unwrap()
                );
            }
        }
    }
}
