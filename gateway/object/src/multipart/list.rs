//! Listing uploads under way and the parts of one.

use gateway_meta::{
    BucketId, KeyRange, MetaSnapshot, Table, UploadId, key, prefix_end,
    record::{Encryption, PartRecord, UploadRecord},
};

use super::part_number;
use crate::{
    Fault, ListError, ListParts, ListUploads, MultipartError, PartInfo, PartPage, UploadInfo,
    UploadPage,
    engine::{Engine, decode, read_fault},
    limits::PAGE_ENTRIES_MAX,
    list::object_key,
    rollup::{Selection, behind_prefix},
};

impl Engine {
    /// Lists the parts of an upload.
    pub(crate) async fn list_parts(&self, request: ListParts) -> Result<PartPage, MultipartError> {
        let ListParts { upload, after, limit } = request;
        let bucket = self.writable_bucket(&upload.target.bucket)?;
        let row_key = key::mpu(bucket.id, upload.target.key.as_bytes(), upload.upload);
        let limit = limit.min(PAGE_ENTRIES_MAX);
        let mut rows = KeyRange::prefix(&key::part_prefix(upload.upload));
        rows.start = key::part(upload.upload, after);
        rows.start.push(0x00);
        let page = self
            .on_snapshot(move |snapshot| {
                let Some(row) = snapshot.get(Table::Mpu, &row_key).map_err(read_fault)? else {
                    return Ok(None);
                };
                let record: UploadRecord = decode(&row)?;
                let (mut parts, truncated) = part_infos(snapshot, rows, limit)?;
                if record.encryption != Encryption::Managed {
                    // They are masked, and S3 asks for no key here.
                    parts.iter_mut().for_each(|part| part.checksum = None);
                }
                Ok(Some(PartPage {
                    parts,
                    truncated,
                    record: Some(record),
                    total_part_count: None,
                }))
            })
            .await?;
        page.ok_or(MultipartError::NoSuchUpload)
    }

    /// Lists uploads under way.
    pub(crate) async fn list_uploads(&self, request: ListUploads) -> Result<UploadPage, ListError> {
        let bucket = self
            .find_bucket(&request.bucket)?
            .ok_or_else(|| ListError::NoSuchBucket { bucket: request.bucket.clone() })?;
        if request.limit == 0 {
            return Ok(UploadPage::default());
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

/// Up to `limit` parts, and whether there are more.
fn part_infos(
    snapshot: &dyn MetaSnapshot,
    rows: KeyRange,
    limit: usize,
) -> Result<(Vec<PartInfo>, bool), Fault> {
    let mut parts = Vec::new();
    let mut cursor = snapshot.cursor(Table::Part, rows);
    while let Some((row_key, row)) = cursor.next().map_err(read_fault)? {
        if parts.len() == limit {
            // A page of nothing leads nowhere, so it must not promise a next one.
            return Ok((parts, limit > 0));
        }
        let record: PartRecord = decode(&row)?;
        parts.push(PartInfo {
            number: part_number(&row_key)?,
            len_bytes: record.len_bytes,
            md5: Some(record.md5),
            checksum: record.checksum,
            modified: Some(record.modified),
        });
    }
    Ok((parts, false))
}

struct Walk {
    bucket: BucketId,
    selection: Selection,
    after: Option<(String, Option<UploadId>)>,
    limit: usize,
}

impl Walk {
    fn page(&self, snapshot: &dyn MetaSnapshot) -> Result<UploadPage, Fault> {
        let mut cursor = snapshot.cursor(Table::Mpu, self.rows());
        let mut page = UploadPage::default();
        let mut last = None;
        while let Some((row_key, row)) = cursor.next().map_err(read_fault)? {
            if page.uploads.len() + page.common_prefixes.len() == self.limit {
                page.next = last;
                return Ok(page);
            }
            let key = object_key(&row_key)?;
            if let Some(common) = self.selection.common_prefix(&key) {
                cursor.seek(&behind_prefix(self.bucket, common));
                page.common_prefixes.push(common.to_owned());
                last = Some((common.to_owned(), None));
            } else {
                let upload = upload_id(&row_key)?;
                last = Some((key.clone(), Some(upload)));
                page.uploads.push(UploadInfo { key, upload, record: decode(&row)? });
            }
        }
        Ok(page)
    }

    /// The selected rows behind `after`.
    fn rows(&self) -> KeyRange {
        let mut rows = self.selection.rows(self.bucket);
        let start = match &self.after {
            None => return rows,
            Some((key, None)) if self.selection.is_common_prefix(key) => {
                behind_prefix(self.bucket, key)
            }
            Some((key, None)) => prefix_end(&key::cur(self.bucket, key.as_bytes()))
                .expect("an encoded key ends with a byte that can be followed"),
            Some((key, Some(upload))) => {
                let mut start = key::mpu(self.bucket, key.as_bytes(), *upload);
                start.push(0x00);
                start
            }
        };
        rows.start = rows.start.max(start);
        rows
    }
}

/// The upload id at the end of an `mpu` row key.
fn upload_id(row_key: &[u8]) -> Result<UploadId, Fault> {
    match row_key.split_last_chunk::<16>() {
        Some((_key, id)) => Ok(UploadId(*id)),
        None => Err(Fault::Corrupt { reason: "an upload row key is too short".to_owned() }),
    }
}
