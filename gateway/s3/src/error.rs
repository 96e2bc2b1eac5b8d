//! What a failed request is answered with: S3's error codes and the error document.
//!
//! Owns [`Code`], the one list of codes the edge uses with their statuses and standard messages,
//! and [`Failure`], one failed request. Which failure of the domain becomes which code is
//! `error_table`'s business.
//!
//! Invariants:
//! - every code has exactly one status, so a client may rely on either;
//! - messages never carry internals: faults are logged, not told.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::xml::{self, Writer};

macro_rules! codes {
    ($($code:ident = $name:literal, $status:ident, $message:literal;)*) => {
        /// An error code of S3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $($code,)* }

        impl Code {
            /// Every code, in the order of the table.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// Name, status and standard message.
            const fn spec(self) -> (&'static str, StatusCode, &'static str) {
                match self {
                    $(Self::$code => ($name, StatusCode::$status, $message),)*
                }
            }
        }
    };
}

codes! {
    AccessControlListNotSupported = "AccessControlListNotSupported", BAD_REQUEST,
        "The bucket does not allow ACLs.";
    AccessDenied = "AccessDenied", FORBIDDEN, "Access Denied";
    AccessForbidden = "AccessForbidden", FORBIDDEN,
        "CORSResponse: CORS is not enabled for this bucket.";
    AuthorizationHeaderMalformed = "AuthorizationHeaderMalformed", BAD_REQUEST,
        "The authorization header that you provided is not valid.";
    AuthorizationQueryParameters = "AuthorizationQueryParametersError", BAD_REQUEST,
        "The authorization query parameters that you provided are not valid.";
    BadDigest = "BadDigest", BAD_REQUEST,
        "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BadRequest = "BadRequest", BAD_REQUEST, "An error occurred when parsing the HTTP request.";
    BucketAlreadyExists = "BucketAlreadyExists", CONFLICT,
        "The requested bucket name is not available. Select a different name and try again.";
    BucketAlreadyOwnedByYou = "BucketAlreadyOwnedByYou", CONFLICT,
        "The bucket that you tried to create already exists, and you own it.";
    BucketNotEmpty = "BucketNotEmpty", CONFLICT, "The bucket you tried to delete is not empty.";
    ConditionalRequestConflict = "ConditionalRequestConflict", CONFLICT,
        "A conflicting operation occurred during the request. Try again.";
    EntityTooLarge = "EntityTooLarge", BAD_REQUEST,
        "Your proposed upload exceeds the maximum allowed object size.";
    EntityTooSmall = "EntityTooSmall", BAD_REQUEST,
        "Your proposed upload is smaller than the minimum allowed object size.";
    IdMismatch = "IdMismatch", BAD_REQUEST,
        "Document ID does not match the specified configuration ID.";
    IdempotencyParameterMismatch = "IdempotencyParameterMismatch", BAD_REQUEST,
        "The client token was used for a request with other parameters.";
    IllegalLocationConstraint = "IllegalLocationConstraintException", BAD_REQUEST,
        "The specified location constraint is not the region of this server.";
    IllegalVersioningConfiguration = "IllegalVersioningConfigurationException", BAD_REQUEST,
        "The versioning configuration specified in the request is not valid.";
    IncompleteBody = "IncompleteBody", BAD_REQUEST,
        "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    InsufficientStorage = "InsufficientStorage", INSUFFICIENT_STORAGE,
        "There is not enough space to store this. Deleting still works.";
    InternalError = "InternalError", INTERNAL_SERVER_ERROR,
        "We encountered an internal error. Please try again.";
    InvalidAccessKeyId = "InvalidAccessKeyId", FORBIDDEN,
        "The AWS Access Key Id you provided does not exist in our records.";
    InvalidArgument = "InvalidArgument", BAD_REQUEST, "Invalid Argument";
    InvalidBucketName = "InvalidBucketName", BAD_REQUEST, "The specified bucket is not valid.";
    InvalidBucketState = "InvalidBucketState", CONFLICT,
        "The request is not valid with the current state of the bucket.";
    InvalidDigest = "InvalidDigest", BAD_REQUEST, "The Content-MD5 you specified is not valid.";
    InvalidEncryptionAlgorithm = "InvalidEncryptionAlgorithmError", BAD_REQUEST,
        "The encryption request you specified is not valid. The valid value is AES256.";
    InvalidPart = "InvalidPart", BAD_REQUEST,
        "One or more of the specified parts could not be found. The part may not have been \
         uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartNumber = "InvalidPartNumber", RANGE_NOT_SATISFIABLE,
        "The requested partnumber is not satisfiable.";
    InvalidPartOrder = "InvalidPartOrder", BAD_REQUEST,
        "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidRange = "InvalidRange", RANGE_NOT_SATISFIABLE,
        "The requested range is not satisfiable.";
    InvalidRedirectLocation = "InvalidRedirectLocation", BAD_REQUEST,
        "The website redirect location must start with '/', 'http://' or 'https://'.";
    InvalidRequest = "InvalidRequest", BAD_REQUEST, "Invalid Request";
    InvalidStorageClass = "InvalidStorageClass", BAD_REQUEST,
        "The storage class you specified is not valid.";
    InvalidTag = "InvalidTag", BAD_REQUEST, "The tag provided was not a valid tag.";
    InvalidTargetBucketForLogging = "InvalidTargetBucketForLogging", BAD_REQUEST,
        "The target bucket for logging does not exist or is not owned by you.";
    InvalidToken = "InvalidToken", BAD_REQUEST,
        "The provided token is malformed or otherwise not valid.";
    InvalidUri = "InvalidURI", BAD_REQUEST, "Couldn't parse the specified URI.";
    KmsDisabled = "KMS.DisabledException", BAD_REQUEST, "The key is disabled.";
    KmsNotFound = "KMS.NotFoundException", BAD_REQUEST, "The key does not exist.";
    KeyTooLong = "KeyTooLongError", BAD_REQUEST, "Your key is too long.";
    MalformedPolicy = "MalformedPolicy", BAD_REQUEST,
        "The policy is not in a valid format.";
    MalformedPostRequest = "MalformedPOSTRequest", BAD_REQUEST,
        "The body of your POST request is not well-formed multipart/form-data.";
    MalformedTrailer = "MalformedTrailerError", BAD_REQUEST,
        "The request contained trailing data that was not well-formed or did not conform to our \
         published schema.";
    MalformedXml = "MalformedXML", BAD_REQUEST,
        "The XML you provided was not well-formed or did not validate against our published schema.";
    MaxMessageLengthExceeded = "MaxMessageLengthExceeded", BAD_REQUEST,
        "Your request was too big.";
    MaxPostPreDataLengthExceeded = "MaxPostPreDataLengthExceeded", BAD_REQUEST,
        "Your POST request fields preceding the upload file were too large.";
    MetadataTooLarge = "MetadataTooLarge", BAD_REQUEST,
        "Your metadata headers exceed the maximum allowed metadata size.";
    MethodNotAllowed = "MethodNotAllowed", METHOD_NOT_ALLOWED,
        "The specified method is not allowed against this resource.";
    MissingContentLength = "MissingContentLength", LENGTH_REQUIRED,
        "You must provide the Content-Length HTTP header.";
    MissingRequestBody = "MissingRequestBodyError", BAD_REQUEST, "Request body is empty.";
    NoSuchBucket = "NoSuchBucket", NOT_FOUND, "The specified bucket does not exist";
    NoSuchConfiguration = "NoSuchConfiguration", NOT_FOUND,
        "The specified configuration does not exist.";
    NoSuchCorsConfiguration = "NoSuchCORSConfiguration", NOT_FOUND,
        "The CORS configuration does not exist";
    NoSuchBucketPolicy = "NoSuchBucketPolicy", NOT_FOUND, "The bucket policy does not exist";
    NoSuchKey = "NoSuchKey", NOT_FOUND, "The specified key does not exist.";
    NoSuchTagSet = "NoSuchTagSet", NOT_FOUND, "The TagSet does not exist";
    NoSuchLifecycleConfiguration = "NoSuchLifecycleConfiguration", NOT_FOUND,
        "The lifecycle configuration does not exist";
    NoSuchUpload = "NoSuchUpload", NOT_FOUND,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may \
         have been aborted or completed.";
    NoSuchVersion = "NoSuchVersion", NOT_FOUND, "The specified version does not exist.";
    NoSuchWebsiteConfiguration = "NoSuchWebsiteConfiguration", NOT_FOUND,
        "The specified bucket does not have a website configuration";
    NotImplemented = "NotImplemented", NOT_IMPLEMENTED,
        "A header or query you provided implies functionality that is not implemented.";
    NoSuchObjectLockConfiguration = "NoSuchObjectLockConfiguration", NOT_FOUND,
        "The specified object does not have a ObjectLock configuration";
    ObjectLockConfigurationNotFound = "ObjectLockConfigurationNotFoundError", NOT_FOUND,
        "Object Lock configuration does not exist for this bucket";
    PreconditionFailed = "PreconditionFailed", PRECONDITION_FAILED,
        "At least one of the pre-conditions you specified did not hold";
    RequestHeaderSectionTooLarge = "RequestHeaderSectionTooLarge", BAD_REQUEST,
        "Your request header section exceeds the maximum allowed request header section size.";
    RequestTimeTooSkewed = "RequestTimeTooSkewed", FORBIDDEN,
        "The difference between the request time and the current time is too large.";
    RequestTimeout = "RequestTimeout", BAD_REQUEST,
        "Your socket connection to the server was not read from or written to within the timeout \
         period.";
    ServiceUnavailable = "ServiceUnavailable", SERVICE_UNAVAILABLE,
        "The service is unavailable for now. Please retry.";
    SignatureDoesNotMatch = "SignatureDoesNotMatch", FORBIDDEN,
        "The request signature we calculated does not match the signature you provided. Check your \
         key and signing method.";
    SlowDown = "SlowDown", SERVICE_UNAVAILABLE, "Please reduce your request rate.";
    TooManyBuckets = "TooManyBuckets", BAD_REQUEST,
        "You have attempted to create more buckets than allowed.";
    TooManyConfigurations = "TooManyConfigurations", BAD_REQUEST,
        "You are attempting to create a new configuration but have already reached the limit.";
    UriTooLong = "RequestURITooLong", URI_TOO_LONG, "The request URI is too long.";
    XAmzContentSha256Mismatch = "XAmzContentSHA256Mismatch", BAD_REQUEST,
        "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

impl Code {
    /// S3's name of the code.
    pub(crate) const fn name(self) -> &'static str {
        self.spec().0
    }

    /// The status that goes with it.
    pub(crate) const fn status(self) -> StatusCode {
        self.spec().1
    }

    /// The message where nothing more precise is known.
    pub(crate) const fn message(self) -> &'static str {
        self.spec().2
    }
}

