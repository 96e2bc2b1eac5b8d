//! Uploads by a browser's form (POST policy).
//!
//! The adapter has parsed the form, verified its signature and held it against its policy. This
//! turns the fields into the headers they stand for, so that a form is refused and accepted for
//! exactly what a `PUT` is.
//!
//! The adapter leaves out the fields `acl` and `tagging`, so those are read from the start of the
//! body, which is kept aside while the adapter reads it.

pub(crate) mod fields;

use futures::StreamExt as _;
use gateway_object::{ObjectRef, PutObject};
use http::{HeaderMap, HeaderName};
use s3s::{
    dto::{ETagCondition, PostObjectInput, Timestamp, TimestampFormat},
    post_policy::{PostPolicy, PostPolicyCondition},
};

use super::tagging;
use crate::{
    answer::{Answer, header_value},
    body::Payload,
    call::Call,
    error::{Code, Failure, Outcome},
    header, lock_header, percent, sse, xml,
};

/// A form as headers and a body.
pub(crate) struct Form {
    /// The key, with `${filename}` replaced.
    pub(crate) key: String,
    /// The fields under the names of the headers they stand for.
    pub(crate) headers: HeaderMap,
    /// Tags given as a document.
    pub(crate) tags: Option<Vec<(String, String)>>,
    /// Whether its signature, if it has one, is of version 2.
    pub(crate) is_version_2: bool,
    /// The file.
    pub(crate) payload: Payload,
}

impl Form {
    /// Takes what the adapter parsed, and what it left out from the form's `start`.
    ///
    /// # Errors
    /// `InvalidArgument` for fields that no header can carry or that are repeated, `AccessDenied`
    /// for what the policy does not mention, what `acl` and `tagging` are refused for,
    /// `MissingContentLength` without a file.
    pub(crate) fn read(
        mut input: PostObjectInput,
        content_type: &str,
        start: &[u8],
    ) -> Outcome<Self> {
        let body = input.body.take().ok_or(Code::MissingContentLength)?;
        let mut headers = headers_of(&input)?;
        // The adapter leaves the length of an empty file out.
        let len = input.content_length.unwrap_or_default().to_string();
        put(&mut headers, "x-amz-decoded-content-length", Some(&len))?;
        let left_out = fields::read(content_type, start).fields;
        refuse_repeated(&left_out)?;
        if let Some(policy) = value_of(&left_out, "policy") {
            refuse_uncovered(policy, &left_out)?;
        }
        if let Some(acl) = value_of(&left_out, "acl") {
            put(&mut headers, "x-amz-acl", Some(acl))?;
        }
        let tags = match value_of(&left_out, "tagging") {
            None => None,
            Some(text) => {
                let root = xml::parse(text.as_bytes()).map_err(|_| Code::MalformedXml)?;
                Some(tagging::parse(&root)?)
            }
        };
        Ok(Self {
            key: input.key,
            headers,
            tags,
            // The adapter looks for one of version 4 first.
            is_version_2: value_of(&left_out, "x-amz-signature").is_none(),
            payload: Payload::Verified { stream: body.boxed(), trailers: None },
        })
    }
}

/// Refuses fields that are given more than once: the adapter holds only one value of a name
/// against the policy. What a policy ignores may be repeated.
fn refuse_repeated(fields: &[(String, String)]) -> Outcome<()> {
    for (index, (name, _)) in fields.iter().enumerate() {
        let is_repeated = fields[..index].iter().any(|(earlier, _)| earlier == name);
        if is_repeated && !name.starts_with("x-ignore-") {
            let message = format!("The form field {name} was given more than once.");
            return Err(Failure::with_message(Code::InvalidArgument, message));
        }
    }
    Ok(())
}

/// Refuses fields about encryption that the policy does not mention. The adapter lets them pass, but
/// who signs a form says by it under whose key the bytes will be.
fn refuse_uncovered(policy: &str, fields: &[(String, String)]) -> Outcome<()> {
    // The adapter has read it before, and hands its own on to nobody.
    let policy = PostPolicy::from_base64(policy).map_err(|_| Code::AccessDenied)?;
    let covers = |name: &str| {
        policy.conditions.iter().any(|condition| match condition {
            PostPolicyCondition::Eq { field, .. }
            | PostPolicyCondition::StartsWith { field, .. } => field == name,
            PostPolicyCondition::ContentLengthRange { .. } => false,
        })
    };
    let about_encryption = |name: &str| name.starts_with("x-amz-server-side-encryption");
    match fields.iter().find(|(name, _)| about_encryption(name) && !covers(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!("Invalid according to Policy: Extra input fields: {name}");
            Err(Failure::with_message(Code::AccessDenied, message))
        }
    }
}

