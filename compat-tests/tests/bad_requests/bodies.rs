//! Bodies and their lengths.
//!
//! `MissingContentLength`, `IncompleteBody`, `EntityTooLarge`, `MaxMessageLengthExceeded` and
//! `MissingRequestBodyError` are in S3's list of error codes. A length that is none is no HTTP (RFC
//! 9112, section 6.3): S3 calls that `BadRequest` and closes the connection.

use compat_tests::encoding::{Checksum, content_md5, sha256_hex};

use crate::row::{Message, Row, Stage, row};

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// One byte more than the largest object of one request: 5 GiB.
const TOO_LONG: &str = "5368709121";
const FIVE_GIB: &str = "5368709120";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = missing();
    rows.extend(unreadable());
    rows.extend(short_and_long());
    rows.extend(too_large());
    rows
}

fn missing() -> Vec<Row> {
    vec![
        row("put without a length", 411, "MissingContentLength", |s| {
            s.put("/new").payload_hash(UNSIGNED).without_content_length()
        }),
        row("part without a length", 411, "MissingContentLength", |s| {
            part(s, 4).payload_hash(UNSIGNED).without_content_length()
        }),
        row("put of unknown length", 411, "MissingContentLength", |s| {
            let put = s.put("/new").payload_hash(UNSIGNED).without_content_length();
            let put = put.unsigned_header("transfer-encoding", "chunked");
            chunked(put.into_message(), "4\r\ndata\r\n0\r\n\r\n")
        }),
        row("part of unknown length", 411, "MissingContentLength", |s| {
            let part = part(s, 4).payload_hash(UNSIGNED).without_content_length();
            let part = part.unsigned_header("transfer-encoding", "chunked");
            chunked(part.into_message(), "4\r\ndata\r\n0\r\n\r\n")
        }),
        row("completion without a body", 400, "MalformedXML", |s| {
            s.post(&format!("/upload?uploadId={}", s.upload)).without_content_length()
        }),
        row("deletion of many without a body", 400, "MissingRequestBodyError", |s| {
            s.post("?delete").header("content-md5", &content_md5(b""))
        }),
        row("tagging without a body", 400, "MissingRequestBodyError", |s| s.put("/old?tagging")),
    ]
}

fn unreadable() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("a word", "four"),
        ("negative", "-1"),
        ("with a sign", "+4"),
        ("in hexadecimal", "0x4"),
        ("empty", ""),
        ("with a fraction", "4.0"),
        ("a list that differs", "4, 5"),
        ("beyond 64 bits", "99999999999999999999999"),
    ]
    .into_iter()
    .map(|(what, text)| {
        row(&format!("length is {what}"), 400, "BadRequest", move |s| {
            s.put("/new").body("data").content_length(text)
        })
        .closes()
    })
    .collect();
    rows.push(
        row("two lengths that differ", 400, "BadRequest", |s| {
            let put = Message::from(s.put("/new").body("data"));
            put.with_line(b"content-length: 5")
        })
        .closes(),
    );
    for (name, text) in [("decoded length is a word", "four"), ("decoded length is negative", "-1")]
    {
        rows.push(
            // S3 documents no code for it; the adapter's is one of S3's for what cannot be read.
            row(name, 400, "InvalidRequest", move |s| {
                let crc = Checksum::Crc32.of(b"data");
                s.put("/new")
                    .header("content-encoding", "aws-chunked")
                    .header("x-amz-decoded-content-length", text)
                    .header("x-amz-trailer", Checksum::Crc32.header())
                    .payload_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
                    .body(format!("4\r\ndata\r\n0\r\n{}:{crc}\r\n\r\n", Checksum::Crc32.header()))
            })
            .may_close(),
        );
    }
    rows
}

