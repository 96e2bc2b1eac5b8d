//! Listings of objects and of uploads under way.
//!
//! Invariants:
//! - no page has more than 1,000 entries, whatever is asked for;
//! - a page's continuation names the last entry of the page, so writes in between neither repeat
//!   nor skip a key that was there all the time;
//! - with `encoding-type=url` every key, prefix, delimiter and marker is encoded.

use std::borrow::Cow;

use gateway_iam::canonical_id;
use gateway_meta::UploadId;
use gateway_object::{ListEntry, ListObjects, ListPage, ListUploads, ObjectInfo, UploadInfo};

use crate::{
    answer::Answer,
    call::Call,
    convert,
    error::{Failure, Outcome},
    percent, token,
    xml::Writer,
};

/// Most entries of one page, which is S3's limit.
const ENTRIES_PER_PAGE_MAX: usize = 1000;

/// Whether keys are to be percent-encoded.
pub(super) fn wants_url(call: &Call<'_>) -> Outcome<bool> {
    match call.query.get_nonempty("encoding-type") {
        None => Ok(false),
        Some("url") => Ok(true),
        Some(other) => {
            let message = "Invalid Encoding Method specified in Request";
            Err(Failure::invalid_argument("encoding-type", other, message))
        }
    }
}

/// A key as the listing shows it.
pub(super) fn shown(url: bool, key: &str) -> Cow<'_, str> {
    match url {
        true => Cow::Owned(percent::encode(key)),
        false => Cow::Borrowed(key),
    }
}

/// What the listings have in common.
pub(super) struct Listing<'a> {
    call: &'a Call<'a>,
    pub(super) prefix: &'a str,
    pub(super) delimiter: &'a str,
    pub(super) limit: usize,
    pub(super) url: bool,
}

impl<'a> Listing<'a> {
    pub(super) fn read(call: &'a Call<'a>, limit: &'static str) -> Outcome<Self> {
        Ok(Self {
            call,
            prefix: call.query.get("prefix").unwrap_or_default(),
            delimiter: call.query.get("delimiter").unwrap_or_default(),
            limit: call.query.count(limit, ENTRIES_PER_PAGE_MAX)?,
            url: wants_url(call)?,
        })
    }

    /// The entry that a listing goes on behind. Common prefixes that are not greater than the
    /// marker are left out, so a marker within one stands for all of it.
    pub(super) fn behind<'k>(&self, marker: &'k str) -> &'k str {
        let rest = marker.strip_prefix(self.prefix).filter(|_| !self.delimiter.is_empty());
        match rest.and_then(|rest| rest.find(self.delimiter)) {
            Some(at) => &marker[..self.prefix.len() + at + self.delimiter.len()],
            None => marker,
        }
    }

    async fn page(&self, after: Option<&str>) -> Outcome<ListPage> {
        let request = ListObjects {
            bucket: self.call.target.bucket().to_owned(),
            prefix: self.prefix.to_owned(),
            delimiter: self.delimiter.to_owned(),
            after: after
                .filter(|after| !after.is_empty())
                .map(|after| self.behind(after).to_owned()),
            limit: self.limit,
        };
        Ok(self.call.gateway.service.list_objects(request).await?)
    }

    /// Name, prefix, limit and delimiter.
    fn write_head(&self, page: &ListPage, xml: &mut Writer) {
        xml.text("Name", self.call.target.bucket());
        xml.text("Prefix", &shown(self.url, self.prefix));
        xml.value("MaxKeys", self.limit);
        if !self.delimiter.is_empty() {
            xml.text("Delimiter", &shown(self.url, self.delimiter));
        }
        xml.text_if("EncodingType", self.url.then_some("url"));
        xml.value("IsTruncated", page.next.is_some());
    }

    fn write_entries(&self, page: &ListPage, with_owner: bool, xml: &mut Writer) {
        for entry in &page.entries {
            if let ListEntry::Object { key, info } = entry {
                xml.open("Contents");
                xml.text("Key", &shown(self.url, key));
                write_object(info, with_owner, xml);
                xml.close("Contents");
            }
        }
        for entry in &page.entries {
            if let ListEntry::CommonPrefix(prefix) = entry {
                xml.open("CommonPrefixes");
                xml.text("Prefix", &shown(self.url, prefix));
                xml.close("CommonPrefixes");
            }
        }
    }
}

fn write_object(info: &ObjectInfo, with_owner: bool, xml: &mut Writer) {
    let metadata = &info.metadata;
    xml.text("LastModified", &convert::iso_8601(info.modified));
    xml.text("ETag", &convert::quoted_etag(&metadata.etag));
    if let Some(checksum) = &metadata.checksum {
        xml.text("ChecksumAlgorithm", convert::checksum_name(checksum.algorithm));
        xml.text("ChecksumType", convert::checksum_type_name(checksum.kind));
    }
    xml.value("Size", metadata.len_bytes);
    if with_owner {
        xml.open("Owner");
        xml.text("ID", &canonical_id(metadata.owner));
        xml.close("Owner");
    }
    let class = metadata.storage_class.as_str();
    xml.text("StorageClass", if class.is_empty() { "STANDARD" } else { class });
}

