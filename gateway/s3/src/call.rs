//! One verified request, as operations see it.

use std::{net::IpAddr, sync::Arc};

use gateway_iam::{Action, Directory, PolicyContext, Principal, canonical_id};
use gateway_meta::{AccountId, UploadId, VersionId};
use gateway_object::{Bucket, ObjectRef, ObjectService, UploadRef};
use http::HeaderMap;
use node_proto::Clock;
use parking_lot::Mutex;

use crate::{
    authorization::{self, Evidence, Policies, Rules},
    body::{self, Payload},
    config::S3EdgeConfig,
    convert,
    error::{Code, Failure, Outcome},
    header,
    ops::payment,
    query::Query,
    sig_v2::SignedIn,
    target::Target,
    telemetry::Findings,
};

/// What operations work with.
pub(crate) struct Gateway {
    /// What S3 means.
    pub(crate) service: ObjectService,
    /// Who is who.
    pub(crate) directory: Arc<Directory>,
    /// The operator's settings.
    pub(crate) config: S3EdgeConfig,
    /// What conditions of policies are dated by.
    pub(crate) clock: Arc<dyn Clock>,
    /// Policies of buckets that were parsed.
    pub(crate) policies: Policies,
}

/// Where a request came from, as policies look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// Whether the connection is encrypted.
    pub(crate) secure: bool,
    /// Where its signature stood, if that was of version 2.
    pub(crate) version_2: Option<SignedIn>,
}

/// One request whose signature is verified and whose operation is allowed.
pub(crate) struct Call<'a> {
    /// What operations work with.
    pub(crate) gateway: &'a Gateway,
    /// Who asks.
    pub(crate) principal: Principal,
    /// The account that what is written belongs to: the bucket's owner, whoever writes; where there
    /// is no bucket yet, the account that asks.
    pub(crate) account: AccountId,
    /// Where the request came from.
    pub(crate) from: Origin,
    /// What the bucket's policy is judged with, where it has one.
    pub(crate) rules: Option<Arc<Rules>>,
    /// The headers, those of a presigned URL's query included.
    pub(crate) headers: HeaderMap,
    /// The query.
    pub(crate) query: Query,
    /// What is addressed.
    pub(crate) target: Target,
    /// Scheme and host that the client used, for `Location`.
    pub(crate) origin: String,
    /// What telemetry wants to know.
    pub(crate) findings: Arc<Findings>,
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

    /// The account that asks; the bucket's owner for those without credentials.
    pub(crate) fn caller(&self) -> AccountId {
        self.principal.account().unwrap_or(self.account)
    }

    /// Whether something else than the operation itself is allowed on what is addressed.
    pub(crate) fn allows(&self, action: Action) -> bool {
        self.allow_with(action, |_| {}).is_ok()
    }

    /// Allows an action on what is addressed, given what the body says.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) fn allow_with(
        &self,
        action: Action,
        add: impl FnOnce(&mut PolicyContext),
    ) -> Outcome<()> {
        let bucket = self.bucket.as_ref().ok_or(Code::InternalError)?;
        let action = match self.query.has("versionId") {
            true => action.on_version(),
            false => action,
        };
        let key = Some(self.target.key()).filter(|key| !key.is_empty());
        let rules = self.rules.as_ref().map(|rules| rules.with(add));
        authorization::judge(&self.principal, action, bucket, key, rules.as_ref())
    }

    /// Allows an action on an object of the bucket addressed that the body names.
    ///
    /// # Errors
    /// `AccessDenied`, faults.
    pub(crate) async fn allow_on(
        &self,
        action: Action,
        key: &str,
        version: Option<&str>,
    ) -> Outcome<()> {
        let bucket = self.bucket.as_ref().ok_or(Code::InternalError)?;
        let action = if version.is_some() { action.on_version() } else { action };
        let rules = match &self.rules {
            None => None,
            Some(rules) => {
                let rules = rules.with(|context| context.add_if("s3:VersionId", version));
                Some(rules.on(self.gateway, &bucket.name, key, version).await?)
            }
        };
        authorization::judge(&self.principal, action, bucket, Some(key), rules.as_ref())
    }

    /// Allows reading the source of a copy, in whichever bucket, with the tags that it may have.
    /// Tells whether the caller may also know that there is none.
    ///
    /// # Errors
    /// `AccessDenied`, `NoSuchBucket`, faults.
    pub(crate) async fn allow_source(
        &self,
        source: &ObjectRef,
        version: Option<VersionId>,
        with_tags: bool,
    ) -> Outcome<bool> {
        let bucket = self.gateway.service.bucket(&source.bucket).await?;
        payment::is_charged(&bucket, self.principal.account(), &self.headers)?;
        let evidence = Evidence::of(&self.headers, &self.query, self.from);
        let (key, who) = (Some(source.key.as_str()), &self.principal);
        let rules = Rules::of(self.gateway, who, &bucket, None, &evidence).await?;
        let rules = match rules {
            None => None,
            Some(rules) => {
                let version = version.map(|version| version.to_string());
                let rules = rules.with(|context| context.add_if("s3:VersionId", version.clone()));
                let version = version.as_deref();
                Some(rules.on(self.gateway, &bucket.name, &source.key, version).await?)
            }
        };
        let named = |action: Action| if version.is_some() { action.on_version() } else { action };
        let rules = rules.as_ref();
        authorization::judge(who, named(Action::GetObject), &bucket, key, rules)?;
        let tagging = named(Action::GetObjectTagging);
        let hides_tags = authorization::judge(who, tagging, &bucket, key, rules).is_err();
        if with_tags && hides_tags {
            // Only tags that are there must not be copied; what else is wrong, the copy tells.
            let tags = self.gateway.service.object_tags(source, version).await;
            if tags.is_ok_and(|(_, tags)| !tags.is_empty()) {
                return Err(Failure::new(Code::AccessDenied));
            }
        }
        check_owner(&self.headers, "x-amz-source-expected-bucket-owner", bucket.owner)?;
        Ok(authorization::judge(who, Action::ListBucket, &bucket, None, rules).is_ok())
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
