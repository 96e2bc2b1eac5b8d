//! Access control lists, as far as they can be told truthfully.
//!
//! Buckets have their owner enforced, so the one grant there is gives the owner everything. Lists
//! cannot be changed.

use gateway_iam::canonical_id;
use gateway_meta::AccountId;

use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    xml::Writer,
};

pub(super) fn get_bucket_acl(call: Call<'_>) -> Outcome<Answer> {
    let bucket = call.bucket.ok_or_else(|| Failure::new(Code::InternalError))?;
    Ok(owner_has_everything(bucket.owner))
}

pub(super) async fn get_object_acl(call: Call<'_>) -> Outcome<Answer> {
    // Who owns an object is no secret of its key, so nothing sealed is looked at.
    let version = call.version()?;
    call.gateway.service.object_tags(&call.object(), version).await?;
    get_bucket_acl(call)
}

fn owner_has_everything(owner: AccountId) -> Answer {
    let id = canonical_id(owner);
    let mut xml = Writer::rooted("AccessControlPolicy");
    xml.open("Owner");
    xml.text("ID", &id);
    xml.close("Owner");
    xml.open("AccessControlList");
    xml.open("Grant");
    let kind = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"";
    xml.open_with("Grantee", kind);
    xml.text("ID", &id);
    xml.close("Grantee");
    xml.text("Permission", "FULL_CONTROL");
    xml.close("Grant");
    xml.close("AccessControlList");
    xml.close("AccessControlPolicy");
    Answer::document(xml.finish())
}
