//! Versions, delete markers and object lock.

use compat_tests::encoding::content_md5;
use compat_tests::wire::Request;

use crate::row::{Row, Stage, row};

/// A time that is over, and one that is not.
const PAST: &str = "2001-02-03T04:05:06Z";
const FUTURE: &str = "2099-01-02T03:04:05Z";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = versioning();
    rows.extend(reads());
    rows.extend(listings());
    rows.extend(retentions());
    rows.extend(default_retentions());
    rows.extend(locks_that_are_not_there());
    rows.extend(lock_headers());
    rows.extend(protected());
    rows
}

/// A request for `rest` in the bucket with object lock.
fn locked(s: &Stage, method: &str, rest: &str) -> Request {
    s.wire.request(method, &format!("/{}{rest}", s.locked))
}

/// `request` with `document` and its digest, which locks and deletions want.
fn with(request: Request, document: &str) -> Request {
    request.header("content-md5", &content_md5(document.as_bytes())).body(document.to_owned())
}

fn versioning() -> Vec<Row> {
    let document =
        |inner: &str| format!("<VersioningConfiguration>{inner}</VersioningConfiguration>");
    let mut rows: Vec<Row> = [
        ("versioning that is off", "MalformedXML", "<Status>Off</Status>"),
        ("versioning of no status", "IllegalVersioningConfigurationException", ""),
        (
            "MFA delete that may be",
            "MalformedXML",
            "<Status>Enabled</Status><MfaDelete>Maybe</MfaDelete>",
        ),
    ]
    .into_iter()
    .map(|(name, code, inner)| {
        let document = document(inner);
        row(name, 400, code, move |s| with(s.put("?versioning"), &document))
    })
    .collect();
    let suspended = document("<Status>Suspended</Status>");
    rows.extend([row(
        "versioning suspended under object lock",
        409,
        "InvalidBucketState",
        move |s| with(locked(s, "PUT", "?versioning"), &suspended),
    )]);
    rows
}

fn reads() -> Vec<Row> {
    vec![
        row("version that is no version id", 400, "InvalidArgument", |s| {
            locked(s, "GET", "/k?versionId=no%20id")
        })
        .says("ArgumentName", "versionId"),
        row("version that is empty", 400, "InvalidArgument", |s| locked(s, "GET", "/k?versionId=")),
        row("version of another key", 404, "NoSuchVersion", |s| {
            locked(s, "GET", &format!("/other?versionId={}", s.version))
        })
        .says("Key", "other"),
        row("null version of an object that has none", 404, "NoSuchVersion", |s| {
            locked(s, "GET", "/k?versionId=null")
        }),
        row("HEAD of a version of another key", 404, "NoSuchVersion", |s| {
            locked(s, "HEAD", &format!("/other?versionId={}", s.version))
        }),
        row("object below a delete marker", 404, "NoSuchKey", |s| locked(s, "GET", "/gone"))
            .header("x-amz-delete-marker", "true"),
        row("delete marker", 405, "MethodNotAllowed", |s| {
            locked(s, "GET", &format!("/gone?versionId={}", s.marker))
        })
        .header("allow", "DELETE")
        .header("x-amz-delete-marker", "true"),
        row("HEAD of a delete marker", 405, "MethodNotAllowed", |s| {
            locked(s, "HEAD", &format!("/gone?versionId={}", s.marker))
        })
        .header("allow", "DELETE"),
        row("tags of a delete marker", 405, "MethodNotAllowed", |s| {
            locked(s, "GET", &format!("/gone?tagging&versionId={}", s.marker))
        }),
        row("copy of a delete marker", 400, "InvalidRequest", |s| {
            let source = format!("{}/gone?versionId={}", s.locked, s.marker);
            s.copy(&source)
        }),
        row("copy of a version of another key", 404, "NoSuchVersion", |s| {
            s.copy(&format!("{}/other?versionId={}", s.locked, s.version))
        }),
    ]
}

fn listings() -> Vec<Row> {
    [
        ("max-keys", "-1"),
        ("max-keys", "x"),
        ("encoding-type", "base64"),
        ("version-id-marker", "no%20id&key-marker=k"),
    ]
    .into_iter()
    .map(|(name, value)| {
        row(&format!("versions with {name}={value}"), 400, "InvalidArgument", move |s| {
            locked(s, "GET", &format!("?versions&{name}={value}"))
        })
        .says("ArgumentName", name)
    })
    .chain([
        row("version marker without a key marker", 400, "InvalidArgument", |s| {
            locked(s, "GET", &format!("?versions&version-id-marker={}", s.version))
        })
        .says("ArgumentName", "version-id-marker"),
        row("versions in no bucket", 404, "NoSuchBucket", |s| {
            s.wire.get("/no-such-bucket-here?versions")
        }),
    ])
    .collect()
}

fn retention(mode: &str, until: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
}

