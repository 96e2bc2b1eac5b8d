//! Signatures in the `Authorization` header, and the clock.
//!
//! Codes are those of S3's list of error codes; which elements stand beside `SignatureDoesNotMatch`
//! and `RequestTimeTooSkewed` is what S3 answers, and what its troubleshooting guide reads.

use compat_tests::server::Credentials;

use crate::row::{Message, Row, Stage, row};

/// What `SignatureDoesNotMatch` tells, so that a client can compare it with what it signed.
pub(crate) const SIGNED: [&str; 6] = [
    "AWSAccessKeyId",
    "StringToSign",
    "SignatureProvided",
    "StringToSignBytes",
    "CanonicalRequest",
    "CanonicalRequestBytes",
];
const SKEWED: [&str; 2] = ["RequestTime", "ServerTime"];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = keys();
    rows.extend(changed());
    rows.extend(clock());
    rows.extend(malformed());
    rows.extend(unreadable());
    rows
}

fn keys() -> Vec<Row> {
    vec![
        row("no signature", 403, "AccessDenied", |s| s.get("/old").anonymous()),
        row("write without a signature", 403, "AccessDenied", |s| {
            s.put("/new").anonymous().body("data")
        }),
        row("no signature on the service", 403, "AccessDenied", |s| s.wire.get("/").anonymous()),
        row("response header without a signature", 400, "InvalidRequest", |s| {
            s.get("/old?response-content-type=text%2Fplain").anonymous()
        }),
        row("unknown key", 403, "InvalidAccessKeyId", |s| {
            s.wire.signed_by(&Credentials::new("NOSUCHACCESSKEY00000", "x")).get(&s.at("/old"))
        })
        .says("AWSAccessKeyId", "NOSUCHACCESSKEY00000"),
        row("wrong secret", 403, "SignatureDoesNotMatch", |s| {
            s.wire.signed_by(&Credentials::new(&s.access_key, "wrong")).get(&s.at("/old"))
        })
        .tells(&SIGNED),
        row("wrong secret, with a body", 403, "SignatureDoesNotMatch", |s| {
            let wrong = s.wire.signed_by(&Credentials::new(&s.access_key, "wrong"));
            wrong.put(&s.at("/new")).body(vec![1; 300_000])
        })
        .tells(&SIGNED),
        row("wrong secret on HEAD", 403, "SignatureDoesNotMatch", |s| {
            s.wire.signed_by(&Credentials::new(&s.access_key, "wrong")).head(&s.at("/old"))
        }),
        row("wrong secret, signed chunks", 403, "SignatureDoesNotMatch", |s| {
            let wrong = s.wire.signed_by(&Credentials::new(&s.access_key, "wrong"));
            wrong.put(&s.at("/new")).signed_chunks("data", 8192)
        })
        .tells(&SIGNED),
        row("another account's bucket", 403, "AccessDenied", |s| s.other.get(&s.at("/old"))),
        row("another account's bucket, listed", 403, "AccessDenied", |s| {
            s.other.get(&s.at("?list-type=2"))
        }),
        row("another account's bucket, deleted", 403, "AccessDenied", |s| {
            s.other.delete(&s.at(""))
        }),
        row("session token", 400, "InvalidToken", |s| {
            s.get("/old").header("x-amz-security-token", "token")
        }),
        row("another owner expected", 403, "AccessDenied", |s| {
            s.get("/old").header("x-amz-expected-bucket-owner", "111122223333")
        }),
    ]
}

fn changed() -> Vec<Row> {
    let signed = |s: &Stage| Message::from(s.get("/old?versionId=null"));
    vec![
        row("signature changed", 403, "SignatureDoesNotMatch", move |s| {
            let value = signed(s).header("authorization");
            let last = if value.ends_with('0') { "1" } else { "0" };
            signed(s).set_header("authorization", &format!("{}{last}", &value[..value.len() - 1]))
        })
        .tells(&SIGNED),
        row("target changed", 403, "SignatureDoesNotMatch", move |s| {
            signed(s).replace("/old?", "/new?")
        })
        .tells(&SIGNED),
        row("query changed", 403, "SignatureDoesNotMatch", move |s| {
            signed(s).replace("versionId=null", "versionId=nul1")
        })
        .tells(&SIGNED),
        row("method changed", 403, "SignatureDoesNotMatch", move |s| {
            signed(s).replace("GET ", "DELETE ")
        })
        .tells(&SIGNED),
        row("host changed", 403, "SignatureDoesNotMatch", move |s| {
            signed(s).set_header("host", "elsewhere.example")
        })
        .tells(&SIGNED),
        row("payload hash changed", 403, "SignatureDoesNotMatch", move |s| {
            signed(s).set_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        })
        .tells(&SIGNED),
        row("signed header gone", 403, "SignatureDoesNotMatch", |s| {
            Message::from(s.get("/old").header("x-amz-checksum-mode", "ENABLED"))
                .without_header("x-amz-checksum-mode")
        }),
        row("header not signed", 403, "AccessDenied", |s| {
            s.get("/old").unsigned_header("x-amz-checksum-mode", "ENABLED")
        })
        .says("HeadersNotSigned", "x-amz-checksum-mode"),
        row("copy source not signed", 403, "AccessDenied", |s| {
            s.put("/new").unsigned_header("x-amz-copy-source", "b/k")
        })
        .says("HeadersNotSigned", "x-amz-copy-source"),
        row("host not signed", 403, "SignatureDoesNotMatch", move |s| {
            signed(s).replace("SignedHeaders=host;", "SignedHeaders=")
        }),
    ]
}

