//! What is used: counters and meters that move in the commit that changes them.
//!
//! Invariants:
//! - `Bytes` counts the plaintext bytes of live versions and of uploaded parts, `Objects` counts
//!   live versions, both per bucket and per account of the bucket's owner;
//! - the sum of a bucket's `BytesDelta` meters over all hours is its `Bytes` counter;
//! - counters of removed buckets are gone; their meters stay.

mod audit;

use gateway_meta::{
    AccountId, BucketId, Op, Table,
    key::{self, Dimension},
};
use node_proto::UnixMillis;

pub(crate) use audit::audit;
pub use audit::{UsageCounter, UsageDrift};

const HOUR_MS: u64 = 3_600_000;

/// What a commit changes in one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UsageChange {
    bytes: i128,
    objects: i128,
}

impl UsageChange {
    pub(crate) fn add_object(&mut self, len_bytes: u64) {
        self.objects += 1;
        self.add_bytes(len_bytes);
    }

    pub(crate) fn remove_object(&mut self, len_bytes: u64) {
        self.objects -= 1;
        self.remove_bytes(len_bytes);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.objects += other.objects;
    }

    pub(crate) fn add_bytes(&mut self, len_bytes: u64) {
        self.bytes += i128::from(len_bytes);
    }

    pub(crate) fn remove_bytes(&mut self, len_bytes: u64) {
        self.bytes -= i128::from(len_bytes);
    }

    /// The ops that count the change, made at `now`. None for what does not change.
    pub(crate) fn ops(self, account: AccountId, bucket: BucketId, now: UnixMillis) -> Vec<Op> {
        let mut ops = Vec::with_capacity(6);
        let mut add = |table, key, delta| {
            if delta != 0 {
                ops.push(Op::Add { table, key, delta });
            }
        };
        for (dimension, delta) in
            [(Dimension::Bytes, self.bytes), (Dimension::Objects, self.objects)]
        {
            add(Table::Ctr, key::bucket_counter(bucket, dimension), delta);
            add(Table::Ctr, key::account_counter(account, dimension), delta);
        }
        let hour = u32::try_from(now.0 / HOUR_MS).unwrap_or(u32::MAX);
        let rest_of_hour_ms = i128::from(HOUR_MS - now.0 % HOUR_MS);
        let meter = |dimension| key::meter(hour, account, bucket, dimension);
        add(Table::Meter, meter(Dimension::ByteMillis), self.bytes * rest_of_hour_ms);
        add(Table::Meter, meter(Dimension::BytesDelta), self.bytes);
        ops
    }
}

/// The ops that remove the counters of a bucket that is empty and goes away.
pub(crate) fn remove_bucket_counters(bucket: BucketId) -> [Op; 2] {
    [Dimension::Bytes, Dimension::Objects].map(|dimension| Op::Delete {
        table: Table::Ctr,
        key: key::bucket_counter(bucket, dimension),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountId = AccountId(7);
    const BUCKET: BucketId = BucketId(9);

    #[test]
    fn a_change_counts_bytes_objects_and_the_rest_of_the_hour() {
        let mut change = UsageChange::default();
        change.add_object(100);
        change.remove_bytes(30);
        let now = UnixMillis(5 * HOUR_MS + 600_000);
        let add = |table, key, delta| Op::Add { table, key, delta };
        assert_eq!(
            change.ops(ACCOUNT, BUCKET, now),
            [
                add(Table::Ctr, key::bucket_counter(BUCKET, Dimension::Bytes), 70),
                add(Table::Ctr, key::account_counter(ACCOUNT, Dimension::Bytes), 70),
                add(Table::Ctr, key::bucket_counter(BUCKET, Dimension::Objects), 1),
                add(Table::Ctr, key::account_counter(ACCOUNT, Dimension::Objects), 1),
                add(
                    Table::Meter,
                    key::meter(5, ACCOUNT, BUCKET, Dimension::ByteMillis),
                    70 * 3_000_000
                ),
                add(Table::Meter, key::meter(5, ACCOUNT, BUCKET, Dimension::BytesDelta), 70),
            ]
        );
    }

    #[test]
    fn what_does_not_change_is_not_written() {
        let mut change = UsageChange::default();
        change.add_object(5);
        change.remove_object(5);
        assert_eq!(change.ops(ACCOUNT, BUCKET, UnixMillis(0)), []);
    }
}
