//! Listing live objects.
//!
//! A page is read from one snapshot, so it is consistent in itself, and the next page continues
//! behind its last entry whatever was written in between. A common prefix costs one seek, however
//! many keys it stands for.

use gateway_meta::{
    BucketId, KeyRange, MetaSnapshot, Table, key,
    record::{ObjectKind, ObjectRecord},
};

use crate::{
    Fault, ListEntry, ListError, ListObjects, ListPage, ObjectInfo,
    engine::{Engine, decode, read_fault},
    limits::PAGE_ENTRIES_MAX,
    rollup::{Selection, behind_prefix},
};

impl Engine {
    /// Lists objects.
    pub(crate) async fn list_objects(&self, request: ListObjects) -> Result<ListPage, ListError> {
        let bucket = self
            .find_bucket(&request.bucket)?
            .ok_or_else(|| ListError::NoSuchBucket { bucket: request.bucket.clone() })?;
        if request.limit == 0 {
            return Ok(ListPage { entries: Vec::new(), next: None });
        }
        let walk = Walk {
            bucket: bucket.id,
            selection: Selection { prefix: request.prefix, delimiter: request.delimiter },
            after: request.after,
            limit: request.limit.min(PAGE_ENTRIES_MAX),
        };
        Ok(self.on_snapshot(move |snapshot| walk.page(snapshot)).await?)
    }
}

/// One page of a listing, to be read from a snapshot.
pub(crate) struct Walk {
    pub(crate) bucket: BucketId,
    pub(crate) selection: Selection,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

impl Walk {
    pub(crate) fn page(&self, snapshot: &dyn MetaSnapshot) -> Result<ListPage, Fault> {
        let mut cursor = snapshot.cursor(Table::Cur, self.rows());
        let mut entries = Vec::new();
        while let Some((row_key, value)) = cursor.next().map_err(read_fault)? {
            let record: ObjectRecord = decode(&value)?;
            let ObjectKind::Object(metadata) = record.kind else { continue };
            if entries.len() == self.limit {
                let next = entries.last().map(entry_name);
                return Ok(ListPage { entries, next });
            }
            let key = object_key(&row_key)?;
            if let Some(common) = self.selection.common_prefix(&key) {
                cursor.seek(&behind_prefix(self.bucket, common));
                entries.push(ListEntry::CommonPrefix(common.to_owned()));
            } else {
                let info = Box::new(ObjectInfo {
                    version: record.version,
                    modified: record.modified,
                    metadata: *metadata,
                });
                entries.push(ListEntry::Object { key, info });
            }
        }
        Ok(ListPage { entries, next: None })
    }

    /// The selected rows behind `after`.
    fn rows(&self) -> KeyRange {
        let mut rows = self.selection.rows(self.bucket);
        if let Some(after) = &self.after {
            let start = if self.selection.is_common_prefix(after) {
                behind_prefix(self.bucket, after)
            } else {
                let mut start = key::cur(self.bucket, after.as_bytes());
                start.push(0x00);
                start
            };
            rows.start = rows.start.max(start);
        }
        rows
    }
}

fn entry_name(entry: &ListEntry) -> String {
    match entry {
        ListEntry::Object { key, .. } => key.clone(),
        ListEntry::CommonPrefix(prefix) => prefix.clone(),
    }
}

/// The object key in a `cur` or `mpu` row key.
pub(crate) fn object_key(row_key: &[u8]) -> Result<String, Fault> {
    key::parse_object_row(row_key).and_then(|(_, key, _)| String::from_utf8(key).ok()).ok_or_else(
        || Fault::Corrupt {
            reason: format!("a row key of {} bytes holds no object key", row_key.len()),
        },
    )
}
