//! Query parameters, sub-resources and methods.
//!
//! Parameters that cannot be read are `InvalidArgument`, which names them; what S3 has and this
//! server does not answers 501 `NotImplemented`, with any method, and never does something else.

use crate::row::{Row, row};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = listings();
    rows.extend(subresources());
    rows.extend(methods());
    rows
}

fn listings() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("max-keys", "-1", "?list-type=2&"),
        ("max-keys", "many", "?list-type=2&"),
        ("max-keys", "2147483648", "?"),
        ("max-keys", "1.5", "?"),
        ("max-uploads", "-1", "?uploads&"),
        ("max-uploads", "x", "?uploads&"),
        ("encoding-type", "base64", "?list-type=2&"),
        ("encoding-type", "URL", "?"),
        ("continuation-token", "garbage", "?list-type=2&"),
        ("continuation-token", "", "?list-type=2&"),
        ("fetch-owner", "maybe", "?list-type=2&"),
        ("max-parts", "-1", "/upload?uploadId={upload}&"),
        ("max-parts", "x", "/upload?uploadId={upload}&"),
        ("part-number-marker", "x", "/upload?uploadId={upload}&"),
    ]
    .into_iter()
    .map(|(name, value, target)| {
        row(&format!("{target} {name}={value}"), 400, "InvalidArgument", move |s| {
            s.get(&format!("{}{name}={value}", target.replace("{upload}", &s.upload)))
        })
        .says("ArgumentName", name)
        .says("ArgumentValue", value)
    })
    .collect();
    rows.extend([
        row("listing of version 3", 400, "InvalidArgument", |s| s.get("?list-type=3"))
            .says("ArgumentName", "list-type"),
        row("prefix given twice", 400, "InvalidArgument", |s| {
            s.get("?list-type=2&prefix=a&prefix=b")
        })
        .says("ArgumentName", "prefix"),
        row("max-buckets of 0", 400, "InvalidArgument", |s| s.wire.get("/?max-buckets=0"))
            .says("ArgumentName", "max-buckets"),
        row("continuation of buckets that is garbage", 400, "InvalidArgument", |s| {
            s.wire.get("/?continuation-token=garbage")
        })
        .says("ArgumentName", "continuation-token"),
    ]);
    rows
}

fn subresources() -> Vec<Row> {
    let mut rows = Vec::new();
    for name in [
        "inventory",
        "metadataTable",
        "notification",
        "ownershipControls",
        "publicAccessBlock",
        "replication",
    ] {
        rows.push(row(&format!("?{name}"), 501, "NotImplemented", move |s| {
            s.get(&format!("?{name}"))
        }));
    }
    for (method, target) in [
        ("PUT", "?acl"),
        ("PUT", "?notification"),
        ("DELETE", "?replication"),
        ("DELETE", "?versioning"),
        ("DELETE", "?nosuch"),
        ("PUT", "/old?acl"),
        ("GET", "/old?torrent"),
        ("POST", "/old?restore"),
        ("POST", "/old?select&select-type=2"),
        ("PUT", "/old?nosuch=1"),
        ("DELETE", "/old?nosuch"),
        ("PUT", "/old?versionId=null"),
        ("GET", "?session"),
        ("POST", "?nosuch"),
    ] {
        rows.push(row(&format!("{method} {target}"), 501, "NotImplemented", move |s| {
            s.wire.request(method, &s.at(target))
        }));
    }
    rows
}

fn methods() -> Vec<Row> {
    let mut rows = Vec::new();
    // RFC 9110, section 15.5.6: 405 comes with `Allow`.
    for (method, target, kind, allow) in [
        ("POST", "/old", "OBJECT", "DELETE, GET, HEAD, PUT"),
        ("POST", "", "BUCKET", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "/old", "OBJECT", "DELETE, GET, HEAD, PUT"),
        ("TRACE", "/old", "OBJECT", "DELETE, GET, HEAD, PUT"),
        ("LOCK", "", "BUCKET", "DELETE, GET, HEAD, PUT"),
    ] {
        rows.push(
            row(&format!("{method} on {kind}"), 405, "MethodNotAllowed", move |s| {
                s.wire.request(method, &s.at(target))
            })
            .says("Method", method)
            .says("ResourceType", kind)
            .header("allow", allow),
        );
    }
    for method in ["PUT", "DELETE", "POST"] {
        rows.push(
            row(&format!("{method} on SERVICE"), 405, "MethodNotAllowed", move |s| {
                s.wire.request(method, "/")
            })
            .says("Method", method)
            .says("ResourceType", "SERVICE")
            .header("allow", "GET"),
        );
    }
    rows
}
