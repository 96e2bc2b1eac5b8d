use http::{HeaderName, HeaderValue};
use node_proto::UnixMillis;

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        map.append(HeaderName::from_static(name), value);
    }
    map
}

#[test]
fn aws_chunked_does_not_leak_into_content_encoding() {
    for (given, kept) in [
        ("aws-chunked", None),
        ("gzip,aws-chunked", Some("gzip")),
        ("AWS-Chunked, gzip , br", Some("gzip,br")),
        ("gzip", Some("gzip")),
    ] {
        let found = system_headers(&headers(&[("content-encoding", given)])).unwrap();
        assert_eq!(found.content_encoding.as_deref(), kept, "{given}");
    }
}

#[test]
fn metadata_is_sorted_and_repeated_values_are_joined() {
    let map = headers(&[
        ("x-amz-meta-b", "2"),
        ("x-amz-meta-a", "é"),
        ("x-amz-meta-b", "3"),
        ("x-amz-meta-", "ignored"),
    ]);
    let pairs = [("a".to_owned(), "é".to_owned()), ("b".to_owned(), "2,3".to_owned())];
    assert_eq!(user_metadata(&map).unwrap(), pairs);
}

#[test]
fn header_that_is_not_utf8_is_refused() {
    let mut map = HeaderMap::new();
    map.insert("x-amz-meta-a", HeaderValue::from_bytes(b"\xe9").unwrap());
    assert_eq!(user_metadata(&map).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn repeated_single_header_is_refused() {
    let map = headers(&[("content-length", "1"), ("content-length", "2")]);
    assert_eq!(number(&map, "content-length").unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn numbers_are_digits() {
    let read = |text| number(&headers(&[("content-length", text)]), "content-length");
    assert_eq!(read("17").unwrap(), Some(17));
    for bad in ["+1", "-1", "x", "99999999999999999999999"] {
        assert_eq!(read(bad).unwrap_err().code(), Code::InvalidArgument, "{bad}");
    }
}

#[test]
fn tags_are_decoded_like_a_query() {
    let read = |text| tags(&headers(&[("x-amz-tagging", text)]));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        read("a=1%2B1&b+c=&d").unwrap(),
        Some(vec![pair("a", "1+1"), pair("b c", ""), pair("d", "")])
    );
    assert_eq!(read("a=%f").unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(tags(&HeaderMap::new()).unwrap(), None);
}

#[test]
fn unreadable_dates_are_ignored() {
    let map = headers(&[
        ("if-modified-since", "yesterday"),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-none-match", "\"a\""),
        ("if-none-match", "\"b\""),
    ]);
    let condition = read_condition(&map).unwrap();
    assert_eq!(condition.if_modified_since, None);
    assert_eq!(condition.if_unmodified_since, Some(UnixMillis(784_111_777_000)));
    let tags = ETagCondition::Tags(vec!["a".into(), "b".into()]);
    assert_eq!(condition.if_none_match, Some(tags));
}

#[test]
fn writes_take_no_if_none_match_but_the_star() {
    let read = |text| write_condition(&headers(&[("if-none-match", text)]));
    assert_eq!(read("*").unwrap().if_none_match, Some(ETagCondition::Any));
    for text in ["\"a\"", "\"*\"", "*, \"a\"", ""] {
        assert_eq!(read(text).unwrap_err().code(), Code::NotImplemented, "{text}");
    }
}

#[test]
fn acls_that_grant_nothing_are_accepted() {
    let refused = |pairs: &[_]| refuse_unsupported(&headers(pairs)).map_err(|f| f.code());
    assert_eq!(refused(&[]), Ok(()));
    assert_eq!(refused(&[("x-amz-acl", "private")]), Ok(()));
    assert_eq!(refused(&[("x-amz-acl", "bucket-owner-full-control")]), Ok(()));
    let not_supported = Err(Code::AccessControlListNotSupported);
    assert_eq!(refused(&[("x-amz-acl", "public-read")]), not_supported);
    assert_eq!(refused(&[("x-amz-grant-read", "id=1")]), not_supported);
}

#[test]
fn appends_and_renames_by_header_are_not_implemented() {
    let refused = |pairs: &[_]| refuse_unsupported(&headers(pairs)).map_err(|f| f.code());
    assert_eq!(refused(&[("x-amz-object-lock-mode", "GOVERNANCE")]), Ok(()));
    for name in ["x-amz-write-offset-bytes", "x-amz-rename-source"] {
        assert_eq!(refused(&[(name, "1")]), Err(Code::NotImplemented));
    }
}

#[test]
fn redirect_location_is_a_location() {
    let read = |text| system_headers(&headers(&[("x-amz-website-redirect-location", text)]));
    assert!(read("/elsewhere").is_ok());
    assert_eq!(read("elsewhere").unwrap_err().code(), Code::InvalidRedirectLocation);
}
