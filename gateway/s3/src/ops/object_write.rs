//! Writing objects.

use gateway_meta::{VersionId, record::StoredChecksum};
use gateway_object::{PutObject, WriteReceipt};
use http::StatusCode;

use super::lifecycle;
use crate::{
    answer::Answer, call::Call, convert, error::Outcome, header, lock_header, sse, xml::Writer,
};

pub(super) async fn put_object(call: Call<'_>) -> Outcome<Answer> {
    header::refuse_unsupported(&call.headers)?;
    let request = PutObject {
        target: call.object(),
        writer: call.account,
        attributes: header::attributes(&call.headers)?,
        condition: header::write_condition(&call.headers)?,
        body: call.take_payload()?.into_object_body(&call.headers)?,
    };
    lock_header::wants_digest(&request.attributes.lock, &request.body.expected)?;
    let receipt = call.gateway.service.put_object(request).await?;
    let mut answer = written(&call, &receipt)?;
    lifecycle::tell_expiry_of_written(&call, call.target.key(), &receipt, &mut answer)?;
    Ok(answer)
}

/// The answer to a stored object.
pub(super) fn written(call: &Call<'_>, receipt: &WriteReceipt) -> Outcome<Answer> {
    let mut answer = Answer::empty(StatusCode::OK);
    sse::tell_writer(call, &receipt.encryption, &mut answer)?;
    answer.set("etag", &convert::quoted_etag(&receipt.etag))?;
    set_version(receipt.version, &mut answer)?;
    if let Some(checksum) = &receipt.checksum {
        set_checksum(checksum, &mut answer)?;
        answer.set("x-amz-checksum-type", convert::checksum_type_name(checksum.kind))?;
    }
    Ok(answer)
}

/// Names a version. [`Answer::of_bucket`] takes the name back where there is only one.
pub(super) fn set_version(version: VersionId, answer: &mut Answer) -> Outcome<()> {
    answer.set("x-amz-version-id", &version.to_string())
}

/// Tells a checksum in its header.
pub(super) fn set_checksum(checksum: &StoredChecksum, answer: &mut Answer) -> Outcome<()> {
    let name = convert::checksum_header(checksum.algorithm);
    answer.set(name, &convert::checksum_value(checksum))
}

/// Tells a checksum in a document.
pub(super) fn write_checksum(checksum: Option<&StoredChecksum>, xml: &mut Writer) {
    if let Some(checksum) = checksum {
        let element = convert::checksum_element(checksum.algorithm);
        xml.text(element, &convert::checksum_value(checksum));
        xml.text("ChecksumType", convert::checksum_type_name(checksum.kind));
    }
}
