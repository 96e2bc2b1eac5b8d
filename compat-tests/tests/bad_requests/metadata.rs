//! What is attached to objects: metadata, tags, ACLs, encryption, storage classes.
//!
//! "Working with object metadata" (2 KiB), "Object tagging", "Controlling ownership of objects"
//! (ACLs are off), and the headers of PutObject.

use crate::row::{Message, Row, row};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = headers();
    rows.extend(tags());
    rows.extend(not_there());
    rows.extend(attributes());
    rows
}

fn headers() -> Vec<Row> {
    let grant = |name: &'static str| {
        row(&format!("{name} to everybody"), 400, "AccessControlListNotSupported", move |s| {
            let uri = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
            s.put("/new").header(name, uri).body("x")
        })
    };
    let mut rows = vec![
        row("metadata over 2 KiB", 400, "MetadataTooLarge", |s| {
            s.put("/new").header("x-amz-meta-a", &"a".repeat(2048)).body("x")
        })
        .says("MaxSizeAllowed", "2048")
        .says("Size", "2049"),
        row("metadata over 2 KiB in many headers", 400, "MetadataTooLarge", |s| {
            let put = s.put("/new").body("x");
            (0..100).fold(put, |put, n| put.header(&format!("x-amz-meta-{n}"), &"a".repeat(20)))
        }),
        row("metadata over 2 KiB on an upload", 400, "MetadataTooLarge", |s| {
            s.post("/new?uploads").header("x-amz-meta-a", &"a".repeat(2048))
        }),
        row("metadata over 2 KiB on a copy", 400, "MetadataTooLarge", |s| {
            let copy =
                s.copy(&format!("{}/old", s.bucket)).header("x-amz-meta-a", &"a".repeat(2048));
            copy.header("x-amz-metadata-directive", "REPLACE")
        }),
        grant("x-amz-grant-read"),
        grant("x-amz-grant-full-control"),
        row("unknown storage class", 400, "InvalidStorageClass", |s| {
            s.put("/new").header("x-amz-storage-class", "SHOEBOX").body("x")
        })
        .says("StorageClassRequested", "SHOEBOX"),
        row("redirect to nowhere", 400, "InvalidRedirectLocation", |s| {
            s.put("/new").header("x-amz-website-redirect-location", "nowhere").body("x")
        }),
        row("unknown encryption", 400, "InvalidArgument", |s| {
            s.put("/new").header("x-amz-server-side-encryption", "ROT13").body("x")
        })
        .says("ArgumentName", "x-amz-server-side-encryption"),
        row("metadata of no UTF-8", 400, "InvalidArgument", |s| {
            let query = "/new?x-amz-meta-a=b";
            let put = s.put(query).presigned(std::time::Duration::from_secs(60)).body("x");
            Message::from(put).with_line(b"content-disposition: \xff\xfe")
        })
        .may_close(),
    ];
    for acl in ["public-read", "public-read-write", "authenticated-read", "log-delivery-write"] {
        rows.push(row(&format!("ACL {acl}"), 400, "AccessControlListNotSupported", move |s| {
            s.put("/new").header("x-amz-acl", acl).body("x")
        }));
    }
    rows.push(row("ACL on a bucket", 400, "AccessControlListNotSupported", |s| {
        s.wire.put("/no-such-bucket-yet").header("x-amz-acl", "public-read")
    }));
    rows.push(row("ACL on an upload", 400, "AccessControlListNotSupported", |s| {
        s.post("/new?uploads").header("x-amz-acl", "public-read")
    }));
    rows
}

fn tags() -> Vec<Row> {
    let eleven: String = (0..11).map(|n| format!("k{n}=v&")).collect();
    let rows = [
        ("eleven tags in the header", "BadRequest", eleven),
        ("tag key twice in the header", "InvalidTag", "a=1&a=2".to_owned()),
        ("tag key of 129 characters in the header", "InvalidTag", format!("{}=v", "k".repeat(129))),
        (
            "tag value of 257 characters in the header",
            "InvalidTag",
            format!("k={}", "v".repeat(257)),
        ),
        ("tag key that is reserved in the header", "InvalidTag", "aws%3Ak=v".to_owned()),
        ("tags with a cut escape", "InvalidArgument", "a=%2".to_owned()),
    ];
    rows.into_iter()
        .map(|(name, code, text)| {
            row(name, 400, code, move |s| s.put("/new").header("x-amz-tagging", &text).body("x"))
        })
        .collect()
}

fn not_there() -> Vec<Row> {
    [("x-amz-server-side-encryption", "aws:kms:dsse"), ("x-amz-write-offset-bytes", "4")]
        .into_iter()
        .map(|(name, value)| {
            row(&format!("{name} {value}"), 501, "NotImplemented", move |s| {
                s.put("/new").header(name, value).body("x")
            })
        })
        .collect()
}

fn attributes() -> Vec<Row> {
    let asked = |name: &str, list: &'static str| {
        row(name, 400, "InvalidArgument", move |s| {
            s.get("/old?attributes").header("x-amz-object-attributes", list)
        })
    };
    vec![
        row("attributes without a list", 400, "InvalidArgument", |s| s.get("/old?attributes")),
        asked("unknown attribute", "ETag,Colour"),
        asked("empty list of attributes", " , "),
        row("attributes with a marker that is none", 400, "InvalidArgument", |s| {
            let ask = s.get("/parts?attributes").header("x-amz-object-attributes", "ObjectParts");
            ask.header("x-amz-part-number-marker", "x")
        }),
    ]
}
