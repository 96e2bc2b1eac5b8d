use super::*;

fn target(path: &str) -> Target {
    crate::target::find(&crate::target::Domains::default(), None, path).unwrap()
}

fn ask_with(method: &Method, uri: &str, copies: bool, form: bool) -> Result<Operation, Code> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let query = Query::parse(Some(query)).unwrap();
    let target = target(path);
    let shape = Shape { method, target: &target, copies, form };
    route(shape, &query).map_err(|failure| failure.code())
}

fn ask(method: &Method, uri: &str) -> Result<Operation, Code> {
    ask_with(method, uri, false, false)
}

#[test]
fn every_operation_is_reached() {
    use Operation as O;
    let cases: &[(Method, &str, O)] = &[
        (Method::GET, "/?prefix=a&max-buckets=3", O::ListBuckets),
        (Method::PUT, "/b", O::CreateBucket),
        (Method::HEAD, "/b", O::HeadBucket),
        (Method::DELETE, "/b", O::DeleteBucket),
        (Method::GET, "/b?location", O::GetBucketLocation),
        (Method::GET, "/b?location=", O::GetBucketLocation),
        (Method::GET, "/b?versioning", O::GetBucketVersioning),
        (Method::GET, "/b?acl", O::GetBucketAcl),
        (Method::GET, "/b?prefix=x&delimiter=/", O::ListObjects),
        (Method::GET, "/b?list-type=2&fetch-owner=true", O::ListObjectsV2),
        (Method::GET, "/b?uploads&prefix=x", O::ListMultipartUploads),
        (Method::POST, "/b?delete", O::DeleteObjects),
        (Method::GET, "/b/k", O::GetObject),
        (Method::GET, "/b/k?versionId=null&partNumber=1", O::GetObject),
        (Method::HEAD, "/b/k", O::HeadObject),
        (Method::GET, "/b/k?attributes", O::GetObjectAttributes),
        (Method::GET, "/b/k?acl", O::GetObjectAcl),
        (Method::GET, "/b/k?tagging", O::GetObjectTagging),
        (Method::GET, "/b/k?uploadId=u&max-parts=2", O::ListParts),
        (Method::PUT, "/b/k", O::PutObject),
        (Method::PUT, "/b/k?tagging", O::PutObjectTagging),
        (Method::PUT, "/b/k?partNumber=1&uploadId=u", O::UploadPart),
        (Method::DELETE, "/b/k?versionId=null", O::DeleteObject),
        (Method::DELETE, "/b/k?tagging", O::DeleteObjectTagging),
        (Method::DELETE, "/b/k?uploadId=u", O::AbortMultipartUpload),
        (Method::POST, "/b/k?uploads", O::CreateMultipartUpload),
        (Method::POST, "/b/k?uploadId=u", O::CompleteMultipartUpload),
    ];
    for (method, uri, operation) in cases {
        assert_eq!(ask(method, uri), Ok(*operation), "{method} {uri}");
    }
    let put = Method::PUT;
    assert_eq!(ask_with(&put, "/b/k", true, false), Ok(O::CopyObject));
    let part = "/b/k?partNumber=1&uploadId=u";
    assert_eq!(ask_with(&put, part, true, false), Ok(O::UploadPartCopy));
    assert_eq!(ask_with(&Method::POST, "/b", false, true), Ok(O::PostObject));
}

#[test]
fn unknown_parameters_of_writes_are_not_implemented() {
    for (method, uri) in [
        (Method::DELETE, "/b?nosuch"),
        (Method::DELETE, "/b?nosuch=1"),
        (Method::PUT, "/b?nosuch"),
        (Method::PUT, "/b/k?nosuch=1"),
        (Method::DELETE, "/b/k?nosuch"),
        (Method::POST, "/b?delete&nosuch"),
        (Method::POST, "/b?nosuch"),
        (Method::POST, "/b/k?nosuch"),
    ] {
        assert_eq!(ask(&method, uri), Err(Code::NotImplemented), "{method} {uri}");
    }
}

#[test]
fn every_other_subresource_of_s3_is_not_implemented() {
    let implemented = |method: &Method, scope: Scope, name: &str| {
        ROWS.iter().any(|row| {
            let known = row.selectors.contains(&name) || row.parameters.contains(&name);
            row.method == *method && row.scope == scope && known
        })
    };
    for name in SUBRESOURCES {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::POST] {
            for (scope, path) in [(Scope::Bucket, "/b"), (Scope::Object, "/b/k")] {
                if !implemented(&method, scope, name) {
                    let uri = format!("{path}?{name}");
                    assert_eq!(ask(&method, &uri), Err(Code::NotImplemented), "{method} {uri}");
                }
            }
        }
    }
}

#[test]
fn harmless_parameters_do_not_matter() {
    let signed =
        "X-Amz-Algorithm=a&X-Amz-Signature=s&x-amz-checksum-mode=ENABLED&x-id=DeleteBucket";
    assert_eq!(ask(&Method::PUT, &format!("/b/k?{signed}")), Ok(Operation::PutObject));
    assert_eq!(ask(&Method::GET, &format!("/b/k?{signed}")), Ok(Operation::GetObject));
    assert_eq!(ask(&Method::GET, "/b/k?cache=1"), Ok(Operation::GetObject));
    assert_eq!(ask(&Method::GET, "/b?cache=1"), Ok(Operation::ListObjects));
}

#[test]
fn valueless_unknown_parameters_of_reads_are_not_implemented() {
    assert_eq!(ask(&Method::GET, "/b/k?nosuch"), Err(Code::NotImplemented));
    assert_eq!(ask(&Method::GET, "/b?nosuch"), Err(Code::NotImplemented));
    assert_eq!(ask(&Method::HEAD, "/b?nosuch"), Err(Code::NotImplemented));
}

#[test]
fn contradictions_are_refused() {
    assert_eq!(ask(&Method::GET, "/b?list-type=3"), Err(Code::InvalidArgument));
    assert_eq!(ask(&Method::GET, "/b?prefix=a&prefix=b"), Err(Code::InvalidArgument));
    assert_eq!(ask(&Method::PUT, "/b/k?partNumber=1"), Err(Code::NotImplemented));
    assert_eq!(ask(&Method::GET, "/b/k?tagging&uploadId=u"), Err(Code::NotImplemented));
}

#[test]
fn other_methods_are_not_allowed() {
    for (method, uri) in [
        (Method::PATCH, "/b/k"),
        (Method::POST, "/b"),
        (Method::POST, "/b/k"),
        (Method::DELETE, "/"),
        (Method::PUT, "/"),
    ] {
        assert_eq!(ask(&method, uri), Err(Code::MethodNotAllowed), "{method} {uri}");
    }
}
