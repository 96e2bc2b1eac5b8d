//! Deleting objects, one and many.

use gateway_object::{DeleteObject, DeleteReceipt, ObjectRef};
use http::StatusCode;

use crate::{
    answer::Answer,
    call::Call,
    convert,
    error::{Code, Failure, Outcome},
    header, lock_header,
    xml::{Element, Writer},
};

/// Most objects of one request, which is S3's limit.
const OBJECTS_MAX: usize = 1000;

pub(super) async fn delete_object(call: Call<'_>) -> Outcome<Answer> {
    for name in ["x-amz-if-match-last-modified-time", "x-amz-if-match-size"] {
        if call.headers.contains_key(name) {
            return Err(Failure::not_implemented(&format!("The header {name}")));
        }
    }
    let request = DeleteObject {
        target: call.object(),
        version: call.version()?,
        if_match: header::write_condition(&call.headers)?.if_match,
        bypass_governance: lock_header::bypasses_governance(&call)?,
    };
    let receipt = call.gateway.service.delete_object(request).await?;
    let mut answer = Answer::empty(StatusCode::NO_CONTENT);
    let version = receipt.version.and_then(convert::shown_version);
    answer.set_if("x-amz-version-id", version.as_deref())?;
    if receipt.delete_marker {
        answer.set("x-amz-delete-marker", "true")?;
    }
    Ok(answer)
}

pub(super) async fn delete_objects(call: Call<'_>) -> Outcome<Answer> {
    let document = call.document().await?;
    if !document.checked {
        return Err(Failure::invalid_request(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    let root = document.root("Delete")?;
    let quiet = root.child_text("Quiet").is_some_and(|quiet| quiet.trim() == "true");
    let wanted: Vec<Wanted> = root.all("Object").map(Wanted::read).collect::<Outcome<_>>()?;
    if wanted.is_empty() || wanted.len() > OBJECTS_MAX {
        return Err(Failure::new(Code::MalformedXml));
    }
    let bypass = lock_header::bypasses_governance(&call)?;
    let bucket = call.target.bucket();
    // What cannot be asked of the service fails alone; the rest goes on.
    let (asked, refused): (Vec<&Wanted>, Vec<&Wanted>) =
        wanted.iter().partition(|wanted| wanted.version.is_ok());
    let requests = asked.iter().map(|wanted| wanted.request(bucket, bypass)).collect();
    let results = call.gateway.service.delete_objects(bucket, requests).await?;
    let mut xml = Writer::rooted("DeleteResult");
    for (wanted, result) in asked.iter().zip(results) {
        match result {
            Ok(receipt) if !quiet => deleted(wanted, &receipt, &mut xml),
            Ok(_) => {}
            Err(error) => failed(wanted, &error.into(), &mut xml),
        }
    }
    for wanted in refused {
        let failure = Failure::with_message(Code::NoSuchVersion, "Invalid version id specified");
        failed(wanted, &failure, &mut xml);
    }
    xml.close("DeleteResult");
    Ok(Answer::document(xml.finish()))
}

/// An object as the client lists it.
struct Wanted {
    key: String,
    version_text: Option<String>,
    version: Result<Option<gateway_meta::VersionId>, ()>,
    etag: Option<String>,
}

impl Wanted {
    fn read(element: &Element) -> Outcome<Self> {
        let key = element.child_text("Key").filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| Failure::new(Code::MalformedXml))?;
        for name in ["LastModifiedTime", "Size"] {
            if element.child(name).is_some() {
                return Err(Failure::not_implemented(&format!("The element {name}")));
            }
        }
        let text = |name| element.child_text(name).map(str::trim).filter(|text| !text.is_empty());
        let version_text = text("VersionId");
        let version = version_text.map(|text| convert::parse_version_id(text).ok_or(()));
        Ok(Self {
            key: key.to_owned(),
            version_text: version_text.map(str::to_owned),
            version: version.transpose(),
            etag: text("ETag").map(str::to_owned),
        })
    }

    fn request(&self, bucket: &str, bypass_governance: bool) -> DeleteObject {
        DeleteObject {
            target: ObjectRef { bucket: bucket.to_owned(), key: self.key.clone() },
            version: self.version.unwrap_or_default(),
            if_match: self.etag.as_deref().map(convert::etag_condition),
            bypass_governance,
        }
    }
}

fn deleted(wanted: &Wanted, receipt: &DeleteReceipt, xml: &mut Writer) {
    xml.open("Deleted");
    xml.text("Key", &wanted.key);
    xml.text_if("VersionId", wanted.version_text.as_deref());
    if receipt.delete_marker {
        xml.value("DeleteMarker", true);
        let version = receipt.version.and_then(convert::shown_version);
        xml.text_if("DeleteMarkerVersionId", version.as_deref());
    }
    xml.close("Deleted");
}

fn failed(wanted: &Wanted, failure: &Failure, xml: &mut Writer) {
    xml.open("Error");
    xml.text("Key", &wanted.key);
    xml.text_if("VersionId", wanted.version_text.as_deref());
    xml.text("Code", failure.code().name());
    xml.text("Message", failure.message());
    xml.close("Error");
}
