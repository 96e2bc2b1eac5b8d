//! Copies of objects, whole and in parts.

use gateway_iam::Action;
use gateway_object::{
    CopyObject, CopySource, MetadataDirective, ObjectRef, ObjectWriteError, TaggingDirective,
    TaggingError, UploadPartCopy,
};

use super::{
    lifecycle,
    object_write::{set_version, write_checksum},
};
use crate::{
    answer::Answer,
    authorization::{needs, tag_facts},
    body::declared_algorithm,
    call::Call,
    convert,
    error::{Code, Failure, Outcome},
    header, lock_header,
    operation::Operation,
    percent, range, sse,
    xml::Writer,
};

pub(super) async fn copy_object(call: Call<'_>) -> Outcome<Answer> {
    header::refuse_unsupported(&call.headers)?;
    let with_tags = !replaces(&call, "x-amz-tagging-directive")?;
    let (source, may_list) = source(&call, with_tags).await?;
    let tagging = match call.rules.is_some() && with_tags {
        true => judged_tags(&call, &source, may_list).await?,
        false => tagging_directive(&call)?,
    };
    let source_key = source.object.key.clone();
    let request = CopyObject {
        source,
        target: call.object(),
        writer: call.account,
        metadata: metadata_directive(&call)?,
        tagging,
        storage_class: header::storage_class(&call.headers)?,
        checksum: declared_algorithm(&call.headers)?,
        lock: lock_header::lock(&call.headers)?,
        encryption: sse::request(&call.headers)?,
        condition: header::write_condition(&call.headers)?,
    };
    let copied = call.gateway.service.copy_object(request).await;
    let receipt = copied.map_err(|error| refused(error, source_key, may_list))?;
    let written = &receipt.written;
    let mut xml = Writer::rooted("CopyObjectResult");
    xml.text("LastModified", &convert::iso_8601(written.modified));
    xml.text("ETag", &convert::quoted_etag(&written.etag));
    write_checksum(written.checksum.as_ref(), &mut xml);
    xml.close("CopyObjectResult");
    let mut answer = Answer::document(xml.finish());
    sse::tell_writer(&call, &written.encryption, &mut answer)?;
    set_version(written.version, &mut answer)?;
    lifecycle::tell_expiry_of_written(&call, call.target.key(), written, &mut answer)?;
    let source_version = receipt.source_version.map(|version| version.to_string());
    answer.set_if("x-amz-copy-source-version-id", source_version.as_deref())?;
    Ok(answer)
}

pub(super) async fn upload_part_copy(call: Call<'_>) -> Outcome<Answer> {
    header::refuse_unsupported(&call.headers)?;
    let range = header::text(&call.headers, "x-amz-copy-source-range")?
        .map(|text| {
            range::parse_copy(text).ok_or_else(|| {
                let message = "The x-amz-copy-source-range value must be of the form \
                               bytes=first-last where first and last are the zero-based offsets \
                               of the first and last bytes to copy";
                Failure::invalid_argument("x-amz-copy-source-range", text, message)
            })
        })
        .transpose()?;
    let number = call.part_number()?.unwrap_or_default();
    let upload = call.upload()?;
    let (source, may_list) = source(&call, false).await?;
    let source_key = source.object.key.clone();
    let request = UploadPartCopy {
        upload,
        number,
        source,
        range,
        customer_key: sse::customer_key(&call.headers)?,
    };
    let copied = call.gateway.service.upload_part_copy(request).await;
    let receipt = copied.map_err(|error| refused(error, source_key, may_list))?;
    let mut xml = Writer::rooted("CopyPartResult");
    xml.text("LastModified", &convert::iso_8601(receipt.modified));
    xml.text("ETag", &format!("\"{}\"", convert::md5_hex(&receipt.md5)));
    if let Some(checksum) = &receipt.checksum {
        let element = convert::checksum_element(checksum.algorithm);
        xml.text(element, &convert::checksum_value(checksum));
    }
    xml.close("CopyPartResult");
    let mut answer = Answer::document(xml.finish());
    sse::tell(&call, &receipt.encryption, &mut answer)?;
    let source_version = receipt.source_version.map(|version| version.to_string());
    answer.set_if("x-amz-copy-source-version-id", source_version.as_deref())?;
    Ok(answer)
}

/// The tags of a copy's source, with which its target is judged. They are what is written then, so
/// that nothing else gets in between.
async fn judged_tags(
    call: &Call<'_>,
    source: &CopySource,
    may_list: bool,
) -> Outcome<TaggingDirective> {
    let found = call.gateway.service.object_tags(&source.object, source.version).await;
    let tags = found.as_ref().map(|(_, tags)| tags.as_slice()).unwrap_or_default();
    let mut actions = needs(Operation::CopyObject, &call.headers, &call.query).actions;
    if !tags.is_empty() {
        actions.push(Action::PutObjectTagging);
    }
    for action in actions {
        call.allow_with(action, |facts| tag_facts(facts, tags))?;
    }
    match found {
        Ok((_, tags)) => Ok(TaggingDirective::Replace(tags)),
        Err(TaggingError::Object(error)) => {
            let error = ObjectWriteError::Source(error);
            Err(refused(error, source.object.key.clone(), may_list))
        }
        Err(error) => Err(error.into()),
    }
}

