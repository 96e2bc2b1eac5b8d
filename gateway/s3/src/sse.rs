//! Server-side encryption, as headers of requests and answers say it.
//!
//! Invariants:
//! - a client's key is taken from a header only, and from no connection that others can read;
//! - what is told of a client's key is its MD5, which the client sent;
//! - reads are told how a version is sealed, and are refused if they say how.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway_meta::record::{Encryption, KmsEncryption};
use gateway_object::{CustomerKey, EncryptionRequest};
use http::HeaderMap;
use md5::{Digest as _, Md5};

use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    header,
};

const ALGORITHM: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const KMS_CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";

/// The account that ARNs of the key service's keys name: the operator's.
const KMS_ACCOUNT: &str = "000000000001";

/// The three headers of a client's key.
struct CustomerHeaders {
    algorithm: &'static str,
    key: &'static str,
    md5: &'static str,
}

const TARGET: CustomerHeaders = CustomerHeaders {
    algorithm: "x-amz-server-side-encryption-customer-algorithm",
    key: "x-amz-server-side-encryption-customer-key",
    md5: "x-amz-server-side-encryption-customer-key-md5",
};

const SOURCE: CustomerHeaders = CustomerHeaders {
    algorithm: "x-amz-copy-source-server-side-encryption-customer-algorithm",
    key: "x-amz-copy-source-server-side-encryption-customer-key",
    md5: "x-amz-copy-source-server-side-encryption-customer-key-md5",
};

/// Whether a header carries a client's key, or what is sent beside it.
pub(crate) fn is_customer_header(name: &str) -> bool {
    [TARGET, SOURCE].iter().any(|of| [of.algorithm, of.key, of.md5].contains(&name))
}

/// Whose keys an object shall be sealed under.
///
/// # Errors
/// `InvalidArgument`, `InvalidEncryptionAlgorithmError`, `NotImplemented` for `aws:kms:dsse`.
pub(crate) fn request(headers: &HeaderMap) -> Outcome<EncryptionRequest> {
    let customer = customer(headers, &TARGET)?;
    let key_id = header::text(headers, KMS_KEY)?;
    let context = header::text(headers, KMS_CONTEXT)?;
    let bucket_key = bucket_key(headers)?;
    match (header::text(headers, ALGORITHM)?, customer) {
        (Some(algorithm), Some(_)) => Err(Failure::invalid_argument(
            ALGORITHM,
            algorithm,
            "Server Side Encryption with Customer provided keys is incompatible with the \
             encryption method specified",
        )),
        (Some("aws:kms"), None) => Ok(EncryptionRequest::Kms {
            key_id: key_id.map(str::to_owned),
            context: context.map(str::to_owned),
            bucket_key,
        }),
        (Some("aws:kms:dsse"), None) => {
            Err(Failure::not_implemented("Encryption with aws:kms:dsse"))
        }
        (None | Some("AES256"), _) if key_id.is_some() || context.is_some() => {
            let (name, value) = key_id.map_or((KMS_CONTEXT, context), |key| (KMS_KEY, Some(key)));
            let message = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                           x-amz-server-side-encryption : aws:kms";
            Err(Failure::invalid_argument(name, value.unwrap_or_default(), message))
        }
        (Some("AES256"), None) => Ok(EncryptionRequest::Managed),
        (Some(other), None) => Err(Failure::invalid_argument(
            ALGORITHM,
            other,
            "The encryption method specified is not supported",
        )),
        (None, Some(key)) => Ok(EncryptionRequest::Customer(key)),
        (None, None) => Ok(EncryptionRequest::BucketDefault),
    }
}

fn bucket_key(headers: &HeaderMap) -> Outcome<Option<bool>> {
    match header::text(headers, BUCKET_KEY)? {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(other) => {
            Err(Failure::invalid_argument(BUCKET_KEY, other, "The value must be true or false."))
        }
    }
}

/// The client's key for the object or upload addressed, where a request cannot say anything else
/// about encryption.
///
/// # Errors
/// `InvalidArgument`, `InvalidEncryptionAlgorithmError`.
pub(crate) fn customer_key(headers: &HeaderMap) -> Outcome<Option<CustomerKey>> {
    for name in [ALGORITHM, KMS_KEY, KMS_CONTEXT, BUCKET_KEY] {
        if let Some(value) = header::text(headers, name)? {
            let message = format!("{name} header is not supported for this operation.");
            return Err(Failure::invalid_argument(name, value, message));
        }
    }
    customer(headers, &TARGET)
}

