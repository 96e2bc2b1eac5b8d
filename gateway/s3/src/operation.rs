//! Which operation a request asks for: the allow-list of methods, sub-resources and parameters.
//!
//! S3 tells operations apart by query parameters, so a parameter that goes unnoticed turns one
//! operation into another: `DELETE /bucket?nosuch` must not delete the bucket. What this table does
//! not list is not implemented.
//!
//! Invariants:
//! - a sub-resource that S3 has and this table does not pair with the method answers 501;
//! - a write with any parameter its row does not list answers 501;
//! - a read ignores unknown parameters that have a value, as S3 does, and answers 501 to those
//!   without one, which look like sub-resources;
//! - `x-id` and the parameters of signatures never choose an operation.

use gateway_iam::Action;
use http::Method;

use crate::{
    error::{Code, Failure, Outcome},
    query::Query,
    target::Target,
};

/// An operation of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    GetBucketVersioning,
    GetBucketAcl,
    ListObjects,
    ListObjectsV2,
    ListMultipartUploads,
    DeleteObjects,
    PostObject,
    GetObject,
    HeadObject,
    GetObjectAttributes,
    GetObjectAcl,
    PutObject,
    CopyObject,
    DeleteObject,
    GetObjectTagging,
    PutObjectTagging,
    DeleteObjectTagging,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    PutBucketVersioning,
    ListObjectVersions,
    GetObjectLockConfiguration,
    PutObjectLockConfiguration,
    GetObjectRetention,
    PutObjectRetention,
    GetObjectLegalHold,
    PutObjectLegalHold,
    GetBucketLifecycleConfiguration,
    PutBucketLifecycleConfiguration,
    DeleteBucketLifecycle,
    GetBucketEncryption,
    PutBucketEncryption,
    DeleteBucketEncryption,
    GetBucketCors,
    PutBucketCors,
    DeleteBucketCors,
    GetBucketWebsite,
    PutBucketWebsite,
    DeleteBucketWebsite,
    GetBucketTagging,
    PutBucketTagging,
    DeleteBucketTagging,
    GetBucketRequestPayment,
    PutBucketRequestPayment,
    GetBucketLogging,
    PutBucketLogging,
    GetBucketAccelerateConfiguration,
    PutBucketAccelerateConfiguration,
    GetBucketAbac,
    PutBucketAbac,
    GetBucketPolicy,
    PutBucketPolicy,
    DeleteBucketPolicy,
    GetBucketPolicyStatus,
    RenameObject,
    GetBucketAnalyticsConfiguration,
    PutBucketAnalyticsConfiguration,
    DeleteBucketAnalyticsConfiguration,
    ListBucketAnalyticsConfigurations,
    GetBucketMetricsConfiguration,
    PutBucketMetricsConfiguration,
    DeleteBucketMetricsConfiguration,
    ListBucketMetricsConfigurations,
    GetBucketIntelligentTieringConfiguration,
    PutBucketIntelligentTieringConfiguration,
    DeleteBucketIntelligentTieringConfiguration,
    ListBucketIntelligentTieringConfigurations,
}

