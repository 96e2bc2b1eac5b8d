//! Lines in memory, gathered by bucket and day.
//!
//! *Limits:* [`BUFFER_LEN_BYTES_MAX`], lines that are being written included.

use std::collections::HashMap;

use gateway_meta::{
    BucketId,
    record::{AccessLogRecord, BucketLoggingRecord, BucketRecord},
};
use node_proto::UnixMillis;

use super::BUFFER_LEN_BYTES_MAX;

/// Most bytes of lines in one row. Chosen: large enough that a delivery reads few rows, small
/// enough for a commit of several.
const ROW_LEN_BYTES_MAX: usize = 256 << 10;
/// What a line is counted as beside its bytes, and a row beside its lines. Chosen; more than it
/// takes.
const ROW_OVERHEAD_BYTES: usize = 1 << 10;

const MILLIS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It waits.
    Yes,
    /// It waits, and so many do that they should be written.
    HalfFull,
    /// There is no room.
    No,
}

/// Lines that make a row.
pub(super) struct Sealed {
    pub(super) bucket: BucketId,
    pub(super) seq: u128,
    pub(super) record: AccessLogRecord,
}

impl Sealed {
    /// What the lines count as.
    pub(super) fn len_bytes(&self) -> usize {
        self.record.lines.len() + ROW_OVERHEAD_BYTES
    }
}

/// The lines that wait to be written.
#[derive(Default)]
pub(super) struct Buffer {
    open: HashMap<(BucketId, u32), AccessLogRecord>,
    full: Vec<(BucketId, AccessLogRecord)>,
    /// What counts against the limit: lines here, and those that are being written.
    len_bytes: usize,
}

impl Buffer {
    /// Adds a line of `bucket`'s, of a request of `at`.
    pub(super) fn push(
        &mut self,
        bucket: &BucketRecord,
        logging: &BucketLoggingRecord,
        at: UnixMillis,
        line: &str,
    ) -> Taken {
        let day = u32::try_from(at.0 / MILLIS_PER_DAY).unwrap_or(u32::MAX);
        let place = (bucket.id, day);
        self.make_room_in_row(place, logging, line.len());
        let is_new = !self.open.contains_key(&place);
        let cost = line.len() + 1 + if is_new { ROW_OVERHEAD_BYTES } else { 0 };
        let before = self.len_bytes;
        if before + cost > BUFFER_LEN_BYTES_MAX {
            return Taken::No;
        }
        self.len_bytes += cost;
        let record = self.open.entry(place).or_insert_with(|| empty(bucket, logging, day));
        record.line_count += 1;
        record.lines.extend_from_slice(line.as_bytes());
        record.lines.push(b'\n');
        let half = BUFFER_LEN_BYTES_MAX / 2;
        if before < half && self.len_bytes >= half { Taken::HalfFull } else { Taken::Yes }
    }

    /// Sets a row aside that is full, or goes elsewhere than the next line.
    fn make_room_in_row(
        &mut self,
        place: (BucketId, u32),
        logging: &BucketLoggingRecord,
        line_len_bytes: usize,
    ) {
        let fits = |record: &AccessLogRecord| {
            record.lines.len() + line_len_bytes < ROW_LEN_BYTES_MAX && goes_to(record, logging)
        };
        if self.open.get(&place).is_some_and(|record| !fits(record))
            && let Some(record) = self.open.remove(&place)
        {
            self.full.push((place.0, record));
        }
    }

    /// Takes all lines out, to be written under the sequence numbers that `next` gives. They count
    /// until [`Self::give_back`].
    pub(super) fn take(&mut self, mut next: impl FnMut() -> u128) -> Vec<Sealed> {
        let full = std::mem::take(&mut self.full);
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_unstable_by_key(|(place, _)| *place);
        let open = open.into_iter().map(|((bucket, _), record)| (bucket, record));
        full.into_iter()
            .chain(open)
            .map(|(bucket, record)| Sealed { bucket, seq: next(), record })
            .collect()
    }

