//! Bucket policies.
//!
//! Invariants:
//! - only the owner of a bucket and the operator look at and change its policy, whomever the policy
//!   allows to, as S3: everybody else is answered 405;
//! - a policy is kept as it was given, and only if all of it was understood and everybody it names
//!   is there.

use gateway_iam::{Malformed, POLICY_LEN_BYTES_MAX, Policy, PolicyPrincipal, canonical_id};
use gateway_meta::{AccountId, record::BucketPolicyRecord};
use http::{HeaderValue, StatusCode, header};

use crate::{
    answer::{Answer, AnswerBody},
    authorization::is_guest,
    body,
    call::{Call, Gateway},
    error::{Code, Failure, Outcome},
    header as request_header,
    xml::Writer,
};

/// Accounts that are compared with a canonical id at a time. Chosen: one read of a few pages.
const ACCOUNTS_PER_PAGE: usize = 1000;

pub(super) async fn get_bucket_policy(call: Call<'_>) -> Outcome<Answer> {
    check_at_home(&call)?;
    let text = &policy_of(&call)?.text;
    let mut answer = Answer::empty(StatusCode::OK);
    let json = HeaderValue::from_static("application/json");
    answer.headers.insert(header::CONTENT_TYPE, json);
    answer.body = AnswerBody::Document(text.clone());
    Ok(answer)
}

/// `x-amz-confirm-remove-self-bucket-access` is read and changes nothing: the owner can always put
/// another policy.
pub(super) async fn put_bucket_policy(call: Call<'_>) -> Outcome<Answer> {
    check_at_home(&call)?;
    let name = "x-amz-confirm-remove-self-bucket-access";
    let confirmed = request_header::text(&call.headers, name)?;
    if let Some(other) = confirmed.filter(|text| !matches!(*text, "true" | "false")) {
        return Err(Failure::invalid_argument(name, other, "The value must be true or false"));
    }
    let max_bytes = call.gateway.config.document_len_bytes_max;
    let payload = call.take_payload()?;
    let (bytes, _) = body::read_bytes(payload, &call.headers, max_bytes).await?;
    if bytes.is_empty() {
        return Err(Failure::new(Code::MissingRequestBody));
    }
    if bytes.len() > POLICY_LEN_BYTES_MAX {
        return Err(malformed(&Malformed::TooLong));
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed(&Malformed::NoJson))?;
    let bucket = call.target.bucket();
    let policy = Policy::parse(&text, bucket).map_err(|error| malformed(&error))?;
    for principal in policy.principals() {
        if !is_there(call.gateway, principal).await? {
            return Err(malformed(&Malformed::Principal { detail: shown(principal) }));
        }
    }
    call.gateway.service.put_config(bucket, BucketPolicyRecord { text }).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete_bucket_policy(call: Call<'_>) -> Outcome<Answer> {
    check_at_home(&call)?;
    call.gateway.service.delete_config::<BucketPolicyRecord>(call.target.bucket()).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get_bucket_policy_status(call: Call<'_>) -> Outcome<Answer> {
    let text = &policy_of(&call)?.text;
    // A policy that cannot be read lets nobody in.
    let policy = Policy::parse(text, call.target.bucket());
    let mut xml = Writer::rooted("PolicyStatus");
    xml.value("IsPublic", policy.is_ok_and(|policy| policy.is_public()));
    xml.close("PolicyStatus");
    Ok(Answer::document(xml.finish()))
}

fn policy_of<'a>(call: &'a Call<'_>) -> Outcome<&'a BucketPolicyRecord> {
    let policy = call.bucket.as_ref().and_then(|bucket| bucket.configs.policy.as_deref());
    policy.ok_or_else(|| {
        Failure::new(Code::NoSuchBucketPolicy).detail("BucketName", call.target.bucket())
    })
}

fn check_at_home(call: &Call<'_>) -> Outcome<()> {
    let bucket = call.bucket.as_ref().ok_or(Code::InternalError)?;
    match is_guest(&call.principal, bucket) {
        true => Err(Failure::new(Code::MethodNotAllowed)),
        false => Ok(()),
    }
}

fn malformed(error: &Malformed) -> Failure {
    let failure = Failure::with_message(Code::MalformedPolicy, error.to_string());
    match error {
        Malformed::Principal { detail } if !detail.is_empty() => failure.detail("Detail", detail),
        _ => failure,
    }
}

/// Whether somebody that a policy names is there.
async fn is_there(gateway: &Gateway, principal: &PolicyPrincipal) -> Outcome<bool> {
    let account = |id: AccountId| {
        gateway.directory.account(id).map_err(|error| {
            tracing::error!(%error, "an account cannot be looked up");
            Failure::new(Code::ServiceUnavailable)
        })
    };
    match principal {
        PolicyPrincipal::Everyone | PolicyPrincipal::Service(_) => Ok(true),
        PolicyPrincipal::Account(id) => Ok(account(*id)?.is_some()),
        PolicyPrincipal::User { account: id, name } => {
            Ok(account(*id)?.is_some_and(|account| account.name == *name))
        }
        PolicyPrincipal::Canonical(id) => has_canonical_id(gateway, id).await,
    }
}

/// Canonical ids cannot be turned back into accounts, so all are compared.
async fn has_canonical_id(gateway: &Gateway, id: &str) -> Outcome<bool> {
    let mut after: Option<String> = None;
    loop {
        let page = gateway.directory.list_accounts(after.as_deref(), ACCOUNTS_PER_PAGE).await;
        let page = page.map_err(|error| {
            tracing::error!(%error, "accounts cannot be listed");
            Failure::new(Code::ServiceUnavailable)
        })?;
        if page.iter().any(|account| canonical_id(account.id) == id) {
            return Ok(true);
        }
        match page.last() {
            Some(last) => after = Some(last.name.clone()),
            None => return Ok(false),
        }
    }
}

/// A principal as S3's error names it.
fn shown(principal: &PolicyPrincipal) -> String {
    let (kind, name) = match principal {
        PolicyPrincipal::Everyone => ("AWS", "*".to_owned()),
        PolicyPrincipal::Account(id) => ("AWS", format!("arn:aws:iam::{:012}:root", id.0)),
        PolicyPrincipal::User { account, name } => {
            ("AWS", format!("arn:aws:iam::{:012}:user/{name}", account.0))
        }
        PolicyPrincipal::Canonical(id) => ("CanonicalUser", id.clone()),
        PolicyPrincipal::Service(name) => ("Service", name.clone()),
    };
    format!("\"{kind}\" : \"{name}\"")
}
