//! `Range` on the wire, and headers of answers.

use compat_tests::payload;

use crate::Fixture;

#[test]
fn an_unsatisfiable_range_is_416() {
    let s3 = Fixture::new();
    s3.put("k", "0123456789");
    s3.put("empty", "");
    for (key, range) in
        [("k", "bytes=10-"), ("k", "bytes=10-20"), ("k", "bytes=-0"), ("empty", "bytes=0-")]
    {
        let target = s3.at(&format!("/{key}"));
        let answer = s3.wire.get(&target).header("range", range).send();
        answer.expect_error(416, "InvalidRange");
        s3.wire.head(&target).header("range", range).send().expect_status(416);
    }
}

#[test]
fn a_range_that_cannot_be_parsed_is_ignored() {
    let s3 = Fixture::new();
    s3.put("k", "0123456789");
    for range in [
        "bytes=a-b",
        "bytes=5-2",
        "bytes=",
        "bytes=-",
        "bytes",
        "lines=0-1",
        "0-1",
        "bytes=0-1,3-4",
        "bytes=99999999999999999999-",
    ] {
        let answer = s3.wire.get(&s3.at("/k")).header("range", range).send();
        if range.contains("9999") {
            assert!([200, 416].contains(&answer.status), "{answer:?}");
            continue;
        }
        answer.expect_status(200);
        assert_eq!(answer.body, "0123456789", "{range}");
        assert_eq!(answer.header("content-range"), None, "{range}");
    }
}

#[test]
fn a_range_answers_with_its_position() {
    let s3 = Fixture::new();
    let data = payload::bytes(1, 200_000);
    s3.put("k", data.clone());
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=65535-65536", 65_535, 65_536),
        ("bytes=199999-", 199_999, 199_999),
        ("bytes=-1", 199_999, 199_999),
        ("bytes=100-999999", 100, 199_999),
    ] {
        let answer = s3.wire.get(&s3.at("/k")).header("range", range).send().status_is(206);
        let position = format!("bytes {first}-{last}/200000");
        assert_eq!(answer.header("content-range"), Some(position.as_str()), "{range}");
        assert_eq!(answer.header("content-length"), Some((last - first + 1).to_string().as_str()));
        assert_eq!(answer.body, &data[first..=last], "{range}");
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    }
}

#[test]
fn response_headers_are_overridden() {
    let s3 = Fixture::new();
    let put = s3.wire.put(&s3.at("/k")).header("content-type", "text/plain").body("data");
    put.header("cache-control", "no-store").send().expect_status(200);
    let query = "response-cache-control=max-age%3D5&response-content-disposition=inline\
                 &response-content-encoding=identity&response-content-language=de\
                 &response-content-type=text%2Fhtml&response-expires=Thu%2C%2001%20Jan%202032%2000%3A00%3A00%20GMT";
    for method in ["GET", "HEAD"] {
        let answer = s3.wire.request(method, &s3.at(&format!("/k?{query}"))).send().status_is(200);
        for (name, value) in [
            ("cache-control", "max-age=5"),
            ("content-disposition", "inline"),
            ("content-encoding", "identity"),
            ("content-language", "de"),
            ("content-type", "text/html"),
            ("expires", "Thu, 01 Jan 2032 00:00:00 GMT"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method} {name}");
        }
    }
    let plain = s3.wire.get(&s3.at("/k")).send().status_is(200);
    assert_eq!(plain.header("content-type"), Some("text/plain"));
    assert_eq!(plain.header("cache-control"), Some("no-store"));
}

#[test]
fn an_answer_describes_its_object() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let get = s3.wire.get(&s3.at("/k")).send().status_is(200);
    let head = s3.wire.head(&s3.at("/k")).send().status_is(200);
    for answer in [&get, &head] {
        assert_eq!(answer.header("content-length"), Some("4"));
        assert_eq!(answer.header("content-type"), Some("binary/octet-stream"));
        assert_eq!(answer.header("etag"), Some("\"8d777f385d3dfec8815d20f7496026dc\""));
        let modified = answer.header("last-modified").unwrap_or_default();
        assert!(modified.ends_with(" GMT") && modified.len() == 29, "{modified}");
        assert!(answer.header("date").is_some());
    }
    assert_eq!(get.header("last-modified"), head.header("last-modified"));
}

#[test]
fn a_not_modified_answer_has_no_body() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let get = s3.wire.get(&s3.at("/k"));
    let raw = get.header("if-none-match", "\"8d777f385d3dfec8815d20f7496026dc\"").send_raw();
    let text = String::from_utf8_lossy(&raw);
    assert!(text.starts_with("HTTP/1.1 304"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
    assert!(
        text.to_lowercase().contains("\r\netag: \"8d777f385d3dfec8815d20f7496026dc\""),
        "{text}"
    );
}
