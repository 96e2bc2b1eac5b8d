//! Names of buckets and keys, and what is not there.
//!
//! "Bucket naming rules" and "Creating object key names" of S3's user guide.

use crate::row::{Row, row};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = buckets();
    rows.extend(keys());
    rows.extend(absent());
    rows
}

fn buckets() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("of two characters", "ab"),
        ("of 64 characters", "a234567890123456789012345678901234567890123456789012345678901234"),
        ("in capitals", "Capital-Letters"),
        ("with an underscore", "under_score"),
        ("that starts with a hyphen", "-hyphen"),
        ("that ends with a hyphen", "hyphen-"),
        ("that starts with a dot", ".dot-first"),
        ("with two dots", "two..dots"),
        ("that is an address", "192.168.5.4"),
        ("with a space", "with%20space"),
        ("that is no ASCII", "b%C3%BCcket"),
        ("with a reserved start", "xn--bucket"),
        ("with a reserved end", "bucket-s3alias"),
    ]
    .into_iter()
    .map(|(what, name)| {
        let row = row(&format!("bucket {what}"), 400, "InvalidBucketName", move |s| {
            s.wire.put(&format!("/{name}"))
        });
        if name.contains('%') { row } else { row.says("BucketName", name) }
    })
    .collect();
    rows.extend([
        row("no bucket before the key", 400, "InvalidBucketName", |s| s.wire.get("//k")),
        row("bucket of one's own again", 409, "BucketAlreadyOwnedByYou", |s| s.wire.put(&s.at("")))
            .tells(&["BucketName"]),
        row("bucket of another", 409, "BucketAlreadyExists", |s| {
            s.wire.put(&format!("/{}", s.foreign))
        })
        .tells(&["BucketName"]),
        row("bucket that is not empty, deleted", 409, "BucketNotEmpty", |s| s.delete(""))
            .tells(&["BucketName"]),
    ]);
    rows
}

fn keys() -> Vec<Row> {
    let long = "k".repeat(1025);
    // 342 characters of three bytes each: it is bytes that count.
    let wide = "%E2%82%AC".repeat(342);
    let mut rows = Vec::new();
    for (what, key) in [("of 1,025 bytes", long), ("of 342 wide characters", wide)] {
        for method in ["PUT", "GET", "DELETE", "POST"] {
            let target = match method {
                "POST" => format!("/{key}?uploads"),
                _ => format!("/{key}"),
            };
            rows.push(
                row(&format!("{method} of a key {what}"), 400, "KeyTooLongError", move |s| {
                    s.wire.request(method, &s.at(&target))
                })
                .says("MaxSizeAllowed", "1024")
                .tells(&["Size"]),
            );
        }
    }
    for (what, key) in [("bytes that are no UTF-8", "%FF%FE"), ("half a character", "%C3%28")] {
        rows.push(row(&format!("key of {what}"), 400, "InvalidURI", move |s| {
            s.put(&format!("/{key}")).body("x")
        }));
    }
    for (what, key) in [("cut escape", "a%2"), ("escape of no digits", "a%zz")] {
        rows.push(row(&format!("key with a {what}"), 400, "InvalidURI", move |s| {
            s.raw(&format!("GET /{{bucket}}/{key} HTTP/1.1\r\nhost: {{host}}\r\n\r\n"))
        }));
    }
    rows.push(row("query of no UTF-8", 400, "InvalidURI", |s| {
        s.raw("GET /{bucket}?prefix=%FF HTTP/1.1\r\nhost: {host}\r\n\r\n")
    }));
    rows
}

fn absent() -> Vec<Row> {
    let nowhere = "/no-such-bucket-here";
    let mut rows = Vec::new();
    for (method, rest) in [
        ("GET", ""),
        ("GET", "/k"),
        ("PUT", "/k"),
        ("DELETE", ""),
        ("DELETE", "/k"),
        ("GET", "?location"),
        ("GET", "?uploads"),
        ("GET", "/k?tagging"),
    ] {
        rows.push(
            row(&format!("{method} {rest} in no bucket"), 404, "NoSuchBucket", move |s| {
                s.wire.request(method, &format!("{nowhere}{rest}"))
            })
            .says("BucketName", "no-such-bucket-here"),
        );
    }
    for (what, rest) in [("object", ""), ("tags", "?tagging"), ("ACL", "?acl")] {
        rows.push(
            row(&format!("{what} of no object"), 404, "NoSuchKey", move |s| {
                s.get(&format!("/no%20such%20key{rest}"))
            })
            .says("Key", "no such key"),
        );
    }
    rows.push(row("HEAD of no object", 404, "NoSuchKey", |s| s.wire.head(&s.at("/none"))));
    rows.push(row("HEAD of no bucket", 404, "NoSuchBucket", |s| {
        s.wire.head("/no-such-bucket-here")
    }));
    rows.push(
        row("attributes of no object", 404, "NoSuchKey", |s| {
            s.get("/none?attributes").header("x-amz-object-attributes", "ETag")
        })
        .says("Key", "none"),
    );
    rows.push(
        row("version that is not there", 404, "NoSuchVersion", |s| {
            s.get("/old?versionId=00000000000000000000000000000000")
        })
        .says("Key", "old")
        .says("VersionId", "00000000000000000000000000000000"),
    );
    rows.push(
        row("version id that is none", 400, "InvalidArgument", |s| s.get("/old?versionId=1"))
            .says("ArgumentName", "versionId"),
    );
    rows
}
