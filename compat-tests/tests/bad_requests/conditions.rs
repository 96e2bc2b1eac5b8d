//! Conditions, ranges and copies.
//!
//! "Conditional requests" of S3's user guide, and RFC 9110 for ranges.

use crate::row::{Row, row};

const OTHER_TAG: &str = "\"00000000000000000000000000000000\"";
const LONG_AGO: &str = "Sat, 01 Jan 2000 00:00:00 GMT";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = conditions();
    rows.extend(ranges());
    rows.extend(copies());
    rows.extend(part_copies());
    rows
}

fn conditions() -> Vec<Row> {
    let failed = |name: &str, header: &'static str, value: &'static str, method: &'static str| {
        row(name, 412, "PreconditionFailed", move |s| {
            s.wire.request(method, &s.at("/old")).header(header, value)
        })
    };
    vec![
        failed("read if another tag matches", "if-match", OTHER_TAG, "GET")
            .says("Condition", "If-Match"),
        failed("read if unmodified since 2000", "if-unmodified-since", LONG_AGO, "GET")
            .says("Condition", "If-Unmodified-Since"),
        failed("HEAD if another tag matches", "if-match", OTHER_TAG, "HEAD"),
        failed("write if there is nothing", "if-none-match", "*", "PUT")
            .says("Condition", "If-None-Match"),
        failed("write if another tag matches", "if-match", OTHER_TAG, "PUT")
            .says("Condition", "If-Match"),
        failed("delete if another tag matches", "if-match", OTHER_TAG, "DELETE")
            .says("Condition", "If-Match"),
        row("write over nothing, if it matches", 404, "NoSuchKey", |s| {
            s.put("/none").header("if-match", OTHER_TAG).body("x")
        })
        .says("Key", "none"),
        row("write if no tag of a list matches", 501, "NotImplemented", |s| {
            s.put("/new").header("if-none-match", OTHER_TAG).body("x")
        }),
        row("delete by time", 501, "NotImplemented", |s| {
            s.delete("/old").header("x-amz-if-match-last-modified-time", LONG_AGO)
        }),
        row("delete by size", 501, "NotImplemented", |s| {
            s.delete("/old").header("x-amz-if-match-size", "4")
        }),
    ]
}

fn ranges() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("behind the end", "bytes=4-"),
        ("far behind the end", "bytes=99999999999999999999-"),
        ("of the last 0 bytes", "bytes=-0"),
        ("behind the end, with an end", "bytes=10-20"),
    ]
    .into_iter()
    .map(|(what, range)| {
        row(&format!("range {what}"), 416, "InvalidRange", move |s| {
            s.get("/old").header("range", range)
        })
        .says("ActualObjectSize", "4")
        .says("RangeRequested", range)
        .header("content-range", "bytes */4")
    })
    .collect();
    rows.extend([
        row("range behind the end, HEAD", 416, "InvalidRange", |s| {
            s.wire.head(&s.at("/old")).header("range", "bytes=4-")
        })
        .header("content-range", "bytes */4"),
        row("range and part", 400, "InvalidRequest", |s| {
            s.get("/parts?partNumber=1").header("range", "bytes=0-1")
        }),
        row("part that is not there", 416, "InvalidPartNumber", |s| s.get("/parts?partNumber=3"))
            .says("PartNumberRequested", "3")
            .says("ActualPartCount", "2"),
        row("read of part 0", 400, "InvalidArgument", |s| s.get("/parts?partNumber=0"))
            .says("ArgumentName", "partNumber"),
        row("read of part 10001", 400, "InvalidArgument", |s| s.get("/parts?partNumber=10001")),
    ]);
    rows
}

