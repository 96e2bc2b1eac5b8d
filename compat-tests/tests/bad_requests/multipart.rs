//! Multipart uploads.
//!
//! `NoSuchUpload`, `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall` and `MalformedXML` are in
//! the documentation of CompleteMultipartUpload; part numbers are 1 to 10,000 by that of UploadPart.

use compat_tests::encoding::{Checksum, etag};

use crate::row::{Row, Stage, row};

const UNKNOWN: &str = "00000000000000000000000000000000";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = parts();
    rows.extend(uploads());
    rows.extend(completions());
    rows.extend(documents());
    rows
}

fn parts() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, number) in [
        ("0", "0"),
        ("10001", "10001"),
        ("negative", "-1"),
        ("a word", "one"),
        ("with a sign", "%2B1"),
        ("empty", ""),
        ("beyond 64 bits", "99999999999999999999"),
    ] {
        rows.push(
            row(&format!("part number {what}"), 400, "InvalidArgument", move |s| {
                s.put(&format!("/upload?partNumber={number}&uploadId={}", s.upload)).body("data")
            })
            .says("ArgumentName", "partNumber"),
        );
    }
    rows.push(row("part without an upload", 501, "NotImplemented", |s| {
        s.put("/upload?partNumber=1").body("data")
    }));
    rows.push(row("upload without a part number", 501, "NotImplemented", |s| {
        s.put(&format!("/upload?uploadId={}", s.upload)).body("data")
    }));
    rows.push(row("part number given twice", 400, "InvalidArgument", |s| {
        s.put(&format!("/upload?partNumber=1&partNumber=2&uploadId={}", s.upload)).body("data")
    }));
    rows
}

fn uploads() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, id) in [("unknown", UNKNOWN), ("garbage", "no-such-upload"), ("empty", "")] {
        let told = move |row: Row| row.says("UploadId", id);
        rows.push(told(row(
            &format!("part of an upload that is {what}"),
            404,
            "NoSuchUpload",
            move |s| s.put(&format!("/upload?partNumber=1&uploadId={id}")).body("data"),
        )));
        rows.push(told(row(
            &format!("completion of an upload that is {what}"),
            404,
            "NoSuchUpload",
            move |s| s.post(&format!("/upload?uploadId={id}")).body(complete(&[part(1)])),
        )));
        rows.push(told(row(
            &format!("abort of an upload that is {what}"),
            404,
            "NoSuchUpload",
            move |s| s.delete(&format!("/upload?uploadId={id}")),
        )));
        rows.push(told(row(
            &format!("parts of an upload that is {what}"),
            404,
            "NoSuchUpload",
            move |s| s.get(&format!("/upload?uploadId={id}")),
        )));
    }
    rows.push(
        row("upload of another key", 404, "NoSuchUpload", |s| {
            s.put(&format!("/other?partNumber=1&uploadId={}", s.upload)).body("data")
        })
        .tells(&["UploadId"]),
    );
    rows.push(row("upload of another bucket", 403, "AccessDenied", |s| {
        s.other.put(&s.at(&format!("/upload?partNumber=1&uploadId={}", s.upload))).body("data")
    }));
    rows.push(
        row("upload in no bucket", 404, "NoSuchBucket", |s| {
            s.wire.post("/no-such-bucket-here/k?uploads")
        })
        .says("BucketName", "no-such-bucket-here"),
    );
    rows
}