impl Operation {
    /// S3's name of the operation.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ListBuckets => "ListBuckets",
            Self::CreateBucket => "CreateBucket",
            Self::HeadBucket => "HeadBucket",
            Self::DeleteBucket => "DeleteBucket",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::GetBucketVersioning => "GetBucketVersioning",
            Self::GetBucketAcl => "GetBucketAcl",
            Self::ListObjects => "ListObjects",
            Self::ListObjectsV2 => "ListObjectsV2",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::DeleteObjects => "DeleteObjects",
            Self::PostObject => "PostObject",
            Self::GetObject => "GetObject",
            Self::HeadObject => "HeadObject",
            Self::GetObjectAttributes => "GetObjectAttributes",
            Self::GetObjectAcl => "GetObjectAcl",
            Self::PutObject => "PutObject",
            Self::CopyObject => "CopyObject",
            Self::DeleteObject => "DeleteObject",
            Self::GetObjectTagging => "GetObjectTagging",
            Self::PutObjectTagging => "PutObjectTagging",
            Self::DeleteObjectTagging => "DeleteObjectTagging",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::UploadPartCopy => "UploadPartCopy",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::ListParts => "ListParts",
            Self::PutBucketVersioning => "PutBucketVersioning",
            Self::ListObjectVersions => "ListObjectVersions",
            Self::GetObjectLockConfiguration => "GetObjectLockConfiguration",
            Self::PutObjectLockConfiguration => "PutObjectLockConfiguration",
            Self::GetObjectRetention => "GetObjectRetention",
            Self::PutObjectRetention => "PutObjectRetention",
            Self::GetObjectLegalHold => "GetObjectLegalHold",
            Self::PutObjectLegalHold => "PutObjectLegalHold",
            Self::GetBucketLifecycleConfiguration => "GetBucketLifecycleConfiguration",
            Self::PutBucketLifecycleConfiguration => "PutBucketLifecycleConfiguration",
            Self::DeleteBucketLifecycle => "DeleteBucketLifecycle",
            Self::GetBucketEncryption => "GetBucketEncryption",
            Self::PutBucketEncryption => "PutBucketEncryption",
            Self::DeleteBucketEncryption => "DeleteBucketEncryption",
            Self::GetBucketCors => "GetBucketCors",
            Self::PutBucketCors => "PutBucketCors",
            Self::DeleteBucketCors => "DeleteBucketCors",
            Self::GetBucketWebsite => "GetBucketWebsite",
            Self::PutBucketWebsite => "PutBucketWebsite",
            Self::DeleteBucketWebsite => "DeleteBucketWebsite",
            Self::GetBucketTagging => "GetBucketTagging",
            Self::PutBucketTagging => "PutBucketTagging",
            Self::DeleteBucketTagging => "DeleteBucketTagging",
            Self::GetBucketRequestPayment => "GetBucketRequestPayment",
            Self::PutBucketRequestPayment => "PutBucketRequestPayment",
            Self::GetBucketLogging => "GetBucketLogging",
            Self::PutBucketLogging => "PutBucketLogging",
            Self::GetBucketAccelerateConfiguration => "GetBucketAccelerateConfiguration",
            Self::PutBucketAccelerateConfiguration => "PutBucketAccelerateConfiguration",
            Self::GetBucketAbac => "GetBucketAbac",
            Self::PutBucketAbac => "PutBucketAbac",
            Self::GetBucketPolicy => "GetBucketPolicy",
            Self::PutBucketPolicy => "PutBucketPolicy",
            Self::DeleteBucketPolicy => "DeleteBucketPolicy",
            Self::GetBucketPolicyStatus => "GetBucketPolicyStatus",
            Self::RenameObject => "RenameObject",
            Self::GetBucketAnalyticsConfiguration => "GetBucketAnalyticsConfiguration",
            Self::PutBucketAnalyticsConfiguration => "PutBucketAnalyticsConfiguration",
            Self::DeleteBucketAnalyticsConfiguration => "DeleteBucketAnalyticsConfiguration",
            Self::ListBucketAnalyticsConfigurations => "ListBucketAnalyticsConfigurations",
            Self::GetBucketMetricsConfiguration => "GetBucketMetricsConfiguration",
            Self::PutBucketMetricsConfiguration => "PutBucketMetricsConfiguration",
            Self::DeleteBucketMetricsConfiguration => "DeleteBucketMetricsConfiguration",
            Self::ListBucketMetricsConfigurations => "ListBucketMetricsConfigurations",
            Self::GetBucketIntelligentTieringConfiguration => {
                "GetBucketIntelligentTieringConfiguration"
            }
            Self::PutBucketIntelligentTieringConfiguration => {
                "PutBucketIntelligentTieringConfiguration"
            }
            Self::DeleteBucketIntelligentTieringConfiguration => {
                "DeleteBucketIntelligentTieringConfiguration"
            }
            Self::ListBucketIntelligentTieringConfigurations => {
                "ListBucketIntelligentTieringConfigurations"
            }
        }
    }

    /// What a caller must be allowed to do on the bucket, or on the server.
    pub(crate) const fn action(self) -> Action {
        match self {
            Self::ListBuckets => Action::ListAllMyBuckets,
            Self::CreateBucket => Action::CreateBucket,
            Self::DeleteBucket => Action::DeleteBucket,
            Self::GetBucketLocation => Action::GetBucketLocation,
            Self::GetBucketVersioning => Action::GetBucketVersioning,
            Self::GetBucketAcl => Action::GetBucketAcl,
            Self::HeadBucket | Self::ListObjects | Self::ListObjectsV2 => Action::ListBucket,
            Self::ListMultipartUploads => Action::ListBucketMultipartUploads,
            Self::GetObject | Self::HeadObject => Action::GetObject,
            Self::GetObjectAcl => Action::GetObjectAcl,
            Self::GetObjectAttributes => Action::GetObjectAttributes,
            Self::PostObject
            | Self::PutObject
            | Self::CopyObject
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::UploadPartCopy
            | Self::CompleteMultipartUpload
            | Self::RenameObject => Action::PutObject,
            Self::DeleteObject | Self::DeleteObjects => Action::DeleteObject,
            Self::GetObjectTagging => Action::GetObjectTagging,
            Self::PutObjectTagging => Action::PutObjectTagging,
            Self::DeleteObjectTagging => Action::DeleteObjectTagging,
            Self::AbortMultipartUpload => Action::AbortMultipartUpload,
            Self::ListParts => Action::ListMultipartUploadParts,
            Self::PutBucketVersioning => Action::PutBucketVersioning,
            Self::ListObjectVersions => Action::ListBucketVersions,
            Self::GetObjectLockConfiguration => Action::GetBucketObjectLockConfiguration,
            Self::PutObjectLockConfiguration => Action::PutBucketObjectLockConfiguration,
            Self::GetObjectRetention => Action::GetObjectRetention,
            Self::PutObjectRetention => Action::PutObjectRetention,
            Self::GetObjectLegalHold => Action::GetObjectLegalHold,
            Self::PutObjectLegalHold => Action::PutObjectLegalHold,
            Self::GetBucketLifecycleConfiguration => Action::GetLifecycleConfiguration,
            Self::PutBucketLifecycleConfiguration | Self::DeleteBucketLifecycle => {
                Action::PutLifecycleConfiguration
            }
            Self::GetBucketEncryption => Action::GetEncryptionConfiguration,
            Self::PutBucketEncryption | Self::DeleteBucketEncryption => {
                Action::PutEncryptionConfiguration
            }
            Self::GetBucketCors => Action::GetBucketCors,
            Self::PutBucketCors | Self::DeleteBucketCors => Action::PutBucketCors,
            Self::GetBucketWebsite => Action::GetBucketWebsite,
            Self::PutBucketWebsite => Action::PutBucketWebsite,
            Self::DeleteBucketWebsite => Action::DeleteBucketWebsite,
            Self::GetBucketTagging => Action::GetBucketTagging,
            Self::PutBucketTagging | Self::DeleteBucketTagging => Action::PutBucketTagging,
            Self::GetBucketRequestPayment => Action::GetBucketRequestPayment,
            Self::PutBucketRequestPayment => Action::PutBucketRequestPayment,
            Self::GetBucketLogging => Action::GetBucketLogging,
            Self::PutBucketLogging => Action::PutBucketLogging,
            Self::GetBucketAccelerateConfiguration => Action::GetAccelerateConfiguration,
            Self::PutBucketAccelerateConfiguration => Action::PutAccelerateConfiguration,
            Self::GetBucketAbac => Action::GetBucketAbac,
            Self::PutBucketAbac => Action::PutBucketAbac,
            Self::GetBucketPolicy => Action::GetBucketPolicy,
            Self::PutBucketPolicy => Action::PutBucketPolicy,
            Self::DeleteBucketPolicy => Action::DeleteBucketPolicy,
            Self::GetBucketPolicyStatus => Action::GetBucketPolicyStatus,
            Self::GetBucketAnalyticsConfiguration | Self::ListBucketAnalyticsConfigurations => {
                Action::GetAnalyticsConfiguration
            }
            Self::PutBucketAnalyticsConfiguration | Self::DeleteBucketAnalyticsConfiguration => {
                Action::PutAnalyticsConfiguration
            }
            Self::GetBucketMetricsConfiguration | Self::ListBucketMetricsConfigurations => {
                Action::GetMetricsConfiguration
            }
            Self::PutBucketMetricsConfiguration | Self::DeleteBucketMetricsConfiguration => {
                Action::PutMetricsConfiguration
            }
            Self::GetBucketIntelligentTieringConfiguration
            | Self::ListBucketIntelligentTieringConfigurations => {
                Action::GetIntelligentTieringConfiguration
            }
            Self::PutBucketIntelligentTieringConfiguration
            | Self::DeleteBucketIntelligentTieringConfiguration => {
                Action::PutIntelligentTieringConfiguration
            }
        }
    }

    /// Whether the operation works on the server rather than on an existing bucket.
    pub(crate) const fn is_on_service(self) -> bool {
        matches!(self, Self::ListBuckets | Self::CreateBucket)
    }
}

