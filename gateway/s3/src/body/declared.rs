//! What a client declares about a body: its length and its digests.
//!
//! Invariants:
//! - what is declared and cannot be read is refused, never ignored;
//! - two different checksums of one body are refused, as S3 does.

use gateway_meta::record::ChecksumAlgorithm;
use http::HeaderMap;

use crate::{
    convert::{self, CHECKSUM_ALGORITHMS},
    error::{Code, Failure, Outcome},
    header,
};

/// Checksums that S3 knows and this server does not compute.
const UNSUPPORTED: [&str; 5] = [
    "x-amz-checksum-md5",
    "x-amz-checksum-sha512",
    "x-amz-checksum-xxhash128",
    "x-amz-checksum-xxhash3",
    "x-amz-checksum-xxhash64",
];

/// Digests named in headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// `Content-MD5`.
    pub(super) md5: Option<[u8; 16]>,
    /// `x-amz-content-sha256` where it is a digest.
    pub(super) sha256: Option<[u8; 32]>,
    /// The checksum asked for.
    pub(super) checksum: Option<(ChecksumAlgorithm, Promise)>,
}

/// Where a checksum's value comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// Nowhere: it is only to be computed.
    None,
    /// A header.
    Value(Vec<u8>),
    /// A trailer.
    Trailer,
}

/// Reads the digests a request declares.
///
/// # Errors
/// `InvalidDigest` for an unreadable `Content-MD5`, `InvalidRequest` for unreadable or
/// contradicting checksums, `NotImplemented` for algorithms that are not there.
pub(super) fn declared(headers: &HeaderMap) -> Outcome<Declared> {
    let md5 = header::given(headers, "content-md5")?
        .map(|text| convert::parse_content_md5(text).ok_or(Code::InvalidDigest))
        .transpose()?;
    let sha256 = header::text(headers, "x-amz-content-sha256")?.and_then(convert::parse_sha256_hex);
    Ok(Declared { md5, sha256, checksum: checksum(headers)? })
}

fn checksum(headers: &HeaderMap) -> Outcome<Option<(ChecksumAlgorithm, Promise)>> {
    if let Some(name) = UNSUPPORTED.iter().find(|name| headers.contains_key(**name)) {
        return Err(Failure::not_implemented(&format!("The checksum header {name}")));
    }
    let mut found = None;
    for algorithm in CHECKSUM_ALGORITHMS {
        let name = convert::checksum_header(algorithm);
        let Some(text) = header::given(headers, name)? else {
            continue;
        };
        // A count of parts makes sense for whole uploads only.
        let value = Some(text).filter(|text| !text.contains('-'));
        let value = value.and_then(|text| convert::parse_checksum_value(algorithm, text));
        let value = value.ok_or_else(|| invalid_value(name))?;
        if found.replace((algorithm, Promise::Value(value))).is_some() {
            return Err(multiple());
        }
    }
    if let Some(algorithm) = trailer(headers)?
        && found.replace((algorithm, Promise::Trailer)).is_some()
    {
        return Err(multiple());
    }
    let Some(named) = declared_algorithm(headers)? else {
        return Ok(found);
    };
    match &found {
        None => Ok(Some((named, Promise::None))),
        Some((algorithm, _)) if *algorithm == named => Ok(found),
        Some(_) => Err(invalid_value("x-amz-sdk-checksum-algorithm")),
    }
}

/// The checksum algorithm that a request names, for its body or for what it starts.
///
/// # Errors
/// `NotImplemented` for algorithms of S3 that are not there, `InvalidRequest` for others.
pub(crate) fn declared_algorithm(headers: &HeaderMap) -> Outcome<Option<ChecksumAlgorithm>> {
    let mut found = None;
    for name in ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"] {
        let Some(text) = header::text(headers, name)? else {
            continue;
        };
        let known_elsewhere = UNSUPPORTED.iter().any(|header| {
            let algorithm = header.trim_start_matches("x-amz-checksum-");
            algorithm.eq_ignore_ascii_case(text)
        });
        if known_elsewhere {
            return Err(Failure::not_implemented(&format!("The checksum algorithm {text}")));
        }
        let algorithm = convert::parse_checksum_name(text).ok_or_else(|| {
            Failure::invalid_request(
                "Checksum algorithm provided is unsupported. Please try again with any of the \
                 valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )
        })?;
        found = found.or(Some(algorithm));
    }
    Ok(found)
}