/// Why a copy was refused. It is the source's key that is not there, where it is the source.
fn refused(error: ObjectWriteError, source_key: String, may_list: bool) -> Failure {
    let of_source = matches!(error, ObjectWriteError::Source(_));
    let failure = Failure::from(error);
    match failure.code() {
        Code::NoSuchKey | Code::NoSuchVersion if of_source && !may_list => {
            Code::AccessDenied.into()
        }
        Code::NoSuchKey | Code::NoSuchVersion if of_source => failure.detail("Key", source_key),
        _ => failure,
    }
}

/// The source of a copy, which the caller must be allowed to read, and whether the caller may know
/// that there is none.
async fn source(call: &Call<'_>, with_tags: bool) -> Outcome<(CopySource, bool)> {
    let text = header::text(&call.headers, "x-amz-copy-source")?.unwrap_or_default();
    let (object, version) = parse_source(text)?;
    let may_list = call.allow_source(&object, version, with_tags).await?;
    let source = CopySource {
        object,
        version,
        condition: header::source_condition(&call.headers)?,
        customer_key: sse::source_customer_key(&call.headers)?,
    };
    Ok((source, may_list))
}

fn parse_source(text: &str) -> Outcome<(ObjectRef, Option<gateway_meta::VersionId>)> {
    let invalid = || {
        let message = "Copy Source must mention the source bucket and key: \
                       sourcebucket/sourcekey";
        Failure::invalid_argument("x-amz-copy-source", text, message)
    };
    if text.starts_with("arn:") {
        return Err(Failure::not_implemented("A copy source named by ARN"));
    }
    let (path, version) = match text.rsplit_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    let path = percent::decode(path).ok_or_else(invalid)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or_else(invalid)?;
    if bucket.is_empty() || key.is_empty() {
        return Err(invalid());
    }
    let version = version
        .map(|version| {
            convert::parse_version_id(version).ok_or_else(|| {
                let message = "Invalid version id specified";
                Failure::invalid_argument("x-amz-copy-source", version, message)
            })
        })
        .transpose()?;
    let object = ObjectRef { bucket: bucket.to_owned(), key: key.to_owned() };
    Ok((object, version))
}

/// Whether a directive says `REPLACE` rather than `COPY`.
fn replaces(call: &Call<'_>, name: &'static str) -> Outcome<bool> {
    match header::text(&call.headers, name)? {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => {
            Err(Failure::invalid_argument(name, other, format!("Unknown value of {name}.")))
        }
    }
}

fn metadata_directive(call: &Call<'_>) -> Outcome<MetadataDirective> {
    if !replaces(call, "x-amz-metadata-directive")? {
        return Ok(MetadataDirective::Copy);
    }
    Ok(MetadataDirective::Replace {
        headers: header::system_headers(&call.headers)?,
        user_metadata: header::user_metadata(&call.headers)?,
    })
}

fn tagging_directive(call: &Call<'_>) -> Outcome<TaggingDirective> {
    if !replaces(call, "x-amz-tagging-directive")? {
        return Ok(TaggingDirective::Copy);
    }
    let tags = header::tags(&call.headers)?.unwrap_or_default();
    Ok(TaggingDirective::Replace(tags))
}

#[cfg(test)]
mod tests {
    use gateway_meta::VersionId;

    use super::*;

    type Found = Result<(String, String, Option<VersionId>), Code>;

    fn parse(text: &str) -> Found {
        parse_source(text)
            .map(|(object, version)| (object.bucket, object.key, version))
            .map_err(|failure| failure.code())
    }

    fn found(bucket: &str, key: &str, version: Option<VersionId>) -> Found {
        Ok((bucket.to_owned(), key.to_owned(), version))
    }

    #[test]
    fn sources_are_decoded() {
        assert_eq!(parse("b/k"), found("b", "k", None));
        assert_eq!(parse("/b/a/k%20%2B+%C3%A9"), found("b", "a/k ++é", None));
        assert_eq!(parse("b/k?versionId=null"), found("b", "k", Some(VersionId::Null)));
        assert_eq!(parse("b/k%3FversionId=x"), found("b", "k?versionId=x", None));
        assert_eq!(parse("b//k"), found("b", "/k", None));
    }

    #[test]
    fn sources_without_bucket_and_key_are_refused() {
        for text in ["", "b", "b/", "/", "/b", "//k", "b/%ff", "b/k?versionId=x"] {
            assert_eq!(parse(text), Err(Code::InvalidArgument), "{text}");
        }
        assert_eq!(parse("arn:aws:s3:r:1:accesspoint/a"), Err(Code::NotImplemented));
    }
}