fn value_of<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.as_str())
}

/// The fields as the headers they stand for.
fn headers_of(input: &PostObjectInput) -> Outcome<HeaderMap> {
    let mut headers = HeaderMap::new();
    let own = own_fields(input);
    for (name, value) in plain_fields(input) {
        put(&mut headers, name, value)?;
    }
    for (name, value) in checksum_fields(input) {
        put(&mut headers, name, value)?;
    }
    for (name, value) in &own {
        put(&mut headers, name, value.as_deref())?;
    }
    for (name, value) in input.metadata.iter().flatten() {
        let name = HeaderName::try_from(format!("x-amz-meta-{name}")).map_err(|_| {
            let message = "A metadata field's name is not valid.";
            Failure::with_message(Code::InvalidArgument, message)
        })?;
        let value = header_value(name.as_str(), value)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Fields that are text.
fn plain_fields(input: &PostObjectInput) -> [(&'static str, Option<&str>); 19] {
    [
        ("cache-control", input.cache_control.as_deref()),
        ("content-disposition", input.content_disposition.as_deref()),
        ("content-encoding", input.content_encoding.as_deref()),
        ("content-language", input.content_language.as_deref()),
        ("content-md5", input.content_md5.as_deref()),
        ("content-type", input.content_type.as_deref()),
        ("expires", input.expires.as_deref()),
        ("x-amz-expected-bucket-owner", input.expected_bucket_owner.as_deref()),
        ("x-amz-grant-full-control", input.grant_full_control.as_deref()),
        ("x-amz-grant-read", input.grant_read.as_deref()),
        ("x-amz-grant-read-acp", input.grant_read_acp.as_deref()),
        ("x-amz-grant-write-acp", input.grant_write_acp.as_deref()),
        (CUSTOMER_ALGORITHM, input.sse_customer_algorithm.as_deref()),
        (CUSTOMER_KEY, input.sse_customer_key.as_deref()),
        (CUSTOMER_KEY_MD5, input.sse_customer_key_md5.as_deref()),
        (KMS_CONTEXT, input.ssekms_encryption_context.as_deref()),
        (KMS_KEY, input.ssekms_key_id.as_deref()),
        ("x-amz-tagging", input.tagging.as_deref()),
        ("x-amz-website-redirect-location", input.website_redirect_location.as_deref()),
    ]
}

const CUSTOMER_ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-key";
const CUSTOMER_KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
const KMS_CONTEXT: &str = "x-amz-server-side-encryption-context";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// Fields that declare checksums, those of algorithms that are not there included.
fn checksum_fields(input: &PostObjectInput) -> [(&'static str, Option<&str>); 11] {
    let algorithm = input.checksum_algorithm.as_ref().map(|algorithm| algorithm.as_str());
    [
        ("x-amz-sdk-checksum-algorithm", algorithm),
        ("x-amz-checksum-crc32", input.checksum_crc32.as_deref()),
        ("x-amz-checksum-crc32c", input.checksum_crc32c.as_deref()),
        ("x-amz-checksum-crc64nvme", input.checksum_crc64nvme.as_deref()),
        ("x-amz-checksum-md5", input.checksum_md5.as_deref()),
        ("x-amz-checksum-sha1", input.checksum_sha1.as_deref()),
        ("x-amz-checksum-sha256", input.checksum_sha256.as_deref()),
        ("x-amz-checksum-sha512", input.checksum_sha512.as_deref()),
        ("x-amz-checksum-xxhash128", input.checksum_xxhash128.as_deref()),
        ("x-amz-checksum-xxhash3", input.checksum_xxhash3.as_deref()),
        ("x-amz-checksum-xxhash64", input.checksum_xxhash64.as_deref()),
    ]
}

/// Fields that the adapter has types of its own for.
fn own_fields(input: &PostObjectInput) -> [(&'static str, Option<String>); 10] {
    let mode = input.object_lock_mode.as_ref().map(|mode| mode.as_str().to_owned());
    let hold = input.object_lock_legal_hold_status.as_ref();
    let hold = hold.map(|status| status.as_str().to_owned());
    let until = input.object_lock_retain_until_date.as_ref().map(shown_timestamp);
    let encryption = input.server_side_encryption.as_ref();
    let encryption = encryption.map(|encryption| encryption.as_str().to_owned());
    let bucket_key = input.bucket_key_enabled.map(|asked| asked.to_string());
    let class = input.storage_class.as_ref().map(|class| class.as_str().to_owned());
    let offset = input.write_offset_bytes.map(|offset| offset.to_string());
    [
        ("if-match", input.if_match.as_ref().map(shown_condition)),
        ("if-none-match", input.if_none_match.as_ref().map(shown_condition)),
        ("x-amz-acl", input.acl.as_ref().map(|acl| acl.as_str().to_owned())),
        ("x-amz-object-lock-legal-hold", hold),
        ("x-amz-object-lock-mode", mode),
        ("x-amz-object-lock-retain-until-date", until),
        ("x-amz-server-side-encryption", encryption),
        ("x-amz-server-side-encryption-bucket-key-enabled", bucket_key),
        ("x-amz-storage-class", class),
        ("x-amz-write-offset-bytes", offset),
    ]
}

/// A time as a header has it; empty if it cannot be written, which no header's reader takes.
fn shown_timestamp(at: &Timestamp) -> String {
    let mut text = Vec::new();
    match at.format(TimestampFormat::DateTime, &mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

fn shown_condition(condition: &ETagCondition) -> String {
    match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::ETag(etag) => format!("\"{}\"", etag.value()),
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: Option<&str>) -> Outcome<()> {
    if let Some(value) = value {
        headers.insert(HeaderName::from_static(name), header_value(name, value)?);
    }
    Ok(())
}

/// A form that does not say where to put its file.
pub(crate) fn no_key() -> Failure {
    let message = "Bucket POST must contain a field named 'key'. If it is specified, please check \
                   the order of the fields.";
    Failure::invalid_argument("key", "", message)
}

/// Stores a form's file.
///
/// # Errors
/// As for a `PUT`.
pub(crate) async fn post_object(
    call: Call<'_>,
    key: String,
    tags: Option<Vec<(String, String)>>,
) -> Outcome<Answer> {
    header::refuse_unsupported(&call.headers)?;
    sse::check_connection(&call)?;
    if key.is_empty() {
        return Err(no_key());
    }
    let mut attributes = header::attributes(&call.headers)?;
    if let Some(tags) = tags {
        attributes.tags = tags;
    }
    let bucket = call.target.bucket().to_owned();
    let location = format!("{}/{bucket}/{}", call.origin, percent::encode(&key));
    let request = PutObject {
        target: ObjectRef { bucket, key: key.clone() },
        writer: call.account,
        attributes,
        condition: header::write_condition(&call.headers)?,
        body: call.take_payload()?.into_body(&call.headers)?,
    };
    lock_header::wants_digest(&request.attributes.lock, &request.body.expected)?;
    let receipt = call.gateway.service.put_object(request).await?;
    let mut answer = super::object_write::written(&call, &receipt)?;
    answer.set("location", &location)?;
    super::lifecycle::tell_expiry_of_written(&call, &key, &receipt, &mut answer)?;
    Ok(answer.of_bucket(call.bucket.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_given_twice_are_refused() {
        let fields = |names: &[&str]| -> Vec<(String, String)> {
            names.iter().map(|name| ((*name).to_owned(), String::new())).collect()
        };
        for names in [&["key", "acl"][..], &["x-ignore-a", "x-ignore-a", "key"]] {
            assert!(refuse_repeated(&fields(names)).is_ok(), "{names:?}");
        }
        for names in [&["key", "key"][..], &["x-amz-meta-a", "key", "x-amz-meta-a"]] {
            let failure = refuse_repeated(&fields(names)).unwrap_err();
            assert_eq!(failure.code(), Code::InvalidArgument, "{names:?}");
        }
    }
}
