//! The facts of a request, under the names that conditions use.
//!
//! Invariants:
//! - the client's address is the connection's: no header says otherwise;
//! - what is not known is left out, which conditions notice, and so is what is empty: operations
//!   take it for absent;
//! - what headers attach to an object is a fact only where the operation attaches it.

use gateway_iam::{PolicyContext, Principal};
use gateway_meta::{AccountId, record::RetentionMode};
use gateway_object::Bucket;
use http::HeaderMap;
use node_proto::UnixMillis;

use super::{
    Evidence,
    needs::{copies_tags, takes_attributes},
};
use crate::{
    call::Gateway,
    convert,
    error::{Code, Failure, Outcome},
    header as request_header, lock_header,
    operation::Operation,
};

/// Keys that headers say.
const IN_HEADERS: [(&str, &str); 19] = [
    ("aws:Referer", "referer"),
    ("aws:UserAgent", "user-agent"),
    ("s3:if-match", "if-match"),
    ("s3:if-none-match", "if-none-match"),
    ("s3:x-amz-acl", "x-amz-acl"),
    ("s3:x-amz-content-sha256", "x-amz-content-sha256"),
    ("s3:x-amz-copy-source", "x-amz-copy-source"),
    ("s3:x-amz-grant-full-control", "x-amz-grant-full-control"),
    ("s3:x-amz-grant-read", "x-amz-grant-read"),
    ("s3:x-amz-grant-read-acp", "x-amz-grant-read-acp"),
    ("s3:x-amz-grant-write", "x-amz-grant-write"),
    ("s3:x-amz-grant-write-acp", "x-amz-grant-write-acp"),
    ("s3:x-amz-metadata-directive", "x-amz-metadata-directive"),
    ("s3:x-amz-object-ownership", "x-amz-object-ownership"),
    ("s3:x-amz-server-side-encryption", "x-amz-server-side-encryption"),
    (
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-aws-kms-key-id",
    ),
    (
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-algorithm",
    ),
    ("s3:x-amz-storage-class", "x-amz-storage-class"),
    ("s3:x-amz-website-redirect-location", "x-amz-website-redirect-location"),
];

/// Keys that the query says. (An empty prefix is one.)
const IN_QUERY: [(&str, &str); 3] =
    [("s3:delimiter", "delimiter"), ("s3:max-keys", "max-keys"), ("s3:VersionId", "versionId")];

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Everything that is known before the body is read.
pub(super) fn known(
    gateway: &Gateway,
    principal: &Principal,
    bucket: &Bucket,
    evidence: &Evidence<'_>,
) -> Outcome<PolicyContext> {
    let mut context = PolicyContext::default();
    let now = gateway.clock.now();
    context.add("aws:CurrentTime", convert::iso_8601_seconds(now));
    context.add("aws:EpochTime", (now.0 / 1000).to_string());
    context.add("aws:SourceIp", evidence.from.peer.to_canonical().to_string());
    context.add("aws:SecureTransport", evidence.from.secure.to_string());
    context.add("aws:RequestedRegion", gateway.config.region.clone());
    context.add("aws:PrincipalIsAWSService", "false");
    context.add("aws:ViaAWSService", "false");
    context.add("aws:ResourceAccount", account_number(bucket.owner));
    context.add("s3:ResourceAccount", account_number(bucket.owner));
    caller(gateway, principal, &mut context)?;
    for (key, name) in IN_HEADERS {
        let values = evidence.headers.get_all(name).iter();
        let values = values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        for value in values.map(str::trim).filter(|value| !value.is_empty()) {
            context.add(key, value);
        }
    }
    for (key, name) in IN_QUERY {
        context.add_if(key, evidence.query.get(name).filter(|value| !value.is_empty()));
    }
    context.add_if("s3:prefix", evidence.query.get("prefix"));
    if *principal != Principal::Anonymous {
        signature(evidence, now, &mut context);
    }
    if let Some(operation) = evidence.operation {
        attached(operation, evidence.headers, now, &mut context);
        creation(operation, &mut context);
    }
    if let Some(more) = evidence.more {
        more(&mut context);
    }
    Ok(context)
}

