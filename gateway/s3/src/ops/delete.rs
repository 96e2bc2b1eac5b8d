//! Deleting objects, one and many.

use gateway_iam::Action;
use gateway_object::{DeleteObject, DeleteReceipt, ObjectRef};
use http::StatusCode;

use super::versioning::refuse_mfa;
use crate::{
    access_line::BatchDeletion,
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
    refuse_mfa(&call.headers)?;
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
    let version = receipt.version.map(|version| version.to_string());
    answer.set_if("x-amz-version-id", version.as_deref())?;
    if receipt.delete_marker {
        answer.set("x-amz-delete-marker", "true")?;
    }
    Ok(answer)
}

pub(super) async fn delete_objects(call: Call<'_>) -> Outcome<Answer> {
    refuse_mfa(&call.headers)?;
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
    let bucket = call.target.bucket();
    // What cannot be asked of the service fails alone; the rest goes on.
    let (mut asked, mut refused) = (Vec::new(), Vec::new());
    let mut requests = Vec::new();
    for wanted in &wanted {
        if call.rules.is_some() {
            // A judgement takes a while, and there may be a thousand.
            tokio::task::yield_now().await;
        }
        match wanted.allowed(&call).await {
            Ok(bypass) => {
                requests.push(wanted.request(bucket, bypass));
                asked.push(wanted);
            }
            Err(failure) => refused.push((wanted, failure)),
        }
    }
    let results = call.gateway.service.delete_objects(bucket, requests).await?;
    let mut xml = Writer::rooted("DeleteResult");
    for (wanted, result) in asked.iter().zip(results) {
        let result = result.map_err(Failure::from);
        wanted.log(&call, result.as_ref().err());
        match result {
            Ok(receipt) if !quiet => deleted(wanted, &receipt, &mut xml),
            Ok(_) => {}
            Err(failure) => failed(wanted, &failure, &mut xml),
        }
    }
    for (wanted, failure) in refused {
        wanted.log(&call, Some(&failure));
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
    /// Has the bucket's access log told of the object, if there is one.
    fn log(&self, call: &Call<'_>, failure: Option<&Failure>) {
        if call.bucket.as_ref().is_some_and(|bucket| bucket.configs.logging.is_some()) {
            call.findings.batch_deletions.lock().push(BatchDeletion {
                key: self.key.clone(),
                version: self.version_text.clone(),
                failure: failure.map(Failure::code),
            });
        }
    }

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

    /// Allows the deletion. Tells whether retention in governance mode shall not count.
    async fn allowed(&self, call: &Call<'_>) -> Outcome<bool> {
        if self.version.is_err() {
            let message = "Invalid version id specified";
            return Err(Failure::with_message(Code::NoSuchVersion, message));
        }
        let version = self.version_text.as_deref();
        call.allow_on(Action::DeleteObject, &self.key, version).await?;
        if !lock_header::asks_to_bypass(&call.headers)? {
            return Ok(false);
        }
        let bypass = Action::BypassGovernanceRetention;
        Ok(call.allow_on(bypass, &self.key, version).await.is_ok())
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
        let version = receipt.version.map(|version| version.to_string());
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
