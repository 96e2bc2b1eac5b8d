//! What a request carries, on its way to the service.

use futures::{StreamExt as _, stream::BoxStream};
use gateway_meta::record::ChecksumAlgorithm;
use gateway_object::{
    BodyError, ByteStream, ChecksumRequest, ExpectedChecksum, ExpectedDigests, IncomingBody,
    MalformedTrailer,
};
use http::HeaderMap;
use s3s::{StdError, TrailingHeaders, stream::aws_chunked_stream::AwsChunkedStreamError};

use super::{
    Incoming,
    chunked::{Decoded, Trailers},
    declared::{Promise, declared},
};
use crate::{
    convert,
    error::{Code, Failure, Outcome},
    header,
};

/// A body with what is known about its encoding.
pub(crate) enum Payload {
    /// As it arrives; whether it is chunked is for the headers to say.
    Raw(Incoming),
    /// Decoded by the adapter, which has verified every chunk's signature.
    Verified {
        /// The decoded bytes.
        stream: BoxStream<'static, Result<bytes::Bytes, StdError>>,
        /// The trailers, once the stream has ended.
        trailers: Option<TrailingHeaders>,
    },
}

/// Whether the chunks of a body are signed, so that only the adapter can decode it.
pub(crate) fn is_signed_stream(headers: &HeaderMap) -> bool {
    let value = headers.get("x-amz-content-sha256");
    value.is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-AWS4-"))
}

/// Whether a body is framed in chunks that are not signed.
fn is_unsigned_stream(headers: &HeaderMap) -> bool {
    let value = headers.get("x-amz-content-sha256");
    value.is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-UNSIGNED-"))
}

impl Payload {
    /// The body as the service takes it.
    ///
    /// # Errors
    /// `MissingContentLength` when no length is declared; what [`declared`] refuses.
    pub(crate) fn into_body(self, headers: &HeaderMap) -> Outcome<IncomingBody> {
        let declared = declared(headers)?;
        let chunked = matches!(self, Self::Verified { .. }) || is_unsigned_stream(headers);
        let len_name = match chunked {
            true => "x-amz-decoded-content-length",
            false => "content-length",
        };
        let len_bytes = header::number(headers, len_name)?.ok_or(Code::MissingContentLength)?;
        let (stream, trailers) = self.decode(headers);
        let checksum = declared.checksum.map(|(algorithm, promise)| ChecksumRequest {
            algorithm,
            expected: match promise {
                Promise::None => None,
                Promise::Value(value) => Some(ExpectedChecksum::Value(value)),
                Promise::Trailer => Some(trailers.expect(algorithm)),
            },
        });
        Ok(IncomingBody {
            stream,
            len_bytes: Some(len_bytes),
            expected: ExpectedDigests { md5: declared.md5, sha256: declared.sha256, checksum },
        })
    }

    /// The body of an object or a part, of which a named checksum algorithm promises a value.
    ///
    /// # Errors
    /// `InvalidRequest` when there is none, and as [`Self::into_body`].
    pub(crate) fn into_object_body(self, headers: &HeaderMap) -> Outcome<IncomingBody> {
        let body = self.into_body(headers)?;
        let checksum = body.expected.checksum.as_ref();
        let promised = headers.contains_key("x-amz-sdk-checksum-algorithm");
        if promised && checksum.is_some_and(|checksum| checksum.expected.is_none()) {
            return Err(Failure::invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                 x-amz-trailer headers were found.",
            ));
        }
        Ok(body)
    }

    fn decode(self, headers: &HeaderMap) -> (ByteStream, TrailerSource) {
        match self {
            Self::Raw(incoming) if is_unsigned_stream(headers) => {
                let (stream, trailers) = Decoded::new(incoming);
                (stream.boxed(), TrailerSource::Decoded(trailers))
            }
            Self::Raw(incoming) => (incoming.boxed(), TrailerSource::None),
            Self::Verified { stream, trailers } => {
                let stream = stream.map(|item| item.map_err(body_error)).boxed();
                let source = trailers.map_or(TrailerSource::None, TrailerSource::Verified);
                (stream, source)
            }
        }
    }
}

/// Where trailers turn up.
enum TrailerSource {
    None,
    Decoded(Trailers),
    Verified(TrailingHeaders),
}

impl TrailerSource {
    fn expect(self, algorithm: ChecksumAlgorithm) -> ExpectedChecksum {
        ExpectedChecksum::Trailer(Box::new(move || {
            let name = convert::checksum_header(algorithm);
            let Some(text) = self.find(name)? else {
                return Ok(None);
            };
            let value = convert::parse_checksum_value(algorithm, &text).ok_or(MalformedTrailer)?;
            Ok(Some(value))
        }))
    }

    fn find(self, name: &str) -> Result<Option<String>, MalformedTrailer> {
        match self {
            Self::None => Ok(None),
            Self::Decoded(trailers) => {
                let trailers = trailers.lock().take().unwrap_or_default();
                let mut values = trailers.into_iter().filter(|(found, _)| found == name);
                let value = values.next().map(|(_, value)| value);
                if values.next().is_some() {
                    return Err(MalformedTrailer);
                }
                Ok(value)
            }
            Self::Verified(trailers) => {
                let trailers = trailers.take().unwrap_or_default();
                let value = trailers.get(name).map(|value| value.to_str().map(str::to_owned));
                value.transpose().map_err(|_| MalformedTrailer)
            }
        }
    }
}

/// What ended a body that the adapter decodes. Its own errors may wrap each other.
pub(crate) fn body_error(error: StdError) -> BodyError {
    let error = match error.downcast::<BodyError>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    let rejected = |failure: Failure| BodyError::Rejected { source: Box::new(failure) };
    match error.downcast::<AwsChunkedStreamError>() {
        Ok(error) => match *error {
            AwsChunkedStreamError::Underlying(inner) => body_error(inner),
            AwsChunkedStreamError::SignatureMismatch => {
                rejected(Failure::new(Code::SignatureDoesNotMatch))
            }
            AwsChunkedStreamError::Incomplete | AwsChunkedStreamError::LengthMismatch => {
                BodyError::Truncated
            }
            AwsChunkedStreamError::ChunkDataTooLarge(size, limit) => {
                let message = format!("A signed chunk of {size} bytes is larger than {limit}.");
                rejected(Failure::invalid_request(message))
            }
            AwsChunkedStreamError::FormatError
            | AwsChunkedStreamError::ChunkMetaTooLarge(..)
            | AwsChunkedStreamError::TrailersTooLarge(..)
            | AwsChunkedStreamError::TooManyTrailerHeaders(..) => {
                rejected(Failure::invalid_request("the chunked body is malformed"))
            }
        },
        // A form's framing, or anything else the adapter finds wrong with the bytes.
        Err(error) => {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
            while let Some(found) = cause {
                if let Some(BodyError::TimedOut) = found.downcast_ref::<BodyError>() {
                    return BodyError::TimedOut;
                }
                cause = found.source();
            }
            BodyError::Truncated
        }
    }
}