/// An account's number as AWS writes it.
fn account_number(account: AccountId) -> String {
    format!("{:012}", account.0)
}

fn caller(gateway: &Gateway, principal: &Principal, context: &mut PolicyContext) -> Outcome<()> {
    let Some(account) = principal.account() else {
        context.add("aws:PrincipalType", "Anonymous");
        context.add("aws:userid", "anonymous");
        return Ok(());
    };
    let number = account_number(account);
    if principal.is_root() {
        context.add("aws:PrincipalType", "Account");
        context.add("aws:PrincipalArn", format!("arn:aws:iam::{number}:root"));
    } else {
        let found = gateway.directory.account(account).map_err(|error| {
            tracing::error!(%error, "an account cannot be looked up");
            Failure::new(Code::ServiceUnavailable)
        })?;
        context.add("aws:PrincipalType", "User");
        if let Some(found) = found {
            context.add("aws:PrincipalArn", format!("arn:aws:iam::{number}:user/{}", found.name));
            context.add("aws:username", found.name);
        }
    }
    context.add("aws:PrincipalAccount", number.clone());
    context.add("aws:userid", number);
    Ok(())
}

/// How the request is signed, if it is.
fn signature(evidence: &Evidence<'_>, now: UnixMillis, context: &mut PolicyContext) {
    let text = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let query = evidence.query;
    let version_2 = evidence.from.version_2;
    let (kind, date) = if evidence.form {
        ("POST", None)
    } else if let Some(place) = version_2 {
        // Its date may be any of several headers, and is not judged by its age.
        (place.auth_type(), None)
    } else if query.has("X-Amz-Signature") {
        ("REST-QUERY-STRING", query.get("X-Amz-Date").map(str::to_owned))
    } else {
        ("REST-HEADER", text(evidence.headers, "x-amz-date"))
    };
    context.add("s3:authType", kind);
    let version = if version_2.is_some() { "AWS" } else { "AWS4-HMAC-SHA256" };
    context.add("s3:signatureversion", version);
    let signed = date.as_deref().and_then(convert::parse_amz_date);
    let age_ms = signed.map(|signed| now.0.saturating_sub(signed.0).to_string());
    context.add_if("s3:signatureAge", age_ms);
}

/// What headers attach to the object that is written.
fn attached(
    operation: Operation,
    headers: &HeaderMap,
    now: UnixMillis,
    context: &mut PolicyContext,
) {
    if !takes_attributes(operation) {
        return;
    }
    // What cannot be read is refused by the operation, with the reason.
    if let Ok(lock) = lock_header::lock(headers) {
        if let Some(retention) = lock.retention {
            lock_facts(context, retention.mode, retention.until, now);
        }
        context.add_if("s3:object-lock-legal-hold", lock.legal_hold.map(lock_header::hold_name));
    }
    if !copies_tags(operation, headers)
        && let Ok(Some(tags)) = request_header::tags(headers)
    {
        tag_facts(context, &tags);
    }
}

/// Whether an object comes to be, or only what one will be made of.
fn creation(operation: Operation, context: &mut PolicyContext) {
    use Operation as O;
    let creates = match operation {
        O::PutObject | O::CopyObject | O::PostObject | O::CompleteMultipartUpload => "true",
        O::CreateMultipartUpload | O::UploadPart | O::UploadPartCopy => "false",
        _ => return,
    };
    context.add("s3:ObjectCreationOperation", creates);
}

/// What a request says of retention.
pub(crate) fn lock_facts(
    context: &mut PolicyContext,
    mode: RetentionMode,
    until: UnixMillis,
    now: UnixMillis,
) {
    context.add("s3:object-lock-mode", lock_header::mode_name(mode));
    context.add("s3:object-lock-retain-until-date", convert::iso_8601(until));
    let days = until.0.saturating_sub(now.0).div_ceil(DAY_MS);
    context.add("s3:object-lock-remaining-retention-days", days.to_string());
}

/// What a request says of tags.
pub(crate) fn tag_facts(context: &mut PolicyContext, tags: &[(String, String)]) {
    for (name, value) in tags {
        context.add(&format!("s3:RequestObjectTag/{name}"), value.as_str());
        context.add("s3:RequestObjectTagKeys", name.as_str());
    }
}
