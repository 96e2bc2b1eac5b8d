//! Reading objects.
//!
//! A version may be removed for good and reclaimed between the look at its record and its first
//! byte. Then the read starts anew with the version that replaced it, if it was not asked for by
//! name; a version that is still there and cannot be read is a fault.

use std::sync::Arc;

use futures::{StreamExt, stream};
use gateway_meta::{
    VersionId,
    record::{Body, PartTableEntry, StoredChecksum, Versioning},
};
use gateway_seal::VersionKey;

use crate::{
    Bucket, ByteStream, Fault, GetObject, ObjectInfo, ObjectRead, ObjectReadError, ObjectRef,
    PartInfo, PartPage, ReadCondition, ResolvedRange,
    conditions::check_read,
    data::ReadKeys,
    encryption::mask,
    engine::Engine,
    limits::{PAGE_ENTRIES_MAX, READ_ATTEMPTS_MAX},
    range,
};

/// A version that was found and may be read.
pub(crate) struct Found {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) info: ObjectInfo,
    /// The version's own key, once it is unlocked, where somebody else keeps it.
    pub(crate) version_key: Option<Arc<VersionKey>>,
}

impl Found {
    /// The version as answers name it; `None` where a key has but one.
    pub(crate) fn told_version(&self) -> Option<VersionId> {
        let has_versions = self.bucket.versioning != Versioning::Never;
        has_versions.then_some(self.info.version)
    }
}

/// What a request wants of a version.
struct Wanted {
    /// What to answer as range.
    range: Option<ResolvedRange>,
    part_count: Option<u32>,
    /// The checksum of just these bytes.
    checksum: Option<StoredChecksum>,
    /// What to read.
    bytes: ResolvedRange,
}

