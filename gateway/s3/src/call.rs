//! One verified request, as operations see it.

use std::sync::Arc;

use gateway_iam::{Action, Decision, Directory, Principal, Resource, authorize, canonical_id};
use gateway_meta::{AccountId, UploadId, VersionId};
use gateway_object::{Bucket, ObjectRef, ObjectService, UploadRef};
use http::HeaderMap;
use parking_lot::Mutex;

use crate::{
    body::{self, Payload},
    config::S3EdgeConfig,
    convert,
    error::{Code, Failure, Outcome},
    header,
    query::Query,
    target::Target,
};

/// What operations work with.
pub(crate) struct Gateway {
    /// What S3 means.
    pub(crate) service: ObjectService,
    /// Who is who.
    pub(crate) directory: Arc<Directory>,
    /// The operator's settings.
    pub(crate) config: S3EdgeConfig,
}

/// One request whose signature is verified and whose operation is allowed.
pub(crate) struct Call<'a> {
    /// What operations work with.
    pub(crate) gateway: &'a Gateway,
    /// Who asks; never anonymous.
    pub(crate) principal: Principal,
    /// The account that asks.
    pub(crate) account: AccountId,
    /// The headers, those of a presigned URL's query included.
    pub(crate) headers: HeaderMap,
    /// The query.
    pub(crate) query: Query,
    /// What is addressed.
    pub(crate) target: Target,
    /// Scheme and host that the client used, for `Location`.
    pub(crate) origin: String,
    /// The bucket, for operations on an existing one.
    pub(crate) bucket: Option<Arc<Bucket>>,
    /// The body, until it is taken. Behind a lock only because a body may move between threads but
    /// not be shared by them.
    pub(crate) payload: Mutex<Option<Payload>>,
}

impl Call<'_> {
    /// The object addressed.
    pub(crate) fn object(&self) -> ObjectRef {
        ObjectRef { bucket: self.target.bucket().to_owned(), key: self.target.key().to_owned() }
    }

    /// The version asked for.
    ///
    /// # Errors
    /// `InvalidArgument` when it is no version id of ours.
    pub(crate) fn version(&self) -> Outcome<Option<VersionId>> {
        self.query
            .get("versionId")
            .map(|text| {
                convert::parse_version_id(text).ok_or_else(|| {
                    Failure::invalid_argument("versionId", text, "Invalid version id specified")
                })
            })
            .transpose()
    }

    /// The upload addressed.
    ///
    /// # Errors
    /// `NoSuchUpload` when the id is none of ours.
    pub(crate) fn upload(&self) -> Outcome<UploadRef> {
        let text = self.query.get("uploadId").unwrap_or_default();
        let upload: UploadId = text.parse().map_err(|()| Code::NoSuchUpload)?;
        Ok(UploadRef { target: self.object(), upload })
    }

    /// The number of the part addressed.
    ///
    /// # Errors
    /// `InvalidArgument` unless it is 1 to 10,000.
    pub(crate) fn part_number(&self) -> Outcome<Option<u16>> {
        let Some(text) = self.query.get("partNumber") else {
            return Ok(None);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (1..=10_000).contains(number));
        number.map(Some).ok_or_else(|| {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            Failure::invalid_argument("partNumber", text, message)
        })
    }

    /// Takes the body.
    pub(crate) fn take_payload(&self) -> Outcome<Payload> {
        self.payload.lock().take().ok_or_else(|| Failure::new(Code::MissingRequestBody))
    }

    /// Reads the body as a document.
    ///
    /// # Errors
    /// As [`body::read_document`].
    pub(crate) async fn document(&self) -> Outcome<body::Document> {
        let payload = self.take_payload()?;
        let max_bytes = self.gateway.config.document_len_bytes_max;
        body::read_document(payload, &self.headers, max_bytes).await
    }

    /// Whether something else than the operation itself is allowed on the bucket addressed.
    pub(crate) fn allows(&self, action: Action) -> bool {
        let owner = self.bucket.as_ref().map(|bucket| bucket.owner);
        owner.is_some_and(|owner| allow(&self.principal, action, owner).is_ok())
    }

    /// Allows an action on another bucket than the one addressed, and finds that bucket.
    ///
    /// # Errors
    /// `AccessDenied`, `NoSuchBucket`, faults.
    pub(crate) async fn allow_elsewhere(&self, action: Action, bucket: &str) -> Outcome<()> {
        let record = self.gateway.service.bucket(bucket).await?;
        allow(&self.principal, action, record.owner)?;
        check_owner(&self.headers, "x-amz-source-expected-bucket-owner", record.owner)
    }
}

/// Refuses what nothing allows.
///
/// # Errors
/// `AccessDenied`.
pub(crate) fn allow(principal: &Principal, action: Action, owner: AccountId) -> Outcome<()> {
    match authorize(principal, action, &Resource::Bucket { owner }) {
        Decision::Allow => Ok(()),
        Decision::Deny => Err(Failure::new(Code::AccessDenied)),
    }
}

/// Compares the owner a client expects with the one there is. An account goes by its canonical id
/// or by its number, which S3 writes with twelve digits.
///
/// # Errors
/// `AccessDenied` when it is another.
pub(crate) fn check_owner(headers: &HeaderMap, name: &str, owner: AccountId) -> Outcome<()> {
    let Some(expected) = header::text(headers, name)? else {
        return Ok(());
    };
    let by_number = expected.parse().is_ok_and(|number: u64| number == owner.0);
    if by_number || expected == canonical_id(owner) {
        return Ok(());
    }
    Err(Failure::new(Code::AccessDenied))
}