/// Whether a header of this name, in lower case, says which checksum a body has.
pub(crate) fn promises_checksum(name: &str) -> bool {
    let is_value = |algorithm: &ChecksumAlgorithm| convert::checksum_header(*algorithm) == name;
    name == "x-amz-sdk-checksum-algorithm"
        || UNSUPPORTED.contains(&name)
        || CHECKSUM_ALGORITHMS.iter().any(is_value)
}

fn trailer(headers: &HeaderMap) -> Outcome<Option<ChecksumAlgorithm>> {
    let Some(text) = header::text(headers, "x-amz-trailer")? else {
        return Ok(None);
    };
    let mut found = None;
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if UNSUPPORTED.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(Failure::not_implemented(&format!("The checksum trailer {name}")));
        }
        let algorithm = CHECKSUM_ALGORITHMS
            .into_iter()
            .find(|algorithm| convert::checksum_header(*algorithm).eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Failure::invalid_request(
                    "The value specified in the x-amz-trailer header is not supported",
                )
            })?;
        if found.replace(algorithm).is_some() {
            return Err(multiple());
        }
    }
    Ok(found)
}

fn invalid_value(name: &str) -> Failure {
    Failure::invalid_request(format!("Value for {name} header is invalid."))
}

fn multiple() -> Failure {
    Failure::invalid_request(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Declared, Code> {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        declared(&headers).map_err(|failure| failure.code())
    }

    #[test]
    fn nothing_declared_is_nothing_expected() {
        assert_eq!(read(&[]), Ok(Declared::default()));
        assert_eq!(read(&[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]), Ok(Declared::default()));
    }

    #[test]
    fn digests_are_read() {
        let found = read(&[
            ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-sdk-checksum-algorithm", "crc32"),
        ])
        .unwrap();
        assert!(found.md5.is_some());
        let value = Promise::Value(vec![0; 4]);
        assert_eq!(found.checksum, Some((ChecksumAlgorithm::Crc32, value)));
    }

    #[test]
    fn trailer_promises_a_value() {
        let found = read(&[("x-amz-trailer", "x-amz-checksum-sha256")]).unwrap();
        assert_eq!(found.checksum, Some((ChecksumAlgorithm::Sha256, Promise::Trailer)));
    }

    #[test]
    fn algorithm_alone_asks_for_a_value() {
        let found = read(&[("x-amz-sdk-checksum-algorithm", "SHA1")]).unwrap();
        assert_eq!(found.checksum, Some((ChecksumAlgorithm::Sha1, Promise::None)));
    }

    #[test]
    fn unreadable_digests_are_refused() {
        for text in ["", "AAAA", "!"] {
            assert_eq!(read(&[("content-md5", text)]), Err(Code::InvalidDigest), "{text}");
        }
        for text in ["", "!", "AAAA", "AAAAAA==-2"] {
            let found = read(&[("x-amz-checksum-crc32", text)]);
            assert_eq!(found, Err(Code::InvalidRequest), "{text}");
        }
        assert_eq!(read(&[("x-amz-sdk-checksum-algorithm", "CRC99")]), Err(Code::InvalidRequest));
        assert_eq!(read(&[("x-amz-trailer", "x-amz-meta-a")]), Err(Code::InvalidRequest));
    }

    #[test]
    fn contradicting_checksums_are_refused() {
        for pairs in [
            &[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32c", "AAAAAA==")][..],
            &[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-trailer", "x-amz-checksum-crc32")],
            &[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "SHA1")],
            &[("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1")],
        ] {
            assert_eq!(read(pairs), Err(Code::InvalidRequest), "{pairs:?}");
        }
    }

    #[test]
    fn algorithms_that_are_not_there_are_not_implemented() {
        assert_eq!(read(&[("x-amz-checksum-sha512", "AA==")]), Err(Code::NotImplemented));
        assert_eq!(read(&[("x-amz-sdk-checksum-algorithm", "XXHASH3")]), Err(Code::NotImplemented));
        assert_eq!(
            read(&[("x-amz-trailer", "x-amz-checksum-xxhash64")]),
            Err(Code::NotImplemented)
        );
    }
}