/// What kind of thing a row applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Service,
    Bucket,
    Object,
}

/// How a row wants the request to be told apart beyond its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nothing else matters.
    Any,
    /// `x-amz-copy-source` must be there.
    CopySource,
    /// The body must be a browser's form.
    Form,
}

struct Row {
    operation: Operation,
    method: Method,
    scope: Scope,
    mark: Mark,
    /// Parameters that choose the row; all must be there.
    selectors: &'static [&'static str],
    /// Further parameters it understands.
    parameters: &'static [&'static str],
}

macro_rules! rows {
    ($($operation:ident: $method:ident $scope:ident $mark:ident
       [$($selector:literal)*] [$($parameter:literal)*];)*) => {
        static ROWS: &[Row] = &[$(Row {
            operation: Operation::$operation,
            method: Method::$method,
            scope: Scope::$scope,
            mark: Mark::$mark,
            selectors: &[$($selector,)*],
            parameters: &[$($parameter,)*],
        },)*];
    };
}

rows! {
    ListBuckets: GET Service Any []
        ["prefix" "max-buckets" "continuation-token" "bucket-region"];
    CreateBucket: PUT Bucket Any [] [];
    HeadBucket: HEAD Bucket Any [] [];
    DeleteBucket: DELETE Bucket Any [] [];
    GetBucketLocation: GET Bucket Any ["location"] [];
    GetBucketVersioning: GET Bucket Any ["versioning"] [];
    GetBucketAcl: GET Bucket Any ["acl"] [];
    ListObjects: GET Bucket Any []
        ["prefix" "delimiter" "marker" "max-keys" "encoding-type"];
    ListObjectsV2: GET Bucket Any ["list-type"]
        ["prefix" "delimiter" "start-after" "max-keys" "encoding-type" "continuation-token"
         "fetch-owner"];
    ListMultipartUploads: GET Bucket Any ["uploads"]
        ["prefix" "delimiter" "key-marker" "upload-id-marker" "max-uploads" "encoding-type"];
    DeleteObjects: POST Bucket Any ["delete"] [];
    PostObject: POST Bucket Form [] [];
    GetObject: GET Object Any []
        ["versionId" "partNumber" "response-content-type" "response-content-language"
         "response-expires" "response-cache-control" "response-content-disposition"
         "response-content-encoding"];
    HeadObject: HEAD Object Any []
        ["versionId" "partNumber" "response-content-type" "response-content-language"
         "response-expires" "response-cache-control" "response-content-disposition"
         "response-content-encoding"];
    GetObjectAttributes: GET Object Any ["attributes"] ["versionId"];
    GetObjectAcl: GET Object Any ["acl"] ["versionId"];
    GetObjectTagging: GET Object Any ["tagging"] ["versionId"];
    ListParts: GET Object Any ["uploadId"] ["max-parts" "part-number-marker" "encoding-type"];
    PutObject: PUT Object Any [] [];
    CopyObject: PUT Object CopySource [] [];
    PutObjectTagging: PUT Object Any ["tagging"] ["versionId"];
    UploadPart: PUT Object Any ["partNumber" "uploadId"] [];
    UploadPartCopy: PUT Object CopySource ["partNumber" "uploadId"] [];
    DeleteObject: DELETE Object Any [] ["versionId"];
    DeleteObjectTagging: DELETE Object Any ["tagging"] ["versionId"];
    AbortMultipartUpload: DELETE Object Any ["uploadId"] [];
    CreateMultipartUpload: POST Object Any ["uploads"] [];
    CompleteMultipartUpload: POST Object Any ["uploadId"] [];
    PutBucketVersioning: PUT Bucket Any ["versioning"] [];
    ListObjectVersions: GET Bucket Any ["versions"] ["prefix" "delimiter" "key-marker" "version-id-marker" "max-keys" "encoding-type"];
    GetObjectLockConfiguration: GET Bucket Any ["object-lock"] [];
    PutObjectLockConfiguration: PUT Bucket Any ["object-lock"] [];
    GetObjectRetention: GET Object Any ["retention"] ["versionId"];
    PutObjectRetention: PUT Object Any ["retention"] ["versionId"];
    GetObjectLegalHold: GET Object Any ["legal-hold"] ["versionId"];
    PutObjectLegalHold: PUT Object Any ["legal-hold"] ["versionId"];
    GetBucketLifecycleConfiguration: GET Bucket Any ["lifecycle"] [];
    PutBucketLifecycleConfiguration: PUT Bucket Any ["lifecycle"] [];
    DeleteBucketLifecycle: DELETE Bucket Any ["lifecycle"] [];
    GetBucketEncryption: GET Bucket Any ["encryption"] [];
    PutBucketEncryption: PUT Bucket Any ["encryption"] [];
    DeleteBucketEncryption: DELETE Bucket Any ["encryption"] [];
    GetBucketCors: GET Bucket Any ["cors"] [];
    PutBucketCors: PUT Bucket Any ["cors"] [];
    DeleteBucketCors: DELETE Bucket Any ["cors"] [];
    GetBucketWebsite: GET Bucket Any ["website"] [];
    PutBucketWebsite: PUT Bucket Any ["website"] [];
    DeleteBucketWebsite: DELETE Bucket Any ["website"] [];
    GetBucketTagging: GET Bucket Any ["tagging"] [];
    PutBucketTagging: PUT Bucket Any ["tagging"] [];
    DeleteBucketTagging: DELETE Bucket Any ["tagging"] [];
    GetBucketRequestPayment: GET Bucket Any ["requestPayment"] [];
    PutBucketRequestPayment: PUT Bucket Any ["requestPayment"] [];
    GetBucketLogging: GET Bucket Any ["logging"] [];
    PutBucketLogging: PUT Bucket Any ["logging"] [];
    GetBucketAccelerateConfiguration: GET Bucket Any ["accelerate"] [];
    PutBucketAccelerateConfiguration: PUT Bucket Any ["accelerate"] [];
    GetBucketAbac: GET Bucket Any ["abac"] [];
    PutBucketAbac: PUT Bucket Any ["abac"] [];
    GetBucketPolicy: GET Bucket Any ["policy"] [];
    PutBucketPolicy: PUT Bucket Any ["policy"] [];
    DeleteBucketPolicy: DELETE Bucket Any ["policy"] [];
    GetBucketPolicyStatus: GET Bucket Any ["policyStatus"] [];
    RenameObject: PUT Object Any ["renameObject"] [];
    GetBucketAnalyticsConfiguration: GET Bucket Any ["analytics" "id"] [];
    PutBucketAnalyticsConfiguration: PUT Bucket Any ["analytics" "id"] [];
    DeleteBucketAnalyticsConfiguration: DELETE Bucket Any ["analytics" "id"] [];
    ListBucketAnalyticsConfigurations: GET Bucket Any ["analytics"] ["continuation-token"];
    GetBucketMetricsConfiguration: GET Bucket Any ["metrics" "id"] [];
    PutBucketMetricsConfiguration: PUT Bucket Any ["metrics" "id"] [];
    DeleteBucketMetricsConfiguration: DELETE Bucket Any ["metrics" "id"] [];
    ListBucketMetricsConfigurations: GET Bucket Any ["metrics"] ["continuation-token"];
    GetBucketIntelligentTieringConfiguration: GET Bucket Any ["intelligent-tiering" "id"] [];
    PutBucketIntelligentTieringConfiguration: PUT Bucket Any ["intelligent-tiering" "id"] [];
    DeleteBucketIntelligentTieringConfiguration: DELETE Bucket Any ["intelligent-tiering" "id"] [];
    ListBucketIntelligentTieringConfigurations: GET Bucket Any ["intelligent-tiering"] ["continuation-token"];
}

