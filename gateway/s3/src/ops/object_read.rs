//! Reading objects.

use gateway_meta::record::{ObjectMetadata, StoredChecksum};
use gateway_object::{GetObject, ObjectInfo, ObjectRead, ObjectReadError};
use http::{HeaderName, StatusCode};

use crate::{
    answer::{Answer, AnswerBody, header_value},
    call::Call,
    convert,
    error::{Failure, Outcome},
    header, lock_header, range, sse,
};

pub(super) async fn get_object(call: Call<'_>) -> Outcome<Answer> {
    let request = read_request(&call)?;
    let read = call.gateway.service.get_object(request).await;
    let (mut answer, body) = told(&call, read)?;
    if let Some((len_bytes, stream)) = body {
        answer.body = AnswerBody::Stream { len_bytes, stream };
    }
    Ok(answer)
}

pub(super) async fn head_object(call: Call<'_>) -> Outcome<Answer> {
    let request = read_request(&call)?;
    let read = call.gateway.service.head_object(request).await;
    let (mut answer, body) = told(&call, read)?;
    if let Some((len_bytes, _)) = body {
        answer.set("content-length", &len_bytes.to_string())?;
    }
    Ok(answer)
}

fn read_request(call: &Call<'_>) -> Outcome<GetObject> {
    let range = header::text(&call.headers, "range")?;
    let part_number = call.part_number()?;
    if range.is_some() && part_number.is_some() {
        let message = "Cannot specify both Range header and partNumber query parameter";
        return Err(Failure::invalid_request(message));
    }
    Ok(GetObject {
        target: call.object(),
        version: call.version()?,
        range: range.and_then(range::parse),
        part_number,
        condition: header::read_condition(&call.headers)?,
        customer_key: sse::customer_key(&call.headers)?,
    })
}

type Told = (Answer, Option<(u64, gateway_object::ByteStream)>);

/// The answer's status and headers, and what is to follow them.
fn told(call: &Call<'_>, read: Result<ObjectRead, ObjectReadError>) -> Outcome<Told> {
    let read = match read {
        Ok(read) => read,
        Err(ObjectReadError::NotModified { info }) => return Ok((not_modified(&info)?, None)),
        Err(error) => return Err(error.into()),
    };
    let metadata = &read.info.metadata;
    let mut answer = Answer::empty(StatusCode::OK);
    sse::tell(call, &metadata.encryption, &mut answer)?;
    validators(&read.info, &mut answer)?;
    answer.set("accept-ranges", "bytes")?;
    describe(metadata, &mut answer)?;
    lock_header::tell(call, &metadata.lock, &mut answer)?;
    super::lifecycle::tell_expiry_of_read(call, &read.info, &mut answer)?;
    let wants_checksum = header::text(&call.headers, "x-amz-checksum-mode")?
        .is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"));
    if wants_checksum && let Some(known) = &read.checksum {
        checksum(known, &mut answer)?;
    }
    let mut len_bytes = metadata.len_bytes;
    if let Some(range) = read.range {
        len_bytes = range.len_bytes;
        answer.status = StatusCode::PARTIAL_CONTENT;
        // An empty part has no first and last byte that could be named.
        if let Some(last) = (range.offset_bytes + range.len_bytes).checked_sub(1) {
            let shown = format!("bytes {}-{last}/{}", range.offset_bytes, metadata.len_bytes);
            if range.len_bytes > 0 {
                answer.set("content-range", &shown)?;
            }
        }
    }
    if let Some(count) = read.part_count {
        answer.set("x-amz-mp-parts-count", &count.to_string())?;
    }
    overrides(call, &mut answer)?;
    Ok((answer, Some((len_bytes, read.body))))
}

fn not_modified(info: &ObjectInfo) -> Outcome<Answer> {
    let mut answer = Answer::empty(StatusCode::NOT_MODIFIED);
    validators(info, &mut answer)?;
    let headers = &info.metadata.headers;
    answer.set_if("cache-control", headers.cache_control.as_deref())?;
    answer.set_if("expires", headers.expires.as_deref())?;
    Ok(answer)
}

/// What tells one version from another.
fn validators(info: &ObjectInfo, answer: &mut Answer) -> Outcome<()> {
    answer.set("etag", &convert::quoted_etag(&info.metadata.etag))?;
    answer.set("last-modified", &convert::http_date(info.modified))?;
    answer.set("x-amz-version-id", &info.version.to_string())
}

/// What the client once attached.
fn describe(metadata: &ObjectMetadata, answer: &mut Answer) -> Outcome<()> {
    let headers = &metadata.headers;
    let content_type = headers.content_type.as_deref().unwrap_or("binary/octet-stream");
    answer.set("content-type", content_type)?;
    answer.set_if("content-encoding", headers.content_encoding.as_deref())?;
    answer.set_if("content-disposition", headers.content_disposition.as_deref())?;
    answer.set_if("content-language", headers.content_language.as_deref())?;
    answer.set_if("cache-control", headers.cache_control.as_deref())?;
    answer.set_if("expires", headers.expires.as_deref())?;
    let redirect = headers.website_redirect_location.as_deref();
    answer.set_if("x-amz-website-redirect-location", redirect)?;
    let class = metadata.storage_class.as_str();
    let class = Some(class).filter(|class| !matches!(*class, "" | "STANDARD"));
    answer.set_if("x-amz-storage-class", class)?;
    if !metadata.tags.is_empty() {
        answer.set("x-amz-tagging-count", &metadata.tags.len().to_string())?;
    }
    for (name, value) in &metadata.user_metadata {
        let name = HeaderName::try_from(format!("x-amz-meta-{name}"));
        // Forms may have named metadata in ways no header can carry; S3 leaves those out, too.
        if let (Ok(name), Ok(value)) = (name, header_value("x-amz-meta", value)) {
            answer.headers.insert(name, value);
        }
    }
    Ok(())
}

fn checksum(known: &StoredChecksum, answer: &mut Answer) -> Outcome<()> {
    let name = convert::checksum_header(known.algorithm);
    answer.set(name, &convert::checksum_value(known))?;
    answer.set("x-amz-checksum-type", convert::checksum_type_name(known.kind))
}

/// `response-*` parameters replace headers of the answer.
fn overrides(call: &Call<'_>, answer: &mut Answer) -> Outcome<()> {
    for (parameter, name) in OVERRIDES {
        answer.set_if(name, call.query.get_nonempty(parameter))?;
    }
    Ok(())
}

/// Parameters that replace headers of the answer, and the headers. Only for signed requests.
pub(crate) const OVERRIDES: [(&str, &str); 6] = [
    ("response-content-type", "content-type"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
];
