//! Headers, read into the domain's values.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    body::{BodySlot, Payload, declared_algorithm},
    claim::{self, Accepts, Claim},
    error::{Code, Outcome},
    header as read,
    stall::PaceLimits,
};

/// Header lines, `name: value` each; a first line that starts with `?` is the query.
///
/// Whatever is refused is refused for a reason that S3 documents, and what is taken is clean: no
/// control characters, metadata by name, one checksum.
pub fn header(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').peekable();
    let query = lines.next_if(|line| line.first() == Some(&b'?'));
    let query = query.and_then(|line| std::str::from_utf8(&line[1..]).ok());
    let mut headers = HeaderMap::new();
    for line in lines {
        append(&mut headers, line);
    }
    for version_2 in [false, true] {
        let accepts = Accepts { region: "eu-north-7", version_2 };
        known(claim::check(Claim { headers: &headers, query }, accepts));
    }
    known(read::write_condition(&headers));
    known(read::read_condition(&headers));
    known(read::source_condition(&headers));
    known(read::refuse_unsupported(&headers));
    known(declared_algorithm(&headers));
    if let Some(attributes) = known(read::attributes(&headers)) {
        let names: Vec<&String> = attributes.user_metadata.iter().map(|(name, _)| name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "metadata is listed by name, once each");
        let encoding = attributes.headers.content_encoding.unwrap_or_default();
        let is_chunked = |part: &str| part.eq_ignore_ascii_case("aws-chunked");
        assert!(!encoding.split(',').any(is_chunked));
    }
    for name in ["content-length", "x-amz-decoded-content-length"] {
        if let Some(Some(number)) = known(read::number(&headers, name)) {
            let text = headers[name].to_str().expect("a number is ASCII").trim();
            assert_eq!(text.trim_start_matches('0'), number.to_string().trim_start_matches('0'));
        }
    }
    let body = BodySlot::default();
    let pace = PaceLimits { timeout: std::time::Duration::MAX, bytes_per_second_min: 0 };
    if let Some(body) = known(Payload::Raw(body.open(pace)).into_object_body(&headers)) {
        assert!(body.len_bytes.is_some());
    }
}

/// Adds a header line as the HTTP library would, which refuses what is no header.
pub(super) fn append(headers: &mut HeaderMap, line: &[u8]) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return;
    };
    let name = HeaderName::from_bytes(&line[..colon]);
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
    if let (Ok(name), Ok(value)) = (name, value) {
        headers.append(name, value);
    }
}

/// What was read, or nothing when it was refused for a reason of the client's making.
fn known<T>(read: Outcome<T>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(failure) => {
            let status = failure.code().status();
            let refused = status.is_client_error() || failure.code() == Code::NotImplemented;
            assert!(refused, "{failure}");
            None
        }
    }
}