/// Every parameter that chooses an operation of S3 or changes what an operation works on.
const SUBRESOURCES: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "annotationName",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "events",
    "id",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "list-type",
    "location",
    "logging",
    "max-directory-buckets",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// The one operation that a client names in `x-id` alone, elsewhere with a host of its own: without
/// directory buckets it must not be taken for `ListBuckets`.
const DIRECTORY_BUCKETS: &str = "ListDirectoryBuckets";

/// What the router looks at besides the query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    /// The method.
    pub(crate) method: &'a Method,
    /// What is addressed.
    pub(crate) target: &'a Target,
    /// Whether `x-amz-copy-source` is there.
    pub(crate) copies: bool,
    /// Whether the body is a browser's form.
    pub(crate) form: bool,
}

/// Finds the operation.
///
/// # Errors
/// `NotImplemented` for what the table does not list, `MethodNotAllowed` for methods S3 does not
/// know, `InvalidArgument` for contradictions.
pub(crate) fn route(shape: Shape<'_>, query: &Query) -> Outcome<Operation> {
    let scope = match shape.target {
        Target::Service => Scope::Service,
        Target::Bucket { .. } => Scope::Bucket,
        Target::Object { .. } => Scope::Object,
    };
    let on_method = || ROWS.iter().filter(|row| row.scope == scope && row.method == *shape.method);
    let row = on_method()
        .filter(|row| match row.mark {
            Mark::Any => true,
            Mark::CopySource => shape.copies,
            Mark::Form => shape.form,
        })
        .filter(|row| row.selectors.iter().all(|selector| query.has(selector)))
        .max_by_key(|row| (row.selectors.len(), row.mark != Mark::Any));
    let Some(row) = row else {
        let asks = |name: &str| !is_of_signature(name) && name != "x-id";
        let asked = query.iter().find(|parameter| asks(&parameter.name));
        return Err(match asked {
            Some(parameter) => refused(shape.method, &parameter.name),
            None => Failure::new(Code::MethodNotAllowed),
        });
    };
    check_parameters(row, shape.method, query)?;
    if let Some(list_type) = query.get("list-type").filter(|list_type| *list_type != "2") {
        let message = "Invalid List Type specified in Query";
        return Err(Failure::invalid_argument("list-type", list_type, message));
    }
    Ok(row.operation)
}

