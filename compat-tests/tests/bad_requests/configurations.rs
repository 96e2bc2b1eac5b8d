//! Configurations of buckets: documents that are wrong, and what is not there.

use compat_tests::encoding::content_md5;
use compat_tests::wire::Request;

use crate::row::{Row, Stage, row};

/// Sub-resources that take a document, and the root of it.
const DOCUMENTS: [(&str, &str); 14] = [
    ("abac", "AbacStatus"),
    ("accelerate", "AccelerateConfiguration"),
    ("analytics&id=a", "AnalyticsConfiguration"),
    ("cors", "CORSConfiguration"),
    ("encryption", "ServerSideEncryptionConfiguration"),
    ("intelligent-tiering&id=a", "IntelligentTieringConfiguration"),
    ("lifecycle", "LifecycleConfiguration"),
    ("logging", "BucketLoggingStatus"),
    ("metrics&id=a", "MetricsConfiguration"),
    ("object-lock", "ObjectLockConfiguration"),
    ("requestPayment", "RequestPaymentConfiguration"),
    ("tagging", "Tagging"),
    ("versioning", "VersioningConfiguration"),
    ("website", "WebsiteConfiguration"),
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = malformed();
    rows.extend(absent());
    rows.extend(wrong_values());
    rows.extend(policies());
    rows.extend(preflights());
    rows.extend(renames());
    rows
}

/// A PUT of `document` as `subresource`, with its digest.
fn put(s: &Stage, subresource: &str, document: &str) -> Request {
    let request = s.put(&format!("?{subresource}"));
    request.header("content-md5", &content_md5(document.as_bytes())).body(document.to_owned())
}

fn malformed() -> Vec<Row> {
    let mut rows = Vec::new();
    for (subresource, root) in DOCUMENTS {
        for (what, document) in [
            ("text", "no document".to_owned()),
            ("a document that does not end", format!("<{root}>")),
            ("a document of another kind", "<Unknown><a/></Unknown>".to_owned()),
            ("a document type", format!("<!DOCTYPE a [<!ENTITY b \"c\">]><{root}>&b;</{root}>")),
        ] {
            let name = format!("{what} as {subresource}");
            rows.push(row(&name, 400, "MalformedXML", move |s| put(s, subresource, &document)));
        }
        rows.push(row(&format!("wrong digest of {subresource}"), 400, "BadDigest", move |s| {
            let request = s.put(&format!("?{subresource}"));
            request.header("content-md5", &content_md5(b"other")).body(format!("<{root}/>"))
        }));
        rows.push(row(
            &format!("{subresource} by another account"),
            403,
            "AccessDenied",
            move |s| s.other.get(&s.at(&format!("?{subresource}"))),
        ));
    }
    rows
}