fn copies() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("of a name only", "justaname"),
        ("without a key", "bucket/"),
        ("without a bucket", "/"),
        ("with a cut escape", "bucket/k%2"),
        ("of no UTF-8", "bucket/%FF"),
        ("with a version that is none", "bucket/k?versionId=1"),
    ]
    .into_iter()
    .map(|(what, source)| {
        row(&format!("copy source {what}"), 400, "InvalidArgument", move |s| s.copy(source))
            .says("ArgumentName", "x-amz-copy-source")
    })
    .collect();
    rows.extend([
        row("copy from no bucket", 404, "NoSuchBucket", |s| s.copy("no-such-bucket-here/k"))
            .says("BucketName", "no-such-bucket-here"),
        row("copy of no object", 404, "NoSuchKey", |s| s.copy(&format!("{}/none", s.bucket)))
            .says("Key", "none"),
        row("copy of no version", 404, "NoSuchVersion", |s| {
            s.copy(&format!("{}/old?versionId=00000000000000000000000000000000", s.bucket))
        }),
        row("copy from another account's bucket", 403, "AccessDenied", |s| {
            let put = s.other.put(&format!("/{}/new", s.foreign));
            put.header("x-amz-copy-source", &format!("{}/old", s.bucket))
        }),
        row("copy onto itself", 400, "InvalidRequest", |s| {
            s.put("/old").header("x-amz-copy-source", &format!("{}/old", s.bucket))
        }),
        row("copy of a source named by ARN", 501, "NotImplemented", |s| {
            s.copy("arn:aws:s3:us-east-1:1:accesspoint/a/object/k")
        }),
        row("copy with an unknown directive", 400, "InvalidArgument", |s| {
            s.copy(&format!("{}/old", s.bucket)).header("x-amz-metadata-directive", "MERGE")
        })
        .says("ArgumentName", "x-amz-metadata-directive"),
        row("copy with an unknown tagging directive", 400, "InvalidArgument", |s| {
            s.copy(&format!("{}/old", s.bucket)).header("x-amz-tagging-directive", "MERGE")
        })
        .says("ArgumentName", "x-amz-tagging-directive"),
        row("copy from another owner than expected", 403, "AccessDenied", |s| {
            let copy = s.copy(&format!("{}/old", s.bucket));
            copy.header("x-amz-source-expected-bucket-owner", "111122223333")
        }),
    ]);
    for (header, value) in [
        ("x-amz-copy-source-if-match", OTHER_TAG),
        ("x-amz-copy-source-if-none-match", "*"),
        ("x-amz-copy-source-if-unmodified-since", LONG_AGO),
    ] {
        rows.push(
            row(&format!("copy with {header}"), 412, "PreconditionFailed", move |s| {
                s.copy(&format!("{}/old", s.bucket)).header(header, value)
            })
            .tells(&["Condition"]),
        );
    }
    rows
}

fn part_copies() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("that does not parse", "0-3"),
        ("without an end", "bytes=0-"),
        ("without a start", "bytes=-3"),
        ("backwards", "bytes=3-1"),
        ("behind the end", "bytes=0-4"),
        ("of two ranges", "bytes=0-1,2-3"),
    ]
    .into_iter()
    .map(|(what, range)| {
        row(&format!("copy range {what}"), 400, "InvalidArgument", move |s| {
            let put = s.put(&format!("/upload?partNumber=5&uploadId={}", s.upload));
            let put = put.header("x-amz-copy-source", &format!("{}/old", s.bucket));
            put.header("x-amz-copy-source-range", range)
        })
    })
    .collect();
    rows.push(row("part copy of no object", 404, "NoSuchKey", |s| {
        let put = s.put(&format!("/upload?partNumber=5&uploadId={}", s.upload));
        put.header("x-amz-copy-source", &format!("{}/none", s.bucket))
    }));
    rows.push(row("part copy into no upload", 404, "NoSuchUpload", |s| {
        let put = s.put("/upload?partNumber=5&uploadId=00000000000000000000000000000000");
        put.header("x-amz-copy-source", &format!("{}/old", s.bucket))
    }));
    rows
}