fn check_parameters(row: &Row, method: &Method, query: &Query) -> Outcome<()> {
    let reads = method.is_safe();
    for (index, parameter) in query.iter().enumerate() {
        let name = parameter.name.as_str();
        if is_of_signature(name) || (name == "x-id" && parameter.value != DIRECTORY_BUCKETS) {
            continue;
        }
        if row.selectors.contains(&name) || row.parameters.contains(&name) {
            if query.iter().take(index).any(|earlier| earlier.name == name) {
                let message = "A query parameter was given more than once.";
                return Err(Failure::with_message(Code::InvalidArgument, message)
                    .detail("ArgumentName", name));
            }
            continue;
        }
        let harmless = reads && parameter.valued && name != "x-id" && !SUBRESOURCES.contains(&name);
        if !harmless {
            return Err(refused(method, name));
        }
    }
    Ok(())
}

/// Parameters of a signature in the query, and headers that a presigned URL carries there.
fn is_of_signature(name: &str) -> bool {
    let amz = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
    amz || matches!(name, "AWSAccessKeyId" | "Signature" | "Expires")
}

fn refused(method: &Method, parameter: &str) -> Failure {
    Failure::not_implemented(&format!("{method} with the query parameter '{parameter}'"))
        .detail("Header", parameter)
}

#[cfg(test)]
mod tests;
