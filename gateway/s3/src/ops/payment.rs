//! Who pays for requests to a bucket. Nobody is charged; who would be has to say that they know.

use gateway_meta::{AccountId, record::RequestPaymentRecord};
use gateway_object::Bucket;
use http::{HeaderMap, StatusCode};

use super::configuration;
use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    header,
    xml::Writer,
};

/// What a requester says that pays.
const REQUESTER: &str = "requester";

pub(super) async fn get_bucket_request_payment(call: Call<'_>) -> Outcome<Answer> {
    let requester_pays = call.bucket.as_ref().is_some_and(|bucket| requester_pays(bucket));
    let mut xml = Writer::rooted("RequestPaymentConfiguration");
    xml.text("Payer", if requester_pays { "Requester" } else { "BucketOwner" });
    xml.close("RequestPaymentConfiguration");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn put_bucket_request_payment(call: Call<'_>) -> Outcome<Answer> {
    let root = configuration::document(&call, "RequestPaymentConfiguration").await?;
    root.knows_only(&["Payer"])?;
    let requester_pays = configuration::either(&root, "Payer", "Requester", "BucketOwner")?;
    let record = RequestPaymentRecord { requester_pays };
    call.gateway.service.put_config(call.target.bucket(), record).await?;
    Ok(Answer::empty(StatusCode::OK))
}

fn requester_pays(bucket: &Bucket) -> bool {
    bucket.configs.request_payment.as_ref().is_some_and(|payment| payment.requester_pays)
}

/// Whether `account` pays for a request to `bucket`: everybody but the owner, where requesters pay.
///
/// # Errors
/// `AccessDenied` for who would pay and does not say so, and for the anonymous, who cannot.
pub(crate) fn is_charged(
    bucket: &Bucket,
    account: Option<AccountId>,
    headers: &HeaderMap,
) -> Outcome<bool> {
    if !requester_pays(bucket) || account == Some(bucket.owner) {
        return Ok(false);
    }
    let says_so = header::text(headers, "x-amz-request-payer")?
        .is_some_and(|payer| payer.eq_ignore_ascii_case(REQUESTER));
    match says_so && account.is_some() {
        true => Ok(true),
        false => Err(Failure::new(Code::AccessDenied)),
    }
}

/// Tells who pays that they do.
pub(crate) fn tell(answer: &mut Answer) -> Outcome<()> {
    answer.set("x-amz-request-charged", REQUESTER)
}