fn absent() -> Vec<Row> {
    [
        ("analytics&id=none", "NoSuchConfiguration"),
        ("cors", "NoSuchCORSConfiguration"),
        ("intelligent-tiering&id=none", "NoSuchConfiguration"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("metrics&id=none", "NoSuchConfiguration"),
        ("policy", "NoSuchBucketPolicy"),
        ("policyStatus", "NoSuchBucketPolicy"),
        ("tagging", "NoSuchTagSet"),
        ("website", "NoSuchWebsiteConfiguration"),
    ]
    .into_iter()
    .map(|(subresource, code)| {
        row(&format!("{subresource} that is not there"), 404, code, move |s| {
            s.get(&format!("?{subresource}"))
        })
    })
    .collect()
}

/// What is XML of the right kind and says the wrong thing.
fn wrong_values() -> Vec<Row> {
    const RULE: &str = "<Rule><ID>r</ID><Filter><Prefix/></Filter><Status>Enabled</Status>";
    let cors =
        |rule: &str| format!("<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>");
    let tags = |tags: &str| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let site = |inner: &str| format!("<WebsiteConfiguration>{inner}</WebsiteConfiguration>");
    let life = |rules: &str| format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    let twice = format!("{RULE}<Expiration><Days>1</Days></Expiration></Rule>").repeat(2);
    [
        ("CORS of a method that is none", "cors", "InvalidRequest", cors("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>")),
        ("CORS of two wildcards", "cors", "InvalidRequest", cors("<AllowedOrigin>*a*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>")),
        ("CORS of no origin", "cors", "MalformedXML", cors("<AllowedMethod>GET</AllowedMethod>")),
        ("bucket tag given twice", "tagging", "InvalidTag", tags(&"<Tag><Key>a</Key><Value>b</Value></Tag>".repeat(2))),
        ("bucket tag that is reserved", "tagging", "InvalidTag", tags("<Tag><Key>aws:a</Key><Value>b</Value></Tag>")),
        ("website without an index", "website", "InvalidArgument", site("<ErrorDocument><Key>e</Key></ErrorDocument>")),
        ("website with an index in a folder", "website", "InvalidArgument", site("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>")),
        ("lifecycle rule given twice", "lifecycle", "InvalidArgument", life(&twice)),
        ("lifecycle rule that does nothing", "lifecycle", "InvalidRequest", life(&format!("{RULE}</Rule>"))),
        ("lifecycle of 0 days", "lifecycle", "InvalidArgument", life(&format!("{RULE}<Expiration><Days>0</Days></Expiration></Rule>"))),
        ("lifecycle at noon", "lifecycle", "InvalidArgument", life(&format!("{RULE}<Expiration><Date>2099-01-01T12:00:00Z</Date></Expiration></Rule>"))),
        ("lifecycle without rules", "lifecycle", "MalformedXML", life("")),
        ("payment by nobody", "requestPayment", "MalformedXML", "<RequestPaymentConfiguration><Payer>Nobody</Payer></RequestPaymentConfiguration>".to_owned()),
        ("acceleration that may be", "accelerate", "MalformedXML", "<AccelerateConfiguration><Status>Maybe</Status></AccelerateConfiguration>".to_owned()),
        ("logs to no bucket", "logging", "InvalidTargetBucketForLogging", "<BucketLoggingStatus><LoggingEnabled><TargetBucket>no-such-bucket-here</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>".to_owned()),
        ("encryption of a bucket that is unknown", "encryption", "MalformedXML", "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>rot13</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>".to_owned()),
    ]
    .into_iter()
    .map(|(name, subresource, code, document)| {
        row(name, 400, code, move |s| put(s, subresource, &document))
    })
    .collect()
}

fn policies() -> Vec<Row> {
    let statement = |effect: &str, action: &str, resource: &str| {
        format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"{effect}\",\
             \"Principal\":\"*\",\"Action\":\"{action}\",\"Resource\":\"{resource}\"}}]}}"
        )
    };
    const HERE: &str = "arn:aws:s3:::{bucket}/*";
    [
        ("policy that is no JSON", "<Policy/>".to_owned()),
        ("policy that does not end", "{\"Version\":".to_owned()),
        ("policy without statements", "{\"Version\":\"2012-10-17\"}".to_owned()),
        (
            "policy of another version",
            statement("Allow", "s3:GetObject", HERE).replace("2012-10-17", "2013-01-01"),
        ),
        ("policy that perhaps allows", statement("Perhaps", "s3:GetObject", HERE)),
        ("policy of an action that is none", statement("Allow", "s3:FlyObject", HERE)),
        ("policy for another bucket", statement("Allow", "s3:GetObject", "arn:aws:s3:::another/*")),
        ("policy for no ARN", statement("Allow", "s3:GetObject", "everything")),
        (
            "policy of an unknown element",
            statement("Allow", "s3:GetObject", HERE).replace("\"Effect\"", "\"Affect\""),
        ),
        (
            "policy of 21 KiB",
            statement("Allow", "s3:GetObject", HERE).replace(
                "\"Version\"",
                &format!("\"Id\":\"{}\",\"Version\"", "i".repeat(21 << 10)),
            ),
        ),
    ]
    .into_iter()
    .map(|(name, text)| {
        row(name, 400, "MalformedPolicy", move |s| {
            put(s, "policy", &text.replace("{bucket}", &s.bucket))
        })
    })
    .collect()
}

fn preflights() -> Vec<Row> {
    let ask = |s: &Stage| s.wire.request("OPTIONS", &s.at("/old")).anonymous();
    vec![
        row("preflight without a method", 400, "BadRequest", move |s| {
            ask(s).header("origin", "https://example.com")
        }),
        row("preflight without rules", 403, "AccessForbidden", move |s| {
            ask(s)
                .header("origin", "https://example.com")
                .header("access-control-request-method", "GET")
        })
        .says("Method", "GET"),
    ]
}

fn renames() -> Vec<Row> {
    let rename =
        |s: &Stage, source: &str| s.put("/new?renameObject").header("x-amz-rename-source", source);
    vec![
        row("renaming of nothing", 404, "NoSuchKey", move |s| {
            rename(s, &format!("{}/none", s.bucket))
        }),
        row("renaming without a source", 400, "InvalidRequest", |s| s.put("/new?renameObject")),
        row("renaming if another tag matches", 412, "PreconditionFailed", move |s| {
            rename(s, &format!("{}/old", s.bucket)).header("x-amz-rename-source-if-match", "\"00\"")
        }),
    ]
}