fn completions() -> Vec<Row> {
    vec![
        row("parts out of order", 400, "InvalidPartOrder", |s| {
            ask(s, &complete(&[part(2), part(1)]))
        })
        .tells(&["UploadId"]),
        row("part twice", 400, "InvalidPartOrder", |s| ask(s, &complete(&[part(1), part(1)]))),
        row("part too small", 400, "EntityTooSmall", |s| ask(s, &complete(&[part(1), part(2)])))
            .says("ProposedSize", "4")
            .says("MinSizeAllowed", "5242880")
            .says("PartNumber", "1")
            .tells(&["ETag"]),
        row("part missing", 400, "InvalidPart", |s| ask(s, &complete(&[part(1), part(7)])))
            .says("PartNumber", "7")
            .tells(&["UploadId", "ETag"]),
        row("part with the wrong ETag", 400, "InvalidPart", |s| {
            ask(s, &complete(&[element(1, &etag(b"other"))]))
        })
        .says("PartNumber", "1")
        .tells(&["UploadId", "ETag"]),
        row("part with an ETag that is none", 400, "InvalidPart", |s| {
            ask(s, &complete(&[element(1, "yes")]))
        }),
        row("part with the wrong checksum", 400, "InvalidPart", |s| {
            let crc = Checksum::Crc32c.of(b"other");
            let part = format!(
                "<Part><PartNumber>1</PartNumber><ETag>{}</ETag><ChecksumCRC32C>{crc}</ChecksumCRC32C></Part>",
                etag(b"data")
            );
            s.post(&format!("/crc?uploadId={}", s.crc_upload)).body(complete(&[part]))
        }),
        row("object checksum that cannot be read", 400, "InvalidRequest", |s| {
            let ask = s.post(&format!("/crc?uploadId={}", s.crc_upload));
            ask.header("x-amz-checksum-crc32c", "?").body(complete(&[part(1)]))
        }),
        row("object of another length", 400, "InvalidRequest", |s| {
            ask(s, &complete(&[part(1)])).header("x-amz-mp-object-size", "5")
        }),
        row("object of a length that is none", 400, "InvalidArgument", |s| {
            ask(s, &complete(&[part(1)])).header("x-amz-mp-object-size", "five")
        }),
        row("completion over nothing, if it matches", 404, "NoSuchKey", |s| {
            ask(s, &complete(&[part(1)])).header("if-match", "\"00000000000000000000000000000000\"")
        }),
        row("completion, if none matches a tag", 501, "NotImplemented", |s| {
            ask(s, &complete(&[part(1)])).header("if-none-match", "\"0\"")
        }),
    ]
}

fn documents() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("completion without parts", "<CompleteMultipartUpload/>".to_owned()),
        ("completion of another kind", "<Complete/>".to_owned()),
        ("completion that does not end", "<CompleteMultipartUpload><Part>".to_owned()),
        (
            "part without a number",
            complete(&[format!("<Part><ETag>{}</ETag></Part>", etag(b"data"))]),
        ),
        ("part without an ETag", complete(&["<Part><PartNumber>1</PartNumber></Part>".to_owned()])),
        (
            "part number that is a word",
            complete(&["<Part><PartNumber>one</PartNumber><ETag>a</ETag></Part>".to_owned()]),
        ),
        (
            "part number of 70000",
            complete(&["<Part><PartNumber>70000</PartNumber><ETag>a</ETag></Part>".to_owned()]),
        ),
        (
            "10,001 parts",
            complete(&(1..=10_001).map(|number| element(number, "a")).collect::<Vec<_>>()),
        ),
        ("completion that is JSON", "{\"Parts\":[]}".to_owned()),
    ]
    .into_iter()
    .map(|(name, document)| row(name, 400, "MalformedXML", move |s| ask(s, &document)))
    .collect();
    rows.push(row("upload listing by a marker that is none", 400, "InvalidArgument", |s| {
        s.get("?uploads&key-marker=a&upload-id-marker=b")
    }));
    rows
}

fn ask(s: &Stage, document: &str) -> compat_tests::wire::Request {
    s.post(&format!("/upload?uploadId={}", s.upload)).body(document.to_owned())
}

fn complete(parts: &[String]) -> String {
    format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.concat())
}

fn element(number: u32, etag: &str) -> String {
    format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
}

/// A part as it was uploaded.
fn part(number: u32) -> String {
    element(number, &etag(b"data"))
}