/// One failed request.
#[derive(Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    message: Cow<'static, str>,
    headers: HeaderMap,
    details: Vec<(&'static str, String)>,
}

/// What operations of this crate answer.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure with the code's standard message.
    pub(crate) fn new(code: Code) -> Self {
        Self::with_message(code, code.message())
    }

    /// A failure with a message of its own.
    pub(crate) fn with_message(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            headers: HeaderMap::new(),
            details: Vec::new(),
        }))
    }

    /// `InvalidArgument` naming the argument, as S3 does.
    pub(crate) fn invalid_argument(
        name: &'static str,
        value: &str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::with_message(Code::InvalidArgument, message)
            .detail("ArgumentName", name)
            .detail("ArgumentValue", value)
    }

    /// `InvalidRequest` with a message.
    pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_message(Code::InvalidRequest, message)
    }

    /// `NotImplemented` naming what is not.
    pub(crate) fn not_implemented(what: &str) -> Self {
        Self::with_message(Code::NotImplemented, format!("{what} is not implemented."))
    }

    /// Adds an element to the error document.
    pub(crate) fn detail(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.0.details.push((element, value.into()));
        self
    }

    /// Adds a header to the answer.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds an element to the error document, unless it is there.
    pub(crate) fn detail_if_new(self, element: &'static str, value: impl Into<String>) -> Self {
        match self.0.details.iter().any(|(name, _)| *name == element) {
            true => self,
            false => self.detail(element, value),
        }
    }

    /// The code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// The message.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The answer's headers, without those that every answer carries.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Further elements of the error document, and their texts.
    pub(crate) fn details(&self) -> &[(&'static str, String)] {
        &self.0.details
    }

    /// The error document.
    pub(crate) fn document(&self, place: &ErrorPlace<'_>) -> String {
        document(self.0.code.name(), &self.0.message, &self.0.details, place)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.message)
    }
}