fn short_and_long() -> Vec<Row> {
    let mut rows = vec![
        row("body ends early", 400, "IncompleteBody", |s| {
            cut(s.put("/new").payload_hash(UNSIGNED).body("data").content_length("400000"))
        })
        .closes(),
        row("body does not come", 400, "IncompleteBody", |s| {
            cut(s.put("/new").payload_hash(UNSIGNED).content_length("4"))
        })
        .closes(),
        row("signed body ends early", 400, "IncompleteBody", |s| {
            let put = s.put("/new").payload_hash(&sha256_hex(b"datadata"));
            cut(put.body("data").content_length("8"))
        })
        .closes(),
        row("part ends early", 400, "IncompleteBody", |s| {
            cut(part(s, 4).payload_hash(UNSIGNED).body("data").content_length("6000000"))
        })
        .closes(),
        row("large body ends early", 400, "IncompleteBody", |s| {
            let put = s.put("/new").payload_hash(UNSIGNED).body(vec![7; 300_000]);
            cut(put.content_length("300001"))
        })
        .closes(),
        row("deletion of many ends early", 400, "IncompleteBody", |s| {
            let document = "<Delete><Object><Key>k</Key></Object></Delete>";
            let ask = s.post("?delete").header("content-md5", &content_md5(document.as_bytes()));
            cut(ask.body(document).content_length("500"))
        })
        .closes(),
        row("completion ends early", 400, "IncompleteBody", |s| {
            let ask = s.post(&format!("/upload?uploadId={}", s.upload)).payload_hash(UNSIGNED);
            cut(ask.body("<CompleteMultipartUpload>").content_length("500"))
        })
        .closes(),
    ];
    // What is too much is the start of no request.
    let longer = [
        ("body longer than said", "XAmzContentSHA256Mismatch", false),
        ("body longer than said, with MD5", "BadDigest", true),
    ];
    rows.extend(longer.into_iter().map(|(name, code, md5)| {
        row(name, 400, code, move |s| {
            let put = s.put("/new").body("data\0data").content_length("4");
            match md5 {
                false => put,
                true => {
                    put.payload_hash(UNSIGNED).header("content-md5", &content_md5(b"data\0data"))
                }
            }
        })
        .closes()
    }));
    rows
}

fn too_large() -> Vec<Row> {
    let mut rows = vec![
        row("object over 5 GiB", 400, "EntityTooLarge", |s| {
            expecting(s.put("/new").payload_hash(UNSIGNED).content_length(TOO_LONG))
        })
        .says("ProposedSize", TOO_LONG)
        .says("MaxSizeAllowed", FIVE_GIB)
        .may_close(),
        row("object of 9223372036854775807 bytes", 400, "EntityTooLarge", |s| {
            expecting(s.put("/new").payload_hash(UNSIGNED).content_length("9223372036854775807"))
        })
        .says("ProposedSize", "9223372036854775807")
        .may_close(),
        row("part over 5 GiB", 400, "EntityTooLarge", |s| {
            expecting(part(s, 4).payload_hash(UNSIGNED).content_length(TOO_LONG))
        })
        .says("ProposedSize", TOO_LONG)
        .may_close(),
        row("chunked object over 5 GiB", 400, "EntityTooLarge", |s| {
            let put = s.put("/new").payload_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
            let put = put.header("x-amz-decoded-content-length", TOO_LONG);
            expecting(put.header("x-amz-trailer", "x-amz-checksum-crc32").content_length(TOO_LONG))
        })
        .says("ProposedSize", TOO_LONG)
        .may_close(),
    ];
    // Documents are at most 4 MiB.
    let documents = [
        ("completion of 5 MiB", "/upload?uploadId={upload}"),
        ("deletion of many of 5 MiB", "?delete"),
    ];
    rows.extend(documents.into_iter().map(|(name, target)| {
        row(name, 400, "MaxMessageLengthExceeded", move |s| {
            let ask = s.post(&target.replace("{upload}", &s.upload));
            ask.header("content-md5", &content_md5(&SPACES))
                .payload_hash(UNSIGNED)
                .body(&SPACES[..])
        })
    }));
    rows.push(row("tagging of 5 MiB", 400, "MaxMessageLengthExceeded", |s| {
        s.put("/old?tagging").payload_hash(UNSIGNED).body(&SPACES[..])
    }));
    rows.push(row("bucket configuration of 5 MiB", 400, "MaxMessageLengthExceeded", |s| {
        s.wire.put("/no-such-bucket-yet").payload_hash(UNSIGNED).body(&SPACES[..])
    }));
    rows
}

static SPACES: [u8; 5 << 20] = [b' '; 5 << 20];

fn part(s: &Stage, number: u16) -> compat_tests::wire::Request {
    s.put(&format!("/upload?partNumber={number}&uploadId={}", s.upload))
}

fn cut(request: compat_tests::wire::Request) -> Message {
    Message::from(request).cut_short()
}

/// The body is announced and held back until the server asks for it, which it does not.
fn expecting(request: compat_tests::wire::Request) -> Message {
    Message::from(request.unsigned_header("expect", "100-continue"))
}

fn chunked(mut head: Vec<u8>, body: &str) -> Message {
    head.extend_from_slice(body.as_bytes());
    head.into()
}