fn retentions() -> Vec<Row> {
    let only_mode = "<Retention><Mode>GOVERNANCE</Mode></Retention>".to_owned();
    let no_month = retention("GOVERNANCE", "2099-13-01T00:00:00Z");
    [
        ("retention of no mode that exists", "MalformedXML", retention("FOREVER", FUTURE)),
        ("retention until a day that is none", "MalformedXML", no_month),
        ("retention until no time", "MalformedXML", retention("GOVERNANCE", "tomorrow")),
        ("retention until the past", "InvalidArgument", retention("GOVERNANCE", PAST)),
        ("retention with a mode only", "MalformedXML", only_mode),
        ("retention that does not end", "MalformedXML", "<Retention><Mode>".to_owned()),
    ]
    .into_iter()
    .map(|(name, code, document)| {
        row(name, 400, code, move |s| with(locked(s, "PUT", "/k?retention"), &document))
    })
    .collect()
}

fn default_retentions() -> Vec<Row> {
    [
        (
            "of days and years",
            "MalformedXML",
            "<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>",
        ),
        ("of no time", "MalformedXML", "<Mode>GOVERNANCE</Mode>"),
        ("of no mode", "MalformedXML", "<Days>1</Days>"),
        ("of 0 days", "InvalidArgument", "<Mode>GOVERNANCE</Mode><Days>0</Days>"),
        ("of 101 years", "InvalidArgument", "<Mode>GOVERNANCE</Mode><Years>101</Years>"),
    ]
    .into_iter()
    .map(|(name, code, rule)| {
        let document = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
             <DefaultRetention>{rule}</DefaultRetention></Rule></ObjectLockConfiguration>"
        );
        row(&format!("default retention {name}"), 400, code, move |s| {
            with(locked(s, "PUT", "?object-lock"), &document)
        })
    })
    .collect()
}

fn locks_that_are_not_there() -> Vec<Row> {
    let (hold, forever) =
        ("<LegalHold><Status>ON</Status></LegalHold>", retention("GOVERNANCE", FUTURE));
    vec![
        row("legal hold that may be", 400, "MalformedXML", |s| {
            with(locked(s, "PUT", "/k?legal-hold"), "<LegalHold><Status>MAYBE</Status></LegalHold>")
        }),
        row("legal hold without object lock", 400, "InvalidRequest", move |s| {
            with(s.put("/old?legal-hold"), hold)
        }),
        row("retention without object lock", 400, "InvalidRequest", move |s| {
            with(s.put("/old?retention"), &forever)
        }),
        row("retention of an object without", 404, "NoSuchObjectLockConfiguration", |s| {
            locked(s, "GET", "/k?retention")
        }),
        row("legal hold of an object without", 404, "NoSuchObjectLockConfiguration", |s| {
            locked(s, "GET", "/k?legal-hold")
        }),
        row("retention of nothing", 404, "NoSuchKey", |s| locked(s, "GET", "/none?retention")),
        row("object lock of a bucket without", 404, "ObjectLockConfigurationNotFoundError", |s| {
            s.get("?object-lock")
        }),
        row("object lock without versioning", 409, "InvalidBucketState", |s| {
            let document = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled\
                            </ObjectLockEnabled></ObjectLockConfiguration>";
            with(s.put("?object-lock"), document)
        }),
    ]
}

fn lock_headers() -> Vec<Row> {
    const MODE: &str = "x-amz-object-lock-mode";
    const UNTIL: &str = "x-amz-object-lock-retain-until-date";
    const HOLD: &str = "x-amz-object-lock-legal-hold";
    let put = |s: &Stage, headers: &[(&str, &str)]| {
        let request = with(locked(s, "PUT", "/new"), "data");
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    let mut rows: Vec<Row> = [
        ("lock mode without a time", vec![(MODE, "GOVERNANCE")]),
        ("lock time without a mode", vec![(UNTIL, FUTURE)]),
        ("lock until the past", vec![(MODE, "GOVERNANCE"), (UNTIL, PAST)]),
        ("lock until no time", vec![(MODE, "GOVERNANCE"), (UNTIL, "soon")]),
        ("lock of no mode that exists", vec![(MODE, "governance"), (UNTIL, FUTURE)]),
        ("legal hold header that may be", vec![(HOLD, "MAYBE")]),
    ]
    .into_iter()
    .map(|(name, headers)| row(name, 400, "InvalidArgument", move |s| put(s, &headers)))
    .collect();
    rows.extend([
        row("lock headers without object lock", 400, "InvalidRequest", |s| {
            let request = with(s.put("/new"), "data");
            request.header(MODE, "GOVERNANCE").header(UNTIL, FUTURE)
        }),
        row("lock headers without a digest", 400, "InvalidRequest", |s| {
            let request = locked(s, "PUT", "/new").body("data");
            request.header(MODE, "GOVERNANCE").header(UNTIL, FUTURE)
        }),
    ]);
    rows
}

/// What a legal hold withstands: `held` has one.
fn protected() -> Vec<Row> {
    let held = |s: &Stage, rest: &str| format!("/held?{rest}versionId={}", s.held);
    vec![
        row("deletion of a held version", 403, "AccessDenied", move |s| {
            locked(s, "DELETE", &held(s, ""))
        }),
        row("deletion of a held version with bypass", 403, "AccessDenied", move |s| {
            let delete = locked(s, "DELETE", &held(s, ""));
            delete.header("x-amz-bypass-governance-retention", "true")
        }),
        row("deletion of a bucket with versions", 409, "BucketNotEmpty", |s| {
            locked(s, "DELETE", "")
        }),
    ]
}