pub(super) async fn list_objects(call: Call<'_>) -> Outcome<Answer> {
    let listing = Listing::read(&call, "max-keys")?;
    let marker = call.query.get("marker").unwrap_or_default();
    let page = listing.page(Some(marker)).await?;
    let mut xml = Writer::rooted("ListBucketResult");
    listing.write_head(&page, &mut xml);
    xml.text("Marker", &shown(listing.url, marker));
    // Without a delimiter the last key is the marker, and S3 does not repeat it.
    let next = page.next.as_deref().filter(|_| !listing.delimiter.is_empty());
    xml.text_if("NextMarker", next.map(|next| shown(listing.url, next)).as_deref());
    listing.write_entries(&page, true, &mut xml);
    xml.close("ListBucketResult");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn list_objects_v2(call: Call<'_>) -> Outcome<Answer> {
    let listing = Listing::read(&call, "max-keys")?;
    let start_after = call.query.get_nonempty("start-after");
    let continuation = call.query.get("continuation-token");
    let resumed = continuation
        .map(|text| {
            token::decode(text).ok_or_else(|| {
                let message = "The continuation token provided is incorrect";
                Failure::invalid_argument("continuation-token", text, message)
            })
        })
        .transpose()?;
    let with_owner = match call.query.get_nonempty("fetch-owner") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            let message = "fetch-owner must be true or false";
            return Err(Failure::invalid_argument("fetch-owner", other, message));
        }
    };
    let page = listing.page(resumed.as_deref().or(start_after)).await?;
    let mut xml = Writer::rooted("ListBucketResult");
    listing.write_head(&page, &mut xml);
    xml.value("KeyCount", page.entries.len());
    xml.text_if("ContinuationToken", continuation);
    let next = page.next.as_deref().map(token::encode);
    xml.text_if("NextContinuationToken", next.as_deref());
    let start_after = start_after.map(|key| shown(listing.url, key));
    xml.text_if("StartAfter", start_after.as_deref());
    listing.write_entries(&page, with_owner, &mut xml);
    xml.close("ListBucketResult");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn list_multipart_uploads(call: Call<'_>) -> Outcome<Answer> {
    let listing = Listing::read(&call, "max-uploads")?;
    let key_marker = call.query.get("key-marker").unwrap_or_default();
    let upload_marker = call.query.get_nonempty("upload-id-marker");
    let upload = upload_marker.filter(|_| !key_marker.is_empty()).map(|text| {
        text.parse::<UploadId>().map_err(|()| {
            let message = "Invalid uploadId marker";
            Failure::invalid_argument("upload-id-marker", text, message)
        })
    });
    let upload = upload.transpose()?;
    let behind = listing.behind(key_marker);
    // Behind a common prefix there is no upload to go on from.
    let upload = upload.filter(|_| behind == key_marker);
    let request = ListUploads {
        bucket: call.target.bucket().to_owned(),
        prefix: listing.prefix.to_owned(),
        delimiter: listing.delimiter.to_owned(),
        after: (!key_marker.is_empty()).then(|| (behind.to_owned(), upload)),
        limit: listing.limit,
    };
    let page = call.gateway.service.list_uploads(request).await?;
    let show = |key| shown(listing.url, key);
    let mut xml = Writer::rooted("ListMultipartUploadsResult");
    xml.text("Bucket", call.target.bucket());
    xml.text("KeyMarker", &show(key_marker));
    xml.text("UploadIdMarker", upload_marker.unwrap_or_default());
    if let Some((key, upload)) = &page.next {
        xml.text("NextKeyMarker", &show(key));
        let upload = upload.map(|upload| upload.to_string());
        xml.text("NextUploadIdMarker", &upload.unwrap_or_default());
    }
    xml.text("Prefix", &show(listing.prefix));
    if !listing.delimiter.is_empty() {
        xml.text("Delimiter", &show(listing.delimiter));
    }
    xml.text_if("EncodingType", listing.url.then_some("url"));
    xml.value("MaxUploads", listing.limit);
    xml.value("IsTruncated", page.next.is_some());
    for upload in &page.uploads {
        write_upload(&call, upload, listing.url, &mut xml);
    }
    for prefix in &page.common_prefixes {
        xml.open("CommonPrefixes");
        xml.text("Prefix", &show(prefix));
        xml.close("CommonPrefixes");
    }
    xml.close("ListMultipartUploadsResult");
    Ok(Answer::document(xml.finish()))
}

fn write_upload(call: &Call<'_>, upload: &UploadInfo, url: bool, xml: &mut Writer) {
    let record = &upload.record;
    xml.open("Upload");
    xml.text("Key", &shown(url, &upload.key));
    xml.text("UploadId", &upload.upload.to_string());
    let owner = call.bucket.as_ref().map(|bucket| canonical_id(bucket.owner));
    for (element, id) in [("Initiator", Some(canonical_id(record.initiator))), ("Owner", owner)] {
        xml.open(element);
        xml.text_if("ID", id.as_deref());
        xml.close(element);
    }
    let class = record.storage_class.as_str();
    xml.text("StorageClass", if class.is_empty() { "STANDARD" } else { class });
    xml.text("Initiated", &convert::iso_8601(record.initiated));
    if let Some((algorithm, kind)) = record.checksum {
        xml.text("ChecksumAlgorithm", convert::checksum_name(algorithm));
        xml.text("ChecksumType", convert::checksum_type_name(kind));
    }
    xml.close("Upload");
}
