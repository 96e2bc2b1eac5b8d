//! Values with a text form.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway_meta::VersionId;
use gateway_object::{ETagCondition, RangeRequest};

use crate::{
    convert::{self, CHECKSUM_ALGORITHMS},
    percent,
    query::Query,
    range, token,
};

/// One text, read as every kind of value.
///
/// What is read writes to the same text where there is one form of it, and to a text that reads to
/// the same value where there are several; what is written reads back.
pub fn value(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert_eq!(token::decode(&token::encode(text)).as_deref(), Some(text));
    if let Some(found) = token::decode(text) {
        assert_eq!(token::encode(&found), text);
    }
    match convert::parse_version_id(text) {
        Some(VersionId::Null) => assert_eq!(text, "null"),
        Some(version) => assert_eq!(version.to_string(), text),
        None => assert_ne!(text, "null"),
    }
    check_percent(text);
    check_query(text);
    check_range(text);
    check_digests(text);
    if let Some(at) = convert::parse_http_date(text) {
        assert_eq!(convert::parse_http_date(&convert::http_date(at)), Some(at));
    }
    match convert::etag_condition(text) {
        ETagCondition::Any => assert_eq!(text.trim(), "*"),
        ETagCondition::Tags(tags) => {
            let is_bare = |tag: &String| !tag.is_empty() && !tag.contains(',');
            assert!(tags.iter().all(is_bare));
        }
    }
}

fn check_percent(text: &str) {
    let encoded = percent::encode(text);
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/%".contains(&byte);
    assert!(encoded.bytes().all(unreserved));
    assert_eq!(percent::decode(&encoded).as_deref(), Some(text));
    assert_eq!(percent::decode_query(&encoded).as_deref(), Some(text));
    if let Some(found) = percent::decode(text) {
        assert!(found.len() <= text.len());
        assert_eq!(percent::decode_query(&text.replace('+', "%2B")).as_deref(), Some(&*found));
    }
}

fn check_query(text: &str) {
    let Ok(query) = Query::parse(Some(text)) else {
        return;
    };
    let written: Vec<String> = query
        .iter()
        .map(|parameter| {
            let name = percent::encode(&parameter.name);
            let equals = if parameter.valued { "=" } else { "" };
            format!("{name}{equals}{}", percent::encode(&parameter.value))
        })
        .collect();
    // A parameter that is nothing at all is written as nothing at all.
    if !written.iter().any(String::is_empty) {
        assert_eq!(Query::parse(Some(&written.join("&"))).ok(), Some(query.clone()));
    }
    if let Ok(count) = query.count("max-keys", 1000) {
        assert!(count <= 1000);
    }
}

fn check_range(text: &str) {
    let Some(found) = range::parse(text) else {
        assert_eq!(range::parse_copy(text), None);
        return;
    };
    let written = match found {
        RangeRequest::From { first, last: Some(last) } => {
            assert!(first <= last);
            format!("bytes={first}-{last}")
        }
        RangeRequest::From { first, last: None } => format!("bytes={first}-"),
        RangeRequest::Suffix { len_bytes } => format!("bytes=-{len_bytes}"),
    };
    assert_eq!(range::parse(&written), Some(found));
    let both_ends = matches!(found, RangeRequest::From { last: Some(_), .. });
    assert_eq!(range::parse_copy(text), both_ends.then_some(found));
}

fn check_digests(text: &str) {
    if let Some(md5) = convert::parse_content_md5(text) {
        assert_eq!(STANDARD.encode(md5), text.trim());
    }
    if let Some(sha256) = convert::parse_sha256_hex(text) {
        assert_eq!(hex::encode(sha256), text.to_ascii_lowercase());
    }
    for algorithm in CHECKSUM_ALGORITHMS {
        if let Some(value) = convert::parse_checksum_value(algorithm, text) {
            assert_eq!(value.len(), convert::checksum_len_bytes(algorithm));
            assert!(text.trim().starts_with(&STANDARD.encode(value)));
        }
    }
    if let Some(algorithm) = convert::parse_checksum_name(text) {
        assert!(convert::checksum_name(algorithm).eq_ignore_ascii_case(text.trim()));
    }
}
