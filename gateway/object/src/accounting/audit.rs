//! Counting anew from the rows themselves, to prove that the counters have not drifted.

use std::collections::BTreeMap;

use gateway_meta::{
    AccountId, BucketId, KeyRange, MetaSnapshot, Table, UploadId,
    key::{self, Dimension, ctl},
    record::{BucketRecord, ObjectKind, ObjectRecord, PartRecord},
};

use crate::{
    Fault,
    engine::{decode, read_fault},
};

/// Which counter an audit looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageCounter {
    /// Bytes of a bucket.
    BucketBytes(BucketId),
    /// Objects of a bucket.
    BucketObjects(BucketId),
    /// Bytes of an account.
    AccountBytes(AccountId),
    /// Objects of an account.
    AccountObjects(AccountId),
    /// Sum of all hours' byte changes of a bucket, as metered for an account.
    MeteredBytes(AccountId, BucketId),
}

/// A counter that is not what the rows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageDrift {
    /// Which counter.
    pub counter: UsageCounter,
    /// What it holds.
    pub kept: i128,
    /// What the rows amount to.
    pub counted: i128,
}

type Tally = BTreeMap<UsageCounter, i128>;

/// Compares every counter with the rows of one snapshot. Reads all metadata of all objects.
pub(crate) fn audit(snapshot: &dyn MetaSnapshot) -> Result<Vec<UsageDrift>, Fault> {
    let mut counted = count_rows(snapshot)?;
    let mut kept = kept_counters(snapshot)?;
    for counter in counted.keys() {
        kept.entry(*counter).or_insert(0);
    }
    let drift = kept.into_iter().map(|(counter, kept)| {
        let counted = counted.remove(&counter).unwrap_or(0);
        UsageDrift { counter, kept, counted }
    });
    Ok(drift.filter(|drift| drift.kept != drift.counted).collect())
}

fn count_rows(snapshot: &dyn MetaSnapshot) -> Result<Tally, Fault> {
    let mut tally = Tally::new();
    let buckets = KeyRange::prefix(&ctl::bucket(""));
    each_row(snapshot, Table::Ctl, buckets, |_, value| {
        let bucket: BucketRecord = decode(value)?;
        let (bytes, objects) = count_bucket(snapshot, bucket.id)?;
        for (counter, amount) in [
            (UsageCounter::BucketBytes(bucket.id), bytes),
            (UsageCounter::BucketObjects(bucket.id), objects),
            (UsageCounter::AccountBytes(bucket.owner), bytes),
            (UsageCounter::AccountObjects(bucket.owner), objects),
            (UsageCounter::MeteredBytes(bucket.owner, bucket.id), bytes),
        ] {
            *tally.entry(counter).or_insert(0) += amount;
        }
        Ok(())
    })?;
    Ok(tally)
}

/// Bytes and objects of one bucket.
fn count_bucket(snapshot: &dyn MetaSnapshot, bucket: BucketId) -> Result<(i128, i128), Fault> {
    let rows = || KeyRange::prefix(&key::bucket_prefix(bucket));
    let (mut bytes, mut objects) = (0, 0);
    for table in [Table::Cur, Table::Ver] {
        each_row(snapshot, table, rows(), |_, value| {
            if let ObjectKind::Object(metadata) = decode::<ObjectRecord>(value)?.kind {
                bytes += i128::from(metadata.len_bytes);
                objects += 1;
            }
            Ok(())
        })?;
    }
    each_row(snapshot, Table::Mpu, rows(), |row_key, _| {
        let upload = key::parse_object_row(row_key)
            .and_then(|(_, _, tail)| Some(UploadId(tail.try_into().ok()?)))
            .ok_or_else(|| damaged("upload", row_key))?;
        let parts = KeyRange::prefix(&key::part_prefix(upload));
        each_row(snapshot, Table::Part, parts, |_, value| {
            bytes += i128::from(decode::<PartRecord>(value)?.len_bytes);
            Ok(())
        })
    })?;
    Ok((bytes, objects))
}

fn kept_counters(snapshot: &dyn MetaSnapshot) -> Result<Tally, Fault> {
    let mut tally = Tally::new();
    let mut keep = |counter: Option<UsageCounter>, value: &[u8]| {
        if let Some(counter) = counter {
            let value = key::decode_counter(value).ok_or_else(|| damaged("counter", value))?;
            *tally.entry(counter).or_insert(0) += value;
        }
        Ok(())
    };
    each_row(snapshot, Table::Ctr, KeyRange::all(), |row_key, value| {
        keep(parse_counter(row_key), value)
    })?;
    each_row(snapshot, Table::Meter, KeyRange::all(), |row_key, value| {
        keep(parse_meter(row_key), value)
    })?;
    Ok(tally)
}

/// The counter of a `ctr` row; `None` for rows that count something else.
fn parse_counter(row_key: &[u8]) -> Option<UsageCounter> {
    let (&owner, rest) = row_key.split_first()?;
    let (id, dimension) = rest.split_first_chunk::<8>()?;
    let id = u64::from_be_bytes(*id);
    let is = |wanted: Dimension| dimension == [wanted as u8];
    match owner {
        b'b' if is(Dimension::Bytes) => Some(UsageCounter::BucketBytes(BucketId(id))),
        b'b' if is(Dimension::Objects) => Some(UsageCounter::BucketObjects(BucketId(id))),
        b'a' if is(Dimension::Bytes) => Some(UsageCounter::AccountBytes(AccountId(id))),
        b'a' if is(Dimension::Objects) => Some(UsageCounter::AccountObjects(AccountId(id))),
        _ => None,
    }
}

/// The counter of a `meter` row of byte changes.
fn parse_meter(row_key: &[u8]) -> Option<UsageCounter> {
    let (_hour, rest) = row_key.split_first_chunk::<4>()?;
    let (account, rest) = rest.split_first_chunk::<8>()?;
    let (bucket, dimension) = rest.split_first_chunk::<8>()?;
    (dimension == [Dimension::BytesDelta as u8]).then(|| {
        UsageCounter::MeteredBytes(
            AccountId(u64::from_be_bytes(*account)),
            BucketId(u64::from_be_bytes(*bucket)),
        )
    })
}

fn each_row(
    snapshot: &dyn MetaSnapshot,
    table: Table,
    range: KeyRange,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut cursor = snapshot.cursor(table, range);
    while let Some((row_key, value)) = cursor.next().map_err(read_fault)? {
        visit(&row_key, &value)?;
    }
    Ok(())
}

fn damaged(what: &str, bytes: &[u8]) -> Fault {
    Fault::Corrupt { reason: format!("a {what} row has {} unexpected bytes", bytes.len()) }
}
