use http::Request;

use super::*;

/// The example key of S3's documentation.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn at(text: &str) -> UnixMillis {
    parse_date(text).unwrap()
}

/// Signs with the string that the module makes, which the documented examples check.
fn signed(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

#[test]
fn documented_examples_are_verified() {
    let bucket = Some("awsexamplebucket1");
    let dates = [
        "Tue, 27 Mar 2007 19:36:42 +0000",
        "Tue, 27 Mar 2007 21:15:45 +0000",
        "Tue, 27 Mar 2007 19:42:41 +0000",
    ];
    for (method, target, kind, date, signature) in [
        ("GET", "/photos/puppy.jpg", "", dates[0], "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
        ("PUT", "/photos/puppy.jpg", "image/jpeg", dates[1], "iqRzw+ileNPu1fhspnRs8nOjjIA="),
        (
            "GET",
            "/?prefix=photos&max-keys=50&marker=puppy",
            "",
            dates[2],
            "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        ),
    ] {
        let authorization = format!("AWS AKIAIOSFODNN7EXAMPLE:{signature}");
        let headers = [("date", date), ("authorization", &authorization), ("content-type", kind)];
        let headers = if kind.is_empty() { &headers[..2] } else { &headers[..] };
        let parts = parts(method, target, headers);
        let presented = Presented::read(&parts, bucket, at(date)).unwrap().unwrap();
        assert_eq!(presented.access_key(), "AKIAIOSFODNN7EXAMPLE");
        presented.verify(SECRET).unwrap();
        let failure = presented.verify("another").unwrap_err();
        assert_eq!(failure.code(), Code::SignatureDoesNotMatch);
    }
}

/// Made with botocore's `HmacV1Auth` and `HmacV1QueryAuth`.
#[test]
fn signatures_of_an_sdk_are_verified() {
    let date = "Sun, 22 Nov 2026 19:12:19 GMT";
    let put = "/bucket/a%20key?versionId=V1&tagging&prefix=x";
    let headers = [
        ("date", date),
        ("content-type", "text/plain"),
        ("content-md5", "jXd/OF09/siBXSD3SWAm3A=="),
        ("x-amz-meta-b", "two"),
        ("x-amz-acl", "private"),
        ("authorization", "AWS AKIAIOSFODNN7EXAMPLE:VGIY65rqqtAE9mTWFCBoJAgYy3U="),
    ];
    let get = "/bucket/k?response-content-disposition=attachment%3B%20filename%3Da.txt\
               &versionId=null";
    let bare = [
        ("date", date),
        ("authorization", "AWS AKIAIOSFODNN7EXAMPLE:G/gevUVn3eatEkPdrWu04JB1diY="),
    ];
    let url = "/bucket/k?uploadId=u&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\
               &Signature=uY9Dfl3%2F2Bn4o8uX0iPzGZZed9Y%3D&Expires=1795374799";
    for parts in [parts("PUT", put, &headers), parts("GET", get, &bare), parts("GET", url, &[])] {
        let presented = Presented::read(&parts, None, at(date)).unwrap().unwrap();
        presented.verify(SECRET).unwrap();
    }
}

#[test]
fn amz_headers_and_sub_resources_are_covered() {
    let date = "Tue, 27 Mar 2007 21:20:26 +0000";
    let headers = [
        ("date", "Tue, 27 Mar 2007 21:20:27 +0000"),
        ("x-amz-meta-b", " 1 "),
        ("x-amz-date", date),
        ("x-amz-meta-a", "2"),
        ("x-amz-meta-b", "3"),
        ("authorization", "AWS k:s"),
    ];
    let target = "/b/k%20y?versionId=v&acl&prefix=p&response-expires=a%20b";
    let parts = parts("GET", target, &headers);
    let presented = Presented::read(&parts, None, at(date)).unwrap().unwrap();
    assert_eq!(
        presented.string_to_sign,
        "GET\n\n\n\nx-amz-date:Tue, 27 Mar 2007 21:20:26 +0000\nx-amz-meta-a:2\nx-amz-meta-b:1,3\n\
         /b/k%20y?acl&response-expires=a b&versionId=v"
    );
}

#[test]
fn what_is_not_covered_needs_version_4() {
    let date = "Tue, 27 Mar 2007 21:20:26 +0000";
    let read = |method: &str, target: &str, more: &[(&str, &str)]| {
        let headers = [&[("date", date), ("authorization", "AWS k:s")], more].concat();
        let outcome = Presented::read(&parts(method, target, &headers), None, at(date));
        outcome.map(|found| found.is_some()).map_err(|failure| failure.code())
    };
    assert_eq!(read("PUT", "/b/k?tagging", &[]), Ok(true));
    for target in ["/b/k?retention", "/b/k?legal-hold", "/b?encryption", "/b?abac", "/b?nonsense"] {
        assert_eq!(read("PUT", target, &[]), Err(Code::InvalidRequest), "{target}");
    }
    // Repeated, it would not be covered.
    assert_eq!(read("PUT", "/b/k?acl&acl", &[]), Err(Code::InvalidArgument));
    assert_eq!(read("PUT", "/b/k?Expires=1", &[]), Err(Code::InvalidRequest));
    let chunks = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    assert_eq!(read("PUT", "/b/k", &[chunks]), Err(Code::InvalidRequest));
}

#[test]
fn dates_must_be_there_and_close() {
    let date = "Tue, 27 Mar 2007 21:20:26 GMT";
    let read = |headers: &[(&str, &str)], now: UnixMillis| {
        let headers = [&[("authorization", "AWS k:s")], headers].concat();
        let outcome = Presented::read(&parts("GET", "/b/k", &headers), None, now);
        outcome.map(|found| found.is_some()).map_err(|failure| failure.code())
    };
    let now = at(date);
    assert_eq!(read(&[("date", date)], now), Ok(true));
    assert_eq!(read(&[("x-amz-date", "20070327T212026Z")], now), Ok(true));
    let (early, late) = (UnixMillis(now.0 - 900_001), UnixMillis(now.0 + 900_001));
    for now in [early, late] {
        assert_eq!(read(&[("date", date)], now), Err(Code::RequestTimeTooSkewed));
    }
    assert_eq!(read(&[], now), Err(Code::AccessDenied));
    assert_eq!(read(&[("date", "yesterday")], now), Err(Code::AccessDenied));
    assert_eq!(read(&[("date", date), ("x-amz-date", "soon")], now), Err(Code::AccessDenied));
}

#[test]
fn signed_urls_expire() {
    let url = |expires: &str| format!("/b/k?AWSAccessKeyId=k&Expires={expires}&Signature=s");
    let read = |target: &str| {
        let parts = parts("GET", target, &[]);
        let outcome = Presented::read(&parts, None, UnixMillis(1_000_000));
        outcome.map(|found| found.is_some()).map_err(|failure| failure.code())
    };
    assert_eq!(read(&url("1000")), Ok(true));
    assert_eq!(read(&url("999")), Err(Code::AccessDenied));
    assert_eq!(read(&url("soon")), Err(Code::AccessDenied));
    assert_eq!(read("/b/k?AWSAccessKeyId=k&Expires=2000"), Err(Code::AccessDenied));
    assert_eq!(read("/b/k"), Ok(false));

    let target = url("2000").replace("Signature=s", "acl&Signature=");
    let text = "GET\n\n\n2000\n/b/k?acl";
    let target = target + &signed(SECRET, text).replace('+', "%2B");
    let mut parts = parts("GET", &target, &[]);
    let presented = Presented::read(&parts, None, UnixMillis(1_000_000)).unwrap().unwrap();
    assert_eq!(presented.string_to_sign, text);
    presented.verify(SECRET).unwrap();
    strip(&mut parts);
    assert_eq!(parts.uri, "/b/k?acl");
}
