//! Listings on the wire: bounds, encodings, echoes of the request.

use std::thread;

use compat_tests::wire::{percent_encode, percent_encode_path};

use crate::Fixture;

/// More than one page can hold.
const MANY: usize = 1003;

/// How many clients fill the bucket at a time. Chosen: enough to share the server's commits.
const WRITERS: usize = 8;

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_page_holds_at_most_a_thousand_keys() {
    let s3 = Fixture::new();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let s3 = &s3;
            scope.spawn(move || {
                for number in (writer..MANY).step_by(WRITERS) {
                    s3.put(&format!("k{number:04}"), "");
                }
            });
        }
    });
    for query in ["?list-type=2&max-keys=5000", "?list-type=2", "?max-keys=5000", ""] {
        let page = s3.wire.get(&s3.at(query)).send().status_is(200);
        assert_eq!(page.element("MaxKeys").as_deref(), Some("1000"), "{query}");
        assert_eq!(page.element("IsTruncated").as_deref(), Some("true"), "{query}");
        assert_eq!(page.elements("Key").len(), 1000, "{query}");
    }
    let first = s3.wire.get(&s3.at("?list-type=2&max-keys=2000")).send();
    let token = first.element("NextContinuationToken").expect("a truncated page has a token");
    let query = format!("?list-type=2&continuation-token={}", percent_encode(&token));
    let second = s3.wire.get(&s3.at(&query)).send().status_is(200);
    assert_eq!(second.elements("Key"), ["k1000", "k1001", "k1002"]);
    assert_eq!(second.element("IsTruncated").as_deref(), Some("false"));
    assert_eq!(second.element("ContinuationToken"), Some(token));
    assert_eq!(second.element("KeyCount").as_deref(), Some("3"));
}

#[test]
fn max_keys_must_be_a_number() {
    let s3 = Fixture::new();
    for value in ["-1", "many", "1.5", "2147483648"] {
        for version in ["", "list-type=2&"] {
            let answer = s3.wire.get(&s3.at(&format!("?{version}max-keys={value}"))).send();
            answer.expect_error(400, "InvalidArgument");
        }
    }
}

#[test]
fn encoding_type_url_encodes_every_name() {
    let s3 = Fixture::new();
    let keys = ["a b+c/ü&<>\"'", "tab\tand\u{1}control", "%41"];
    for key in keys {
        s3.put(&percent_encode_path(key), "x");
    }
    for version in ["", "list-type=2&"] {
        let target = s3.at(&format!("?{version}encoding-type=url"));
        let listed = s3.wire.get(&target).send().status_is(200);
        assert_eq!(listed.element("EncodingType").as_deref(), Some("url"));
        let encoded = listed.elements("Key");
        let mut decoded: Vec<String> = encoded.iter().map(|key| decode(key)).collect();
        decoded.sort();
        let mut wanted = keys.map(str::to_owned);
        wanted.sort();
        assert_eq!(decoded, wanted);
        for key in &encoded {
            assert!(key.bytes().all(|b| b.is_ascii_graphic() && !b"<>&\"".contains(&b)), "{key}");
        }
    }
    let target =
        s3.at("?list-type=2&encoding-type=url&prefix=a%20b%2B&delimiter=%2F&start-after=A%20");
    let listed = s3.wire.get(&target).send().status_is(200);
    let prefixes = listed.elements("Prefix");
    assert_eq!(prefixes.iter().map(|p| decode(p)).collect::<Vec<_>>(), ["a b+", "a b+c/"]);
    assert_eq!(listed.element("Delimiter").map(|text| decode(&text)).as_deref(), Some("/"));
    assert_eq!(listed.element("StartAfter").map(|text| decode(&text)).as_deref(), Some("A "));
    let wrong = s3.wire.get(&s3.at("?encoding-type=base64")).send();
    wrong.expect_error(400, "InvalidArgument");
}

#[test]
fn names_are_escaped_without_an_encoding() {
    let s3 = Fixture::new();
    let key = "<a> & \"b\" 'c' ü+ %20";
    s3.put(&percent_encode_path(key), "x");
    for query in ["", "?list-type=2"] {
        let listed = s3.wire.get(&s3.at(query)).send().status_is(200);
        assert_eq!(listed.elements("Key"), [key]);
        assert_eq!(listed.element("EncodingType"), None);
        assert_eq!(listed.elements("ETag"), ["\"9dd4e461268c8034f5c8564e155c67a6\""]);
    }
}

#[test]
fn a_listing_repeats_its_question() {
    let s3 = Fixture::new();
    let query = "?list-type=2&prefix=p%2F&delimiter=%2F&max-keys=7&start-after=p%2Fa";
    let listed = s3.wire.get(&s3.at(query)).send().status_is(200);
    for (name, value) in [
        ("Name", s3.bucket.as_str()),
        ("Prefix", "p/"),
        ("Delimiter", "/"),
        ("MaxKeys", "7"),
        ("StartAfter", "p/a"),
        ("KeyCount", "0"),
        ("IsTruncated", "false"),
    ] {
        assert_eq!(listed.element(name).as_deref(), Some(value), "{name}");
    }
    let text = String::from_utf8_lossy(&listed.body).into_owned();
    let namespace = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    assert!(text.contains(namespace), "{text}");
    let first = s3.wire.get(&s3.at("?marker=m&max-keys=3")).send().status_is(200);
    assert_eq!(first.element("Marker").as_deref(), Some("m"));
    assert_eq!(first.element("MaxKeys").as_deref(), Some("3"));
    assert_eq!(first.element("KeyCount"), None, "only version 2 counts");
}

#[test]
fn version_one_pages_with_markers() {
    let s3 = Fixture::new();
    for key in ["a/1", "a/2", "b", "c/1"] {
        s3.put(key, "x");
    }
    let first = s3.wire.get(&s3.at("?delimiter=%2F&max-keys=1")).send().status_is(200);
    assert_eq!(first.element("IsTruncated").as_deref(), Some("true"));
    assert_eq!(first.element("NextMarker").as_deref(), Some("a/"));
    let second = s3.wire.get(&s3.at("?delimiter=%2F&max-keys=1&marker=a%2F")).send();
    assert_eq!(second.elements("Key"), ["b"]);
    let third = s3.wire.get(&s3.at("?delimiter=%2F&max-keys=1&marker=b")).send();
    assert_eq!(third.elements("Prefix").last().map(String::as_str), Some("c/"));
    assert_eq!(third.element("IsTruncated").as_deref(), Some("false"));
}