/// The client's key for the source of a copy.
///
/// # Errors
/// `InvalidArgument`, `InvalidEncryptionAlgorithmError`.
pub(crate) fn source_customer_key(headers: &HeaderMap) -> Outcome<Option<CustomerKey>> {
    customer(headers, &SOURCE)
}

fn customer(headers: &HeaderMap, names: &CustomerHeaders) -> Outcome<Option<CustomerKey>> {
    // No value is repeated in an answer: a key may have come under another one's name.
    let refused = |message: &'static str| Failure::with_message(Code::InvalidArgument, message);
    let algorithm = header::text(headers, names.algorithm)?;
    let key = header::text(headers, names.key)?;
    let digest = header::text(headers, names.md5)?;
    if algorithm.is_none() && key.is_none() && digest.is_none() {
        return Ok(None);
    }
    match algorithm {
        Some("AES256") => {}
        Some(_) => return Err(Failure::new(Code::InvalidEncryptionAlgorithm)),
        None => {
            return Err(refused(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide a valid encryption algorithm.",
            ));
        }
    }
    let key = key.ok_or_else(|| {
        refused(
            "Requests specifying Server Side Encryption with Customer provided keys must provide \
             an appropriate secret key.",
        )
    })?;
    let digest = digest.ok_or_else(|| {
        refused(
            "Requests specifying Server Side Encryption with Customer provided keys must provide \
             the client calculated MD5 of the secret key.",
        )
    })?;
    let key: Option<[u8; 32]> = STANDARD.decode(key).ok().and_then(|bytes| bytes.try_into().ok());
    let key =
        key.ok_or_else(|| refused("The secret key was invalid for the specified algorithm."))?;
    if STANDARD.decode(digest).ok().as_deref() != Some(Md5::digest(key).as_slice()) {
        return Err(refused(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ));
    }
    Ok(Some(CustomerKey::new(key)))
}

/// Refuses clients' keys that came over a connection that others can read. Connections from this
/// machine count as private; so does every one where the operator says that something else
/// encrypts them.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn check_connection(call: &Call<'_>) -> Outcome<()> {
    let allowed = call.gateway.config.customer_keys_over_http;
    let is_private = allowed || call.from.secure || is_local(call.from.peer);
    refuse_readable_keys(is_private, &call.headers)
}

fn refuse_readable_keys(is_private: bool, headers: &HeaderMap) -> Outcome<()> {
    if !is_private && headers.keys().any(|name| is_customer_header(name.as_str())) {
        return Err(Failure::invalid_request(
            "Requests specifying Server Side Encryption with Customer provided keys must be made \
             over a secure connection.",
        ));
    }
    Ok(())
}

fn is_local(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// Says how a version, an upload or a part is sealed.
///
/// # Errors
/// `InvalidArgument` when a key's id cannot stand in a header.
pub(crate) fn tell(call: &Call<'_>, encryption: &Encryption, answer: &mut Answer) -> Outcome<()> {
    match encryption {
        Encryption::Managed => answer.set(ALGORITHM, "AES256"),
        Encryption::Kms(kms) => {
            answer.set(ALGORITHM, "aws:kms")?;
            answer.set(KMS_KEY, &arn(&call.gateway.config.region, kms))?;
            answer.set_if(BUCKET_KEY, kms.bucket_key.then_some("true"))
        }
        Encryption::Customer { .. } => {
            // It was the right one, or there would be no answer. Completions may leave it out.
            let Some(digest) = header::text(&call.headers, TARGET.md5)? else { return Ok(()) };
            answer.set(TARGET.algorithm, "AES256")?;
            answer.set(TARGET.md5, digest)
        }
    }
}

/// As [`tell`], to who wrote it: with the encryption context.
///
/// # Errors
/// As [`tell`].
pub(crate) fn tell_writer(
    call: &Call<'_>,
    encryption: &Encryption,
    answer: &mut Answer,
) -> Outcome<()> {
    tell(call, encryption, answer)?;
    match encryption {
        Encryption::Kms(kms) => answer.set_if(KMS_CONTEXT, kms.context.as_deref()),
        Encryption::Managed | Encryption::Customer { .. } => Ok(()),
    }
}

/// The ARN of a key, unless its service names it by one.
fn arn(region: &str, kms: &KmsEncryption) -> String {
    match kms.key_id.starts_with("arn:") {
        true => kms.key_id.clone(),
        false => format!("arn:aws:kms:{region}:{KMS_ACCOUNT}:key/{}", kms.key_id),
    }
}

#[cfg(test)]
mod tests;