impl Engine {
    /// Reads an object.
    pub(crate) async fn get_object(
        &self,
        request: GetObject,
    ) -> Result<ObjectRead, ObjectReadError> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let mut found = self.find(&request.target, request.version, &request.condition)?;
            self.unlock(&mut found, request.customer_key.as_ref()).await?;
            match self.resolve_and_read(&request, &found).await {
                Ok((wanted, body)) => return Ok(object_read(found.info, wanted, body)),
                Err(ObjectReadError::Fault(_))
                    if self.was_replaced(&request.target.key, &found)? => {}
                Err(error) => return Err(error),
            }
        }
        Err(Fault::Busy.into())
    }

    /// Reads what is known of an object.
    pub(crate) async fn head_object(
        &self,
        request: GetObject,
    ) -> Result<ObjectRead, ObjectReadError> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let mut found = self.find(&request.target, request.version, &request.condition)?;
            self.unlock_to_tell(&mut found, request.customer_key.as_ref()).await?;
            match self.resolve(&request, &found).await {
                Ok(wanted) => return Ok(object_read(found.info, wanted, no_bytes())),
                Err(ObjectReadError::Fault(_))
                    if self.was_replaced(&request.target.key, &found)? => {}
                Err(error) => return Err(error),
            }
        }
        Err(Fault::Busy.into())
    }

    /// The parts of a completed multipart object.
    pub(crate) async fn object_parts(
        &self,
        request: GetObject,
        after: u16,
        limit: usize,
    ) -> Result<(ObjectInfo, PartPage), ObjectReadError> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let mut found = self.find(&request.target, request.version, &request.condition)?;
            self.unlock_to_tell(&mut found, request.customer_key.as_ref()).await?;
            match self.parts_of(&found).await {
                Ok(parts) => {
                    let page = part_page(&found.info, parts, after, limit);
                    return Ok((found.info, page));
                }
                Err(_) if self.was_replaced(&request.target.key, &found)? => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(Fault::Busy.into())
    }

    /// Finds a version and checks the conditions on it.
    pub(crate) fn find(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
        condition: &ReadCondition,
    ) -> Result<Found, ObjectReadError> {
        let bucket = self.readable_bucket(&target.bucket)?;
        let found = self.find_version(&bucket, &target.key, version)?;
        let info = ObjectInfo {
            version: found.version,
            modified: found.modified,
            metadata: *found.metadata,
        };
        check_read(condition, &info)?;
        Ok(Found { bucket, info, version_key: None })
    }

    /// The bytes of a version that was unlocked; `range` lies within it.
    pub(crate) async fn read_body(
        &self,
        found: &Found,
        range: ResolvedRange,
    ) -> Result<ByteStream, Fault> {
        if range.len_bytes == 0 {
            return Ok(no_bytes());
        }
        let metadata = &found.info.metadata;
        let version_key = found.version_key.clone();
        let keys = ReadKeys { owner: found.bucket.owner, version_key };
        self.data.read(keys, metadata.body, metadata.len_bytes, range).await
    }

    pub(crate) fn readable_bucket(&self, name: &str) -> Result<Arc<Bucket>, ObjectReadError> {
        self.find_bucket(name)?
            .ok_or_else(|| ObjectReadError::NoSuchBucket { bucket: name.to_owned() })
    }

    /// Whether the version found is gone by now, so that a failed read says nothing.
    pub(crate) fn was_replaced(&self, key: &str, found: &Found) -> Result<bool, Fault> {
        match self.find_version(&found.bucket, key, Some(found.info.version)) {
            Ok(now) => Ok(now.metadata.body != found.info.metadata.body),
            Err(ObjectReadError::Fault(fault)) => Err(fault),
            Err(_) => Ok(true),
        }
    }

    async fn resolve_and_read(
        &self,
        request: &GetObject,
        found: &Found,
    ) -> Result<(Wanted, ByteStream), ObjectReadError> {
        let wanted = self.resolve(request, found).await?;
        let body = self.read_body(found, wanted.bytes).await?;
        Ok((wanted, body))
    }

    async fn resolve(&self, request: &GetObject, found: &Found) -> Result<Wanted, ObjectReadError> {
        let info = &found.info;
        let len_bytes = info.metadata.len_bytes;
        let whole = ResolvedRange { offset_bytes: 0, len_bytes };
        if let Some(number) = request.part_number {
            return self.resolve_part(number, found).await;
        }
        let range = match request.range {
            Some(request) => {
                range::resolve(request, len_bytes).map_err(|range::Unsatisfiable| {
                    ObjectReadError::RangeNotSatisfiable { len_bytes }
                })?
            }
            None => None,
        };
        // The stored checksum is the whole object's, so it says nothing about a part of it.
        let checksum = info.metadata.checksum.clone().filter(|_| range.is_none());
        Ok(Wanted { range, part_count: None, checksum, bytes: range.unwrap_or(whole) })
    }

    /// Objects that were not uploaded in parts are their own part 1.
    async fn resolve_part(&self, number: u16, found: &Found) -> Result<Wanted, ObjectReadError> {
        let parts = self.parts_of(found).await?;
        let info = &found.info;
        let whole = info.metadata.checksum.as_ref();
        let (bytes, part_count, checksum) = if let Some(parts) = parts {
            let part_count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
            let part = parts
                .iter()
                .find(|part| part.number == number)
                .ok_or(ObjectReadError::NoSuchPart { number, part_count })?;
            let bytes =
                ResolvedRange { offset_bytes: part.offset_bytes, len_bytes: part.len_bytes };
            let checksum = whole.filter(|_| !part.checksum.is_empty()).map(|whole| {
                StoredChecksum { value: part.checksum.clone(), part_count: None, ..whole.clone() }
            });
            (bytes, Some(part_count), checksum)
        } else if number == 1 {
            let bytes = ResolvedRange { offset_bytes: 0, len_bytes: info.metadata.len_bytes };
            (bytes, None, whole.cloned())
        } else {
            return Err(ObjectReadError::NoSuchPart { number, part_count: 1 });
        };
        let range = (bytes.len_bytes > 0).then_some(bytes);
        Ok(Wanted { range, part_count, checksum, bytes })
    }

    /// The part table of a multipart object that was unlocked; `None` for other objects.
    async fn parts_of(&self, found: &Found) -> Result<Option<Vec<PartTableEntry>>, Fault> {
        let metadata = &found.info.metadata;
        let mut parts = match metadata.body {
            Body::Parts(id) => self.data.part_table(id).await?,
            Body::Empty | Body::Inline(_) | Body::Stripes(_) => return Ok(None),
        };
        if let Some(checksum) = &metadata.checksum {
            for part in &mut parts {
                let key = found.version_key.as_deref();
                mask(checksum.algorithm, &mut part.checksum, part.body, key);
            }
        }
        Ok(Some(parts))
    }
}

fn object_read(info: ObjectInfo, wanted: Wanted, body: ByteStream) -> ObjectRead {
    let Wanted { range, part_count, checksum, bytes: _ } = wanted;
    ObjectRead { info, range, part_count, checksum, body }
}

fn no_bytes() -> ByteStream {
    stream::empty().boxed()
}

fn part_page(
    info: &ObjectInfo,
    parts: Option<Vec<PartTableEntry>>,
    after: u16,
    limit: usize,
) -> PartPage {
    let total_part_count =
        parts.as_ref().map(|parts| u32::try_from(parts.len()).unwrap_or(u32::MAX));
    let algorithm = info.metadata.checksum.as_ref().map(|checksum| checksum.algorithm);
    let mut rest = parts.unwrap_or_default().into_iter().filter(|part| part.number > after);
    let page = rest
        .by_ref()
        .take(limit.min(PAGE_ENTRIES_MAX))
        .map(|part| PartInfo {
            number: part.number,
            len_bytes: part.len_bytes,
            md5: None,
            checksum: algorithm
                .filter(|_| !part.checksum.is_empty())
                .map(|algorithm| (algorithm, part.checksum)),
            modified: None,
        })
        .collect();
    let truncated = limit > 0 && rest.next().is_some();
    PartPage { parts: page, truncated, record: None, total_part_count }
}
