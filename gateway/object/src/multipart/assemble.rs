//! Checking the parts that a completion lists, and what they amount to. Pure.

use std::collections::BTreeMap;

use gateway_meta::record::{
    Body, ChecksumType, ObjectMetadata, PartRecord, PartTableEntry, PartTablePage, StoredChecksum,
    UploadRecord,
};

use super::StoredPart;
use crate::{
    CompletePart, CompleteUpload, InvalidPart, MultipartError,
    checksum::{multipart_etag, object_checksum},
    conditions::hex,
    limits::PART_NUMBER_MAX,
};

/// The object that a completion asks for.
pub(super) struct Assembled {
    /// Its metadata, but for what comes with the bucket and the manifest id.
    pub(super) metadata: ObjectMetadata,
    /// Its parts.
    pub(super) entries: Vec<PartTableEntry>,
    /// Uploaded parts that it does not use.
    pub(super) unused: Vec<PartRecord>,
    /// Bytes of all uploaded parts.
    pub(super) uploaded_bytes: u64,
}

/// Refuses lists that name no object whatever was uploaded.
pub(super) fn check_order(listed: &[CompletePart]) -> Result<(), MultipartError> {
    if listed.is_empty() {
        return Err(MultipartError::NoParts);
    }
    if !listed.is_sorted_by(|a, b| a.number < b.number) {
        return Err(MultipartError::InvalidPartOrder);
    }
    match listed.iter().find(|part| !(1..=PART_NUMBER_MAX).contains(&part.number)) {
        Some(part) => Err(invalid(part.number)),
        None => Ok(()),
    }
}

/// Makes an object of the parts that `request` lists, whose order was checked.
pub(super) fn assemble(
    request: &CompleteUpload,
    upload: &UploadRecord,
    stored: &[StoredPart],
    part_len_bytes_min: u64,
) -> Result<Assembled, MultipartError> {
    let mut unused: BTreeMap<u16, &PartRecord> =
        stored.iter().map(|part| (part.number, &part.record)).collect();
    let mut parts = Vec::with_capacity(request.parts.len());
    for listed in &request.parts {
        let part = unused.remove(&listed.number).ok_or_else(|| invalid(listed.number))?;
        check_listed(listed, part)?;
        parts.push((listed.number, part));
    }
    check_lengths(&parts, part_len_bytes_min)?;
    let used: Vec<&PartRecord> = parts.iter().map(|(_, part)| *part).collect();
    let checksum = object_checksum(upload.checksum, &used);
    check_checksum(request, upload, checksum.as_ref())?;
    let entries = part_table(&parts, checksum.as_ref());
    let len_bytes = used.iter().map(|part| part.len_bytes).sum();
    if request.object_len_bytes.is_some_and(|declared| declared != len_bytes) {
        return Err(MultipartError::LengthMismatch { actual_bytes: len_bytes });
    }
    Ok(Assembled {
        metadata: ObjectMetadata {
            len_bytes,
            etag: multipart_etag(&used),
            checksum,
            headers: upload.headers.clone(),
            user_metadata: upload.user_metadata.clone(),
            tags: upload.tags.clone(),
            storage_class: upload.storage_class.clone(),
            owner: upload.initiator,
            upload: Some(request.upload.upload),
            body: Body::Empty,
            lock: upload.lock,
            encryption: upload.encryption.clone(),
        },
        entries,
        unused: unused.into_values().cloned().collect(),
        uploaded_bytes: stored.iter().map(|part| part.record.len_bytes).sum(),
    })
}

/// Compares a listed part with the one stored.
fn check_listed(listed: &CompletePart, part: &PartRecord) -> Result<(), MultipartError> {
    let etag_matches = listed.etag.eq_ignore_ascii_case(&hex(&part.md5));
    let checksum_matches =
        listed.checksum.as_ref().is_none_or(|declared| part.checksum.as_ref() == Some(declared));
    if etag_matches && checksum_matches { Ok(()) } else { Err(invalid(listed.number)) }
}

fn check_lengths(parts: &[(u16, &PartRecord)], minimum_bytes: u64) -> Result<(), MultipartError> {
    let all_but_last = &parts[..parts.len().saturating_sub(1)];
    match all_but_last.iter().find(|(_, part)| part.len_bytes < minimum_bytes) {
        Some(&(number, part)) => Err(MultipartError::PartTooSmall {
            number,
            len_bytes: part.len_bytes,
            minimum_bytes,
            etag: hex(&part.md5),
        }),
        None => Ok(()),
    }
}

/// Compares what the client says of the object's checksum with what it is.
fn check_checksum(
    request: &CompleteUpload,
    upload: &UploadRecord,
    actual: Option<&StoredChecksum>,
) -> Result<(), MultipartError> {
    let kind = upload.checksum.map_or(ChecksumType::FullObject, |(_, kind)| kind);
    if request.checksum_type.is_some_and(|wanted| wanted != kind) {
        return Err(MultipartError::InvalidChecksumType);
    }
    let Some((algorithm, declared)) = &request.checksum else { return Ok(()) };
    match actual {
        Some(actual) if actual.algorithm != *algorithm => Err(MultipartError::InvalidChecksumType),
        Some(actual) if actual.value == *declared => Ok(()),
        Some(_) => Err(MultipartError::ChecksumMismatch(*algorithm)),
        None => Err(MultipartError::InvalidChecksumType),
    }
}

fn part_table(
    parts: &[(u16, &PartRecord)],
    checksum: Option<&StoredChecksum>,
) -> Vec<PartTableEntry> {
    let algorithm = checksum.map(|checksum| checksum.algorithm);
    let mut offset_bytes = 0;
    let entry = |&(number, part): &(u16, &PartRecord)| {
        let kept = part.checksum.as_ref().filter(|(of_part, _)| Some(*of_part) == algorithm);
        let entry = PartTableEntry {
            number,
            offset_bytes,
            len_bytes: part.len_bytes,
            body: part.body,
            checksum: kept.map(|(_, value)| value.clone()).unwrap_or_default(),
        };
        offset_bytes += part.len_bytes;
        entry
    };
    parts.iter().map(entry).collect()
}

/// The pages that hold `entries`.
pub(super) fn pages(entries: &[PartTableEntry]) -> impl Iterator<Item = (u32, PartTablePage)> {
    let part_count = u32::try_from(entries.len()).expect("an object has at most 10,000 parts");
    (0..)
        .zip(entries.chunks(PartTablePage::PARTS_PER_PAGE as usize))
        .map(move |(page, entries)| (page, PartTablePage { part_count, parts: entries.to_vec() }))
}

fn invalid(number: u16) -> MultipartError {
    MultipartError::InvalidPart(InvalidPart { number })
}