    /// Lines that were taken out are gone.
    pub(super) fn give_back(&mut self, len_bytes: usize) {
        self.len_bytes -= len_bytes;
    }
}

fn goes_to(record: &AccessLogRecord, logging: &BucketLoggingRecord) -> bool {
    record.target_bucket == logging.target_bucket
        && record.target_prefix == logging.target_prefix
        && record.key_format == logging.key_format
}

fn empty(bucket: &BucketRecord, logging: &BucketLoggingRecord, day: u32) -> AccessLogRecord {
    AccessLogRecord {
        source_bucket: bucket.name.clone(),
        source_owner: bucket.owner,
        source_region: bucket.region.clone(),
        target_bucket: logging.target_bucket.clone(),
        target_prefix: logging.target_prefix.clone(),
        key_format: logging.key_format,
        day,
        line_count: 0,
        lines: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use gateway_meta::{
        AccountId,
        record::{Acknowledge, LogKeyFormat, Versioning},
    };

    use super::*;

    fn bucket(id: u64) -> BucketRecord {
        BucketRecord {
            id: BucketId(id),
            name: format!("bucket-{id}"),
            owner: AccountId(1),
            created: UnixMillis(0),
            region: String::new(),
            key_epoch: 1,
            acknowledge: Acknowledge::All,
            versioning: Versioning::Never,
            object_lock: false,
        }
    }

    fn logging(prefix: &str) -> BucketLoggingRecord {
        BucketLoggingRecord {
            target_bucket: "logs".into(),
            target_prefix: prefix.into(),
            key_format: LogKeyFormat::Unsaid,
        }
    }

    fn take(buffer: &mut Buffer) -> Vec<(u64, u32, String)> {
        let mut seq = 0;
        let mut next = || {
            seq += 1;
            seq
        };
        let taken = buffer.take(&mut next);
        buffer.give_back(taken.iter().map(Sealed::len_bytes).sum());
        let text = |sealed: &Sealed| String::from_utf8(sealed.record.lines.clone()).unwrap();
        taken.iter().map(|row| (row.bucket.0, row.record.day, text(row))).collect()
    }

    #[test]
    fn lines_are_gathered_by_bucket_day_and_target() {
        let mut buffer = Buffer::default();
        let day = UnixMillis(MILLIS_PER_DAY);
        let mut push = |id, prefix, at, line| {
            assert_eq!(buffer.push(&bucket(id), &logging(prefix), at, line), Taken::Yes);
        };
        push(1, "a", UnixMillis(0), "one");
        push(2, "a", UnixMillis(0), "two");
        push(1, "a", UnixMillis(0), "three");
        push(1, "a", day, "four");
        push(1, "b", day, "five");
        let rows = take(&mut buffer);
        let row = |id, day, text: &str| (id, day, text.to_owned());
        let expected = [
            row(1, 1, "four\n"),
            row(1, 0, "one\nthree\n"),
            row(1, 1, "five\n"),
            row(2, 0, "two\n"),
        ];
        assert_eq!(rows, expected);
        assert_eq!(buffer.len_bytes, 0);
        assert_eq!(take(&mut buffer), []);
    }

    #[test]
    fn what_has_no_room_is_refused_until_lines_are_written() {
        let mut buffer = Buffer::default();
        let line = "x".repeat(1000);
        let push =
            |buffer: &mut Buffer| buffer.push(&bucket(1), &logging(""), UnixMillis(0), &line);
        let mut told = Vec::new();
        for _ in 0..BUFFER_LEN_BYTES_MAX / 1000 {
            told.push(push(&mut buffer));
        }
        assert_eq!(told.iter().filter(|taken| **taken == Taken::HalfFull).count(), 1);
        assert_eq!(told.last(), Some(&Taken::No));
        let rows = buffer.take(|| 1);
        assert!(rows.iter().all(|row| row.record.lines.len() <= ROW_LEN_BYTES_MAX));
        assert_eq!(push(&mut buffer), Taken::No, "what is being written counts");
        buffer.give_back(rows.iter().map(Sealed::len_bytes).sum());
        assert_eq!(push(&mut buffer), Taken::Yes);
    }
}
