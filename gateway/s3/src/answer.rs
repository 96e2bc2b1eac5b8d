//! Answers in the making.

use gateway_meta::record::Versioning;
use gateway_object::{Bucket, ByteStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::error::{Code, Failure, Outcome};

/// What is sent behind the headers.
pub(crate) enum AnswerBody {
    /// Nothing.
    Empty,
    /// A document.
    Document(String),
    /// An object's bytes.
    Stream {
        /// How many there are.
        len_bytes: u64,
        /// The bytes.
        stream: ByteStream,
    },
}

/// A successful answer.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers, without those that every answer carries.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: AnswerBody,
}

/// The header that names a version.
const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

impl Answer {
    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: AnswerBody::Empty }
    }

    /// 200 with a document.
    pub(crate) fn document(xml: String) -> Self {
        let mut answer = Self::empty(StatusCode::OK);
        let content_type = HeaderValue::from_static("application/xml");
        answer.headers.insert(header::CONTENT_TYPE, content_type);
        answer.body = AnswerBody::Document(xml);
        answer
    }

    /// Sets a header.
    ///
    /// # Errors
    /// `InvalidArgument` when the value cannot stand in a header.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) -> Outcome<()> {
        let value = header_value(name, value)?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    }

    /// Sets a header where there is a value.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(crate) fn set_if(&mut self, name: &'static str, value: Option<&str>) -> Outcome<()> {
        value.map_or(Ok(()), |value| self.set(name, value))
    }

    /// Leaves out what an answer about this bucket does not tell: a bucket that was never versioned
    /// has no version ids.
    pub(crate) fn of_bucket(mut self, bucket: Option<&Bucket>) -> Self {
        let is_unversioned = bucket.is_some_and(|bucket| bucket.versioning == Versioning::Never);
        if is_unversioned && self.headers.get(VERSION_ID).is_some_and(|id| id == "null") {
            self.headers.remove(VERSION_ID);
        }
        self
    }

    /// The length that `Content-Length` tells.
    pub(crate) fn len_bytes(&self) -> u64 {
        match &self.body {
            AnswerBody::Empty => 0,
            AnswerBody::Document(xml) => xml.len() as u64,
            AnswerBody::Stream { len_bytes, .. } => *len_bytes,
        }
    }
}

/// A header value of any text.
///
/// # Errors
/// `InvalidArgument` for control characters, which would end the header.
pub(crate) fn header_value(name: &str, value: &str) -> Outcome<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        let message = format!("The value of {name} contains control characters.");
        Failure::with_message(Code::InvalidArgument, message)
    })
}
