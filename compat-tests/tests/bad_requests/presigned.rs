//! Signatures in the query.
//!
//! `AuthorizationQueryParametersError` is what S3 calls query parameters of a signature that are
//! missing or malformed; "Authenticating requests: using query parameters" names their limits.

use std::time::Duration;

use compat_tests::server::Credentials;

use crate::row::{Message, Row, Stage, row};
use crate::signatures::SIGNED;

const HOUR: Duration = Duration::from_secs(3600);
const PARAMETERS: &str = "AuthorizationQueryParametersError";
const TIMES: [&str; 3] = ["X-Amz-Expires", "Expires", "ServerTime"];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = refused();
    for name in ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders"] {
        rows.push(row(&format!("presigned without X-Amz-{name}"), 400, PARAMETERS, move |s| {
            presigned(s).replace(&format!("X-Amz-{name}="), &format!("X-Amz-Un{name}="))
        }));
    }
    for (what, text) in [
        ("a week and a second", "604801"),
        ("no number", "soon"),
        ("negative", "-1"),
        ("beyond 64 bits", "99999999999999999999"),
    ] {
        rows.push(row(&format!("presigned for {what}"), 400, PARAMETERS, move |s| {
            presigned(s).replace("X-Amz-Expires=3600", &format!("X-Amz-Expires={text}"))
        }));
    }
    rows.extend(changed());
    rows
}

fn presigned(s: &Stage) -> Message {
    s.get("/old").presigned(HOUR).into()
}

fn refused() -> Vec<Row> {
    vec![
        row("presigned and expired", 403, "AccessDenied", |s| {
            s.get("/old").presigned(Duration::from_secs(60)).clock_offset(-120)
        })
        .says("X-Amz-Expires", "60")
        .tells(&TIMES),
        row("presigned and expired, HEAD", 403, "AccessDenied", |s| {
            let ask = s.wire.head(&s.at("/old")).presigned(Duration::from_secs(60));
            ask.clock_offset(-120)
        }),
        row("presigned upload expired", 403, "AccessDenied", |s| {
            let put = s.put("/new").presigned(Duration::from_secs(60)).clock_offset(-120);
            put.body(vec![1; 100_000])
        })
        .tells(&TIMES),
        row("presigned for tomorrow", 403, "AccessDenied", |s| {
            s.get("/old").presigned(HOUR).clock_offset(86_400)
        })
        .tells(&TIMES),
        row("presigned with an unknown key", 403, "InvalidAccessKeyId", |s| {
            let unknown = s.wire.signed_by(&Credentials::new("NOSUCHACCESSKEY00000", "x"));
            unknown.get(&s.at("/old")).presigned(HOUR)
        })
        .says("AWSAccessKeyId", "NOSUCHACCESSKEY00000"),
        row("presigned with the wrong secret", 403, "SignatureDoesNotMatch", |s| {
            let wrong = s.wire.signed_by(&Credentials::new(&s.access_key, "wrong"));
            wrong.get(&s.at("/old")).presigned(HOUR)
        })
        .tells(&SIGNED),
        row("presigned with a session token", 400, "InvalidToken", |s| {
            s.get("/old?X-Amz-Security-Token=token").presigned(HOUR)
        }),
        row("presigned with a header that is not signed", 403, "AccessDenied", |s| {
            s.put("/new").presigned(HOUR).unsigned_header("x-amz-meta-a", "b").body("data")
        })
        .says("HeadersNotSigned", "x-amz-meta-a"),
        row("presigned and chunked", 501, "NotImplemented", |s| {
            let put = Message::from(s.put("/new").presigned(HOUR).body("data"));
            put.with_line(b"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        })
        .may_close(),
    ]
}

fn changed() -> Vec<Row> {
    let edited = |name: &str, code: &'static str, from: &'static str, to: &'static str| {
        let status = if code == PARAMETERS { 400 } else { 403 };
        row(name, status, code, move |s| presigned(s).replace(from, to))
    };
    vec![
        edited("presigned for another method", "SignatureDoesNotMatch", "GET ", "DELETE ")
            .tells(&SIGNED),
        edited("presigned for another key", "SignatureDoesNotMatch", "/old?", "/new?")
            .tells(&SIGNED),
        edited("presigned for longer", "SignatureDoesNotMatch", "Expires=3600", "Expires=7200")
            .tells(&SIGNED),
        edited("presigned with more", "SignatureDoesNotMatch", "/old?", "/old?versionId=null&")
            .tells(&SIGNED),
        edited("presigned with another algorithm", PARAMETERS, "HMAC-SHA256", "HMAC-SHA512"),
        edited("presigned with a date of none", PARAMETERS, "X-Amz-Date=2", "X-Amz-Date=x"),
        edited("presigned for another region", PARAMETERS, "%2Fus-east-1%2F", "%2Feu-west-9%2F")
            .says("Region", "us-east-1"),
        edited("presigned for another service", PARAMETERS, "%2Fs3%2F", "%2Fec2%2F"),
        edited("presigned with a NUL", PARAMETERS, "SignedHeaders=host", "SignedHeaders=%00host"),
        edited(
            "presigned with no header signed",
            PARAMETERS,
            "SignedHeaders=host",
            "SignedHeaders=",
        ),
        edited(
            "presigned with a NUL for a key",
            "InvalidAccessKeyId",
            "Credential=",
            "Credential=%00",
        ),
        edited("presigned with a cut credential", PARAMETERS, "%2Fus-east-1%2Fs3%2F", "%2F"),
        row("presigned with the scope of another day", 400, PARAMETERS, |s| {
            let message = presigned(s);
            let text = String::from_utf8_lossy(&message.bytes).into_owned();
            let (_, date) = text.split_once("X-Amz-Date=").expect("it is presigned");
            let scope = format!("%2F{}%2F", &date[..8]);
            message.replace(&scope, "%2F20200101%2F")
        }),
        row("presigned with a signature of no hex", 403, "SignatureDoesNotMatch", |s| {
            presigned(s).replace("X-Amz-Signature=", "X-Amz-Signature=zz")
        }),
        row("version 2 in the query", 400, "InvalidRequest", |s| {
            s.raw(
                "GET /{bucket}/old?AWSAccessKeyId=a&Expires=4102444800&Signature=b HTTP/1.1\r\n\
                 host: {host}\r\n\r\n",
            )
        }),
    ]
}
