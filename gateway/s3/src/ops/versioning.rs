//! Versioning of buckets, and listings of versions.
//!
//! Invariants:
//! - a document that is refused changes nothing;
//! - nobody has an MFA device here, so whatever needs one is refused and never passes as done;
//! - a page of versions goes on behind its last entry, also when that version is gone by then.

use gateway_iam::canonical_id;
use gateway_meta::{
    VersionId,
    record::{ObjectMetadata, Versioning},
};
use gateway_object::{
    BucketError, ListVersions, ObjectInfo, VersionEntry, VersionMarker, VersionPage,
};
use http::{HeaderMap, StatusCode};
use node_proto::UnixMillis;

use super::list::{Listing, shown};
use crate::{
    answer::Answer,
    call::Call,
    convert,
    error::{Code, Failure, Outcome},
    header,
    xml::Writer,
};

pub(super) fn get_bucket_versioning(call: Call<'_>) -> Outcome<Answer> {
    let versioning = call.bucket.as_ref().map(|bucket| bucket.versioning).unwrap_or_default();
    let mut xml = Writer::rooted("VersioningConfiguration");
    match versioning {
        // A bucket that was never versioned has no status.
        Versioning::Never => {}
        Versioning::Enabled => xml.text("Status", "Enabled"),
        Versioning::Suspended => xml.text("Status", "Suspended"),
    }
    xml.close("VersioningConfiguration");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn put_bucket_versioning(call: Call<'_>) -> Outcome<Answer> {
    refuse_mfa(&call.headers)?;
    let root = call.document().await?.root("VersioningConfiguration")?;
    match root.child_text("MfaDelete").map(str::trim) {
        None | Some("Disabled") => {}
        Some("Enabled") => {
            let message = "Mfa Authentication must be used for this request";
            return Err(Failure::with_message(Code::AccessDenied, message));
        }
        Some(_) => return Err(Failure::new(Code::MalformedXml)),
    }
    let versioning = match root.child_text("Status").map(str::trim) {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        Some(_) => return Err(Failure::new(Code::MalformedXml)),
        None => {
            return Err(Failure::with_message(
                Code::IllegalVersioningConfiguration,
                "The Versioning element must be specified",
            ));
        }
    };
    let set = call.gateway.service.set_versioning(call.target.bucket(), versioning).await;
    set.map_err(|error| match error {
        BucketError::ObjectLockNeedsVersioning => Failure::with_message(
            Code::InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state \
             cannot be changed.",
        ),
        error => error.into(),
    })?;
    Ok(Answer::empty(StatusCode::OK))
}

/// Refuses what only somebody with an MFA device may do.
///
/// # Errors
/// `AccessDenied`.
pub(super) fn refuse_mfa(headers: &HeaderMap) -> Outcome<()> {
    match header::given(headers, "x-amz-mfa")? {
        None => Ok(()),
        Some(_) => Err(Failure::with_message(
            Code::AccessDenied,
            "The MFA device or its code is not valid: this server knows no MFA devices.",
        )),
    }
}

pub(super) async fn list_object_versions(call: Call<'_>) -> Outcome<Answer> {
    let listing = Listing::read(&call, "max-keys")?;
    let key_marker = call.query.get("key-marker").unwrap_or_default();
    let version_marker = call.query.get_nonempty("version-id-marker");
    let request = ListVersions {
        bucket: call.target.bucket().to_owned(),
        prefix: listing.prefix.to_owned(),
        delimiter: listing.delimiter.to_owned(),
        after: marker(&listing, key_marker, version_marker)?,
        limit: listing.limit,
    };
    let page = call.gateway.service.list_versions(request).await?;
    let show = |key| shown(listing.url, key);
    let mut xml = Writer::rooted("ListVersionsResult");
    xml.text("Name", call.target.bucket());
    xml.text("Prefix", &show(listing.prefix));
    xml.text("KeyMarker", &show(key_marker));
    xml.text("VersionIdMarker", version_marker.unwrap_or_default());
    if let Some(next) = &page.next {
        xml.text("NextKeyMarker", &show(&next.key));
        let version = next.version.map(|version| version.to_string());
        xml.text_if("NextVersionIdMarker", version.as_deref());
    }
    xml.value("MaxKeys", listing.limit);
    if !listing.delimiter.is_empty() {
        xml.text("Delimiter", &show(listing.delimiter));
    }
    xml.text_if("EncodingType", listing.url.then_some("url"));
    xml.value("IsTruncated", page.next.is_some());
    write_entries(&call, &page, listing.url, &mut xml);
    xml.close("ListVersionsResult");
    Ok(Answer::document(xml.finish()))
}

/// What a page goes on behind.
fn marker(
    listing: &Listing<'_>,
    key: &str,
    version: Option<&str>,
) -> Outcome<Option<VersionMarker>> {
    let name = "version-id-marker";
    let version = match version {
        None => None,
        Some(text) if key.is_empty() => {
            let message = "A version-id marker cannot be specified without a key marker.";
            return Err(Failure::invalid_argument(name, text, message));
        }
        Some(text) => Some(convert::parse_version_id(text).ok_or_else(|| {
            Failure::invalid_argument(name, text, "Invalid version id specified")
        })?),
    };
    if key.is_empty() {
        return Ok(None);
    }
    let behind = listing.behind(key);
    // Behind a common prefix there is no version to go on from.
    let version = version.filter(|_| behind == key);
    Ok(Some(VersionMarker { key: behind.to_owned(), version }))
}

fn write_entries(call: &Call<'_>, page: &VersionPage, url: bool, xml: &mut Writer) {
    let owner = call.bucket.as_ref().map(|bucket| canonical_id(bucket.owner));
    let owner = owner.unwrap_or_default();
    for entry in &page.entries {
        match entry {
            VersionEntry::Version { key, is_latest, info } => {
                let ObjectInfo { version, modified, metadata } = &**info;
                xml.open("Version");
                write_names(&shown(url, key), *version, *is_latest, *modified, xml);
                write_metadata(metadata, xml);
                write_owner(&owner, xml);
                xml.close("Version");
            }
            VersionEntry::DeleteMarker { key, is_latest, version, modified } => {
                xml.open("DeleteMarker");
                write_names(&shown(url, key), *version, *is_latest, *modified, xml);
                write_owner(&owner, xml);
                xml.close("DeleteMarker");
            }
            VersionEntry::CommonPrefix(_) => {}
        }
    }
    for entry in &page.entries {
        if let VersionEntry::CommonPrefix(prefix) = entry {
            xml.open("CommonPrefixes");
            xml.text("Prefix", &shown(url, prefix));
            xml.close("CommonPrefixes");
        }
    }
}

fn write_names(
    key: &str,
    version: VersionId,
    is_latest: bool,
    modified: UnixMillis,
    xml: &mut Writer,
) {
    xml.text("Key", key);
    xml.text("VersionId", &version.to_string());
    xml.value("IsLatest", is_latest);
    xml.text("LastModified", &convert::iso_8601(modified));
}

fn write_metadata(metadata: &ObjectMetadata, xml: &mut Writer) {
    xml.text("ETag", &convert::quoted_etag(&metadata.etag));
    if let Some(checksum) = &metadata.checksum {
        xml.text("ChecksumAlgorithm", convert::checksum_name(checksum.algorithm));
        xml.text("ChecksumType", convert::checksum_type_name(checksum.kind));
    }
    xml.value("Size", metadata.len_bytes);
    let class = metadata.storage_class.as_str();
    xml.text("StorageClass", if class.is_empty() { "STANDARD" } else { class });
}

fn write_owner(owner: &str, xml: &mut Writer) {
    xml.open("Owner");
    xml.text("ID", owner);
    xml.close("Owner");
}
