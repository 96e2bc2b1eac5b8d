//! Failures as the API tells them: one table from typed errors to status, code and message.

use axum::{
    Json,
    extract::rejection::PathRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gateway_iam::{
    CreateAccessKeyError, CreateAccountError, DeleteAccountError, ListError, ResolveError,
    RevokeAccessKeyError,
};
use gateway_kms::{ChangeKeyError, CreateKeyError, KeyError};
use gateway_layout::{
    ApplyError, ApproveError, ChangeNodeError, CreateTokenError, Kind, NodeError, PreviewError,
    RejectError, RetireError, RevertError, RevokeTokenError, StageError, StoreError,
};
use gateway_object::{BucketError, Fault, JobError};
use serde_json::json;

/// An answer that is a failure.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string() }
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden() -> Self {
        let message = "this access key may not administer the server";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn invalid(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", message)
    }

    pub(crate) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-route", "there is no such route")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the route does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
    }

    pub(crate) fn busy() -> Self {
        let message = "too many sign-ins are under way; retry in a moment";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
    }

    pub(crate) fn no_such_node(text: &str) -> Self {
        Self::not_found(format!("there is no node {text}"))
    }

    /// Says the name of a node where it says its peer id: nodes are looked up by the one and known to
    /// people by the other.
    pub(crate) fn naming(mut self, peer: &str, name: &str) -> Self {
        self.message = self.message.replace(peer, name);
        self
    }

    fn not_found(message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub(crate) fn conflict(message: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// The cause goes to the log, not to the client.
    fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "admin request failed");
        let message = "the metadata store did not answer; see the server's log";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

/// What failures of the layout's owner mean, by what the caller should do.
fn layout_failure(kind: Kind, error: impl std::fmt::Display) -> ApiError {
    match kind {
        Kind::NotFound => ApiError::not_found(error),
        Kind::Conflict => ApiError::conflict(error),
        Kind::Invalid => ApiError::invalid(error),
        Kind::Refused => ApiError::new(StatusCode::CONFLICT, "refused", error),
        Kind::Unavailable | Kind::Corrupt => ApiError::unavailable(error),
    }
}

macro_rules! layout_failures {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for ApiError {
            fn from(error: $error) -> Self {
                layout_failure(error.kind(), error)
            }
        }
    )*};
}
layout_failures!(
    ApplyError,
    ApproveError,
    ChangeNodeError,
    CreateTokenError,
    NodeError,
    PreviewError,
    RejectError,
    RetireError,
    RevertError,
    RevokeTokenError,
    StageError,
    StoreError,
);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}

impl From<PathRejection> for ApiError {
    fn from(error: PathRejection) -> Self {
        Self::invalid(error.body_text())
    }
}

impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> Self {
        Self::unavailable(error)
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self::unavailable(fault)
    }
}

impl From<BucketError> for ApiError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NoSuchBucket { .. } => Self::not_found(error),
            BucketError::InvalidName { .. } => Self::invalid(error),
            BucketError::AlreadyExists
            | BucketError::AlreadyOwnedByYou
            | BucketError::NotEmpty
            | BucketError::AlreadyVersioned
            | BucketError::ObjectLockNeedsVersioning
            | BucketError::TooManyBuckets { .. }
            | BucketError::NoSuchAccount => Self::conflict(error),
            BucketError::Fault(fault) => fault.into(),
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::NoSuchJob { .. } => Self::not_found(error),
            JobError::Ended { .. } => Self::conflict(error),
            JobError::Fault(fault) => fault.into(),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NotFound { .. } => Self::not_found(error),
            KeyError::Disabled { .. } => Self::conflict(error),
            KeyError::Refused { .. } | KeyError::Unavailable { .. } | KeyError::Corrupt { .. } => {
                Self::unavailable(error)
            }
        }
    }
}

impl From<CreateKeyError> for ApiError {
    fn from(error: CreateKeyError) -> Self {
        match error {
            CreateKeyError::Invalid { .. } => Self::invalid(error),
            CreateKeyError::Exists { .. } | CreateKeyError::TooMany { .. } => Self::conflict(error),
            CreateKeyError::Key(error) => error.into(),
        }
    }
}

impl From<ChangeKeyError> for ApiError {
    fn from(error: ChangeKeyError) -> Self {
        match error {
            ChangeKeyError::TooManyVersions { .. } | ChangeKeyError::Conflict { .. } => {
                Self::conflict(error)
            }
            ChangeKeyError::Key(error) => error.into(),
        }
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::NoSuchAccount { .. } => Self::not_found(error),
            ListError::Store(error) => error.into(),
        }
    }
}

impl From<CreateAccountError> for ApiError {
    fn from(error: CreateAccountError) -> Self {
        match error {
            CreateAccountError::InvalidName(_) => Self::invalid(error),
            CreateAccountError::Exists { .. } => Self::conflict(error),
            CreateAccountError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteAccountError> for ApiError {
    fn from(error: DeleteAccountError) -> Self {
        match error {
            DeleteAccountError::NoSuchAccount { .. } => Self::not_found(error),
            DeleteAccountError::Root
            | DeleteAccountError::OwnsBuckets { .. }
            | DeleteAccountError::Conflict { .. } => Self::conflict(error),
            DeleteAccountError::Store(error) => error.into(),
        }
    }
}

impl From<CreateAccessKeyError> for ApiError {
    fn from(error: CreateAccessKeyError) -> Self {
        match error {
            CreateAccessKeyError::NoSuchAccount { .. } => Self::not_found(error),
            CreateAccessKeyError::Invalid(_) => Self::invalid(error),
            CreateAccessKeyError::Exists { .. } | CreateAccessKeyError::TooManyKeys { .. } => {
                Self::conflict(error)
            }
            CreateAccessKeyError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeAccessKeyError> for ApiError {
    fn from(error: RevokeAccessKeyError) -> Self {
        match error {
            RevokeAccessKeyError::NoSuchKey { .. } => Self::not_found(error),
            RevokeAccessKeyError::Root => Self::conflict(error),
            RevokeAccessKeyError::Store(error) => error.into(),
        }
    }
}
