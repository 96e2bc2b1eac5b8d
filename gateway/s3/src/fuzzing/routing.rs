//! What a request addresses and which operation it asks for.

use http::Method;

use crate::{
    error::{Code, Outcome},
    operation::{Operation, Shape, route as find},
    percent,
    query::Query,
    target::{self, Domains, Target},
};

/// Sub-resources of S3, some of which are there and some not.
const SUBRESOURCES: [&str; 10] = [
    "acl",
    "delete",
    "lifecycle",
    "policy",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versions",
    "website",
];

/// A request line, a `Host` and marks: `METHOD PATH?QUERY`, then a line each. The mark `copy`
/// stands for a copy source, `form` for a browser's form.
///
/// A path addresses what its decoded form says, however it is encoded. Reads never become writes,
/// deletions stay deletions, and a parameter that goes unnoticed never leaves an operation as it
/// was: what is not known answers 501.
pub fn route(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.lines();
    let Some((method, uri)) = lines.next().and_then(|line| line.split_once(' ')) else {
        return;
    };
    let Ok(method) = Method::try_from(method) else {
        return;
    };
    let host = lines.next().filter(|host| !host.is_empty());
    let marks: Vec<&str> = lines.collect();
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (uri, None),
    };
    let Some(target) = addressed(host, path) else {
        return;
    };
    let asked = |query: Option<&str>| {
        let query = Query::parse(query)?;
        let (copies, form) = (marks.contains(&"copy"), marks.contains(&"form"));
        find(Shape { method: &method, target: &target, copies, form }, &query)
    };
    let found = asked(query);
    match &found {
        Ok(operation) => check_kind(*operation, &method, &target),
        Err(failure) => assert!(
            matches!(
                failure.code(),
                Code::NotImplemented
                    | Code::MethodNotAllowed
                    | Code::InvalidArgument
                    | Code::InvalidUri
            ),
            "{failure}"
        ),
    }
    if let Ok(operation) = found {
        check_additions(operation, query.unwrap_or_default(), |query| asked(Some(query)));
    }
}

/// The target, checked against its parts.
fn addressed(host: Option<&str>, path: &str) -> Option<Target> {
    let domains = Domains::new(&["s3.example.com".to_owned(), "example.com".to_owned()]);
    let target = match target::find(&domains, host, path) {
        Ok(target) => target,
        Err(failure) => {
            let known = [Code::InvalidUri, Code::InvalidBucketName, Code::KeyTooLong];
            assert!(known.contains(&failure.code()), "{failure}");
            return None;
        }
    };
    let decoded = percent::decode(path).expect("a path that was taken is percent-encoded UTF-8");
    let (bucket, key) = (target.bucket(), target.key());
    let path_style = match &target {
        Target::Service => "/".to_owned(),
        Target::Bucket { bucket } => format!("/{bucket}"),
        Target::Object { bucket, key } => format!("/{bucket}/{key}"),
    };
    let in_host = host.and_then(|host| domains.bucket_of(host));
    match in_host {
        Some(found) => assert!(found == bucket && decoded == format!("/{key}")),
        None => assert_eq!(decoded.trim_end_matches('/'), path_style.trim_end_matches('/')),
    }
    // A host may name what no path can; the service knows no such bucket.
    if !bucket.contains('/') {
        let again = target::find(&Domains::default(), None, &percent::encode(&path_style));
        assert_eq!(again.ok().as_ref(), Some(&target));
    }
    Some(target)
}

fn check_kind(operation: Operation, method: &Method, target: &Target) {
    let name = operation.name();
    let reads = ["Get", "Head", "List"].iter().any(|start| name.starts_with(start));
    let deletes = ["Delete", "Abort"].iter().any(|start| name.starts_with(start));
    match *method {
        Method::GET | Method::HEAD => assert!(reads, "{method} {name}"),
        Method::DELETE => assert!(deletes && operation != Operation::DeleteObjects),
        _ => assert!(!reads, "{method} {name}"),
    }
    let on_object = matches!(target, Target::Object { .. });
    if matches!(operation, Operation::DeleteBucket | Operation::CreateBucket) {
        assert!(!on_object);
    }
    if matches!(operation, Operation::DeleteObject | Operation::PutObject) {
        assert!(on_object);
    }
    assert!(!operation.is_on_service() || !on_object);
}

/// What further parameters do to a request that asks for `operation`.
fn check_additions(operation: Operation, query: &str, asked: impl Fn(&str) -> Outcome<Operation>) {
    let with = |more: &str| asked(&format!("{query}&{more}"));
    for harmless in ["x-id=Anything", "X-Amz-Anything=1"] {
        assert_eq!(with(harmless).ok(), Some(operation), "{harmless}");
    }
    let refused = with("no-such-parameter").expect_err("an unknown sub-resource is refused");
    assert_eq!(refused.code(), Code::NotImplemented);
    for name in SUBRESOURCES {
        let is_new = Query::parse(Some(query)).is_ok_and(|query| !query.has(name));
        assert!(!is_new || with(name).ok() != Some(operation), "{name} went unnoticed");
    }
}