fn clock() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, seconds) in [
        ("clock 16 minutes behind", -960),
        ("clock 16 minutes ahead", 960),
        ("clock a day behind", -86_400),
        ("clock a year ahead", 31_536_000),
    ] {
        rows.push(
            row(name, 403, "RequestTimeTooSkewed", move |s| s.get("/old").clock_offset(seconds))
                .tells(&SKEWED)
                .says("MaxAllowedSkewMilliseconds", "900000"),
        );
    }
    rows.push(
        row("clock behind, with a body", 403, "RequestTimeTooSkewed", |s| {
            s.put("/new").clock_offset(-960).body(vec![1; 100_000])
        })
        .tells(&SKEWED),
    );
    rows.push(row("no date", 403, "AccessDenied", |s| {
        Message::from(s.get("/old")).without_header("x-amz-date")
    }));
    rows.push(row("date is none", 403, "AccessDenied", |s| {
        Message::from(s.get("/old")).set_header("x-amz-date", "yesterday")
    }));
    rows.push(row("date of no calendar", 403, "AccessDenied", |s| {
        let signed = Message::from(s.get("/old"));
        let scope = format!("/{}/", &signed.header("x-amz-date")[..8]);
        signed.set_header("x-amz-date", "20251399T000000Z").replace(&scope, "/20251399/")
    }));
    rows.push(row("scope of another day", 400, "AuthorizationHeaderMalformed", |s| {
        let signed = Message::from(s.get("/old"));
        let scope = format!("/{}/", &signed.header("x-amz-date")[..8]);
        signed.replace(&scope, "/20200101/")
    }));
    rows
}

fn malformed() -> Vec<Row> {
    let with =
        |name: &str, status: u16, code: &'static str, from: &'static str, to: &'static str| {
            row(name, status, code, move |s| Message::from(s.get("/old")).replace(from, to))
        };
    let malformed = "AuthorizationHeaderMalformed";
    let mut rows = vec![
        with("scope of another region", 400, malformed, "/us-east-1/s3/", "/eu-west-9/s3/")
            .says("Region", "us-east-1")
            .header("x-amz-bucket-region", "us-east-1"),
        with("scope of another service", 400, malformed, "/us-east-1/s3/", "/us-east-1/ec2/"),
        with("scope of another end", 400, malformed, "/aws4_request", "/aws5_request"),
        with("no credential", 400, malformed, "Credential=", "Credentials="),
        with("no signed headers", 400, malformed, "SignedHeaders=", "Signed="),
        with(
            "signed headers that are none",
            400,
            malformed,
            "SignedHeaders=host",
            "SignedHeaders=h[st",
        ),
        with(
            "signed headers with a gap",
            400,
            malformed,
            "SignedHeaders=host",
            "SignedHeaders=host;",
        ),
        with("no signature field", 400, malformed, "Signature=", "Sign="),
        with("credential of three fields", 400, malformed, "/us-east-1/s3/", "/"),
        with("scope of no day", 400, malformed, "/us-east-1/s3/", "/x/us-east-1/s3/"),
        with("another algorithm", 400, "InvalidArgument", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA512 "),
        row("no payload hash", 400, "InvalidRequest", |s| {
            Message::from(s.get("/old")).without_header("x-amz-content-sha256")
        }),
        row("two signatures at once", 400, "InvalidArgument", |s| {
            let target = s.get("/old").presigned(std::time::Duration::from_secs(60)).into_target();
            let header = Message::from(s.get("/old")).header("authorization");
            s.raw(&format!(
                "GET {target} HTTP/1.1\r\nhost: {{host}}\r\nauthorization: {header}\r\n\r\n"
            ))
        })
        .says("ArgumentName", "Authorization"),
    ];
    for (name, code, value) in [
        ("authorization is empty", "InvalidArgument", ""),
        ("basic authorization", "InvalidArgument", "Basic dXNlcjpwYXNz"),
        ("bearer authorization", "InvalidArgument", "Bearer token"),
        ("signature of version 2", "InvalidRequest", "AWS AKIDEXAMPLE:c2lnbmF0dXJl"),
        ("only the algorithm", malformed, "AWS4-HMAC-SHA256"),
        (
            "only a credential",
            malformed,
            "AWS4-HMAC-SHA256 Credential=a/20250101/us-east-1/s3/aws4_request",
        ),
    ] {
        rows.push(row(name, 400, code, move |s| {
            Message::from(s.get("/old")).set_header("authorization", value)
        }));
    }
    rows
}

/// Signatures that are none.
fn unreadable() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, text) in [("short", "00ff"), ("in capitals", "upper"), ("no hex", "zz")] {
        rows.push(row(&format!("signature is {name}"), 403, "SignatureDoesNotMatch", move |s| {
            let signed = Message::from(s.get("/old"));
            let value = signed.header("authorization");
            let (start, signature) = value.split_once("Signature=").expect("it is signed");
            let changed = match text {
                "upper" => format!("A{}", signature[1..].to_uppercase()),
                text => text.to_owned(),
            };
            signed.set_header("authorization", &format!("{start}Signature={changed}"))
        }));
    }
    rows
}