impl std::error::Error for Failure {}

impl From<xml::Malformed> for Failure {
    fn from(_: xml::Malformed) -> Self {
        Self::new(Code::MalformedXml)
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

/// Where a failure happened: the parts of the error document that do not depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorPlace<'a> {
    /// The path asked for, percent-encoded as it came.
    pub(crate) resource: &'a str,
    /// `x-amz-request-id`.
    pub(crate) request_id: &'a str,
    /// `x-amz-id-2`.
    pub(crate) host_id: &'a str,
}

/// Writes an error document. A detail that XML has no place for is left out: with it, clients could
/// not read the code either.
pub(crate) fn document(
    code: &str,
    message: &str,
    details: &[(&'static str, String)],
    place: &ErrorPlace<'_>,
) -> String {
    let mut xml = Writer::document();
    xml.open("Error");
    xml.text("Code", code);
    xml.text("Message", message);
    for (element, value) in details.iter().filter(|(_, value)| xml::has_place_for(value)) {
        xml.text(element, value);
    }
    xml.text("Resource", place.resource);
    xml.text("RequestId", place.request_id);
    xml.text("HostId", place.host_id);
    xml.close("Error");
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_document_has_golden_text() {
        let failure = Failure::invalid_argument("max-keys", "<x>", "Bad & wrong");
        let place = ErrorPlace {
            resource: "/b/k%20y",
            request_id: "00000000000000AB",
            host_id: "aG9zdA==",
        };
        assert_eq!(
            failure.document(&place),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidArgument</Code>\
             <Message>Bad &amp; wrong</Message><ArgumentName>max-keys</ArgumentName>\
             <ArgumentValue>&lt;x&gt;</ArgumentValue><Resource>/b/k%20y</Resource>\
             <RequestId>00000000000000AB</RequestId><HostId>aG9zdA==</HostId></Error>"
        );
    }

    #[test]
    fn details_that_clients_could_not_parse_are_left_out() {
        let place = ErrorPlace { resource: "/b/k", request_id: "R", host_id: "H" };
        let told = |key: &str| Failure::new(Code::NoSuchKey).detail("Key", key).document(&place);
        for key in ["a\u{1}", "\u{1f}", "\u{ffff}"] {
            assert!(!told(key).contains("<Key>"), "{}", told(key));
        }
        assert!(told("a\tb\u{7f}é").contains("<Key>a\tb"));
    }

    #[test]
    fn every_code_has_a_name_of_its_own_and_an_error_status() {
        let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for code in Code::ALL {
            let status = code.status();
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            assert!(!code.message().is_empty());
        }
    }
}
