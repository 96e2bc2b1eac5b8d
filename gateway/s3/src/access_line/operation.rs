//! What S3's server access logs call operations.

/// The name of an operation; of what is none, by what was addressed.
pub(super) fn name(operation: Option<&str>, method: &str, has_key: bool) -> String {
    let Some(operation) = operation else {
        return format!("REST.{method}.{}", if has_key { "OBJECT" } else { "BUCKET" });
    };
    match operation {
        "WebsiteGet" | "WebsiteHead" => format!("WEBSITE.{method}.OBJECT"),
        "CopyObject" => "REST.COPY.OBJECT".to_owned(),
        "UploadPartCopy" => "REST.COPY.PART".to_owned(),
        "RenameObject" => "REST.RENAME.OBJECT".to_owned(),
        _ => format!("REST.{method}.{}", resource(operation, has_key)),
    }
}

fn resource(operation: &str, has_key: bool) -> &'static str {
    match operation {
        "ListObjects" | "ListObjectsV2" | "CreateBucket" | "HeadBucket" | "DeleteBucket" => {
            "BUCKET"
        }
        "ListObjectVersions" => "BUCKETVERSIONS",
        "DeleteObjects" => "MULTI_OBJECT_DELETE",
        "UploadPart" => "PART",
        "ListMultipartUploads" | "CreateMultipartUpload" => "UPLOADS",
        "CompleteMultipartUpload" | "AbortMultipartUpload" | "ListParts" => "UPLOAD",
        "GetBucketAcl" | "GetObjectAcl" => "ACL",
        "GetObjectAttributes" => "OBJECT_ATTRIBUTES",
        "GetObjectTagging" | "PutObjectTagging" | "DeleteObjectTagging" => "OBJECT_TAGGING",
        "GetObjectRetention" | "PutObjectRetention" => "OBJECT_LOCK_RETENTION",
        "GetObjectLegalHold" | "PutObjectLegalHold" => "OBJECT_LOCK_LEGALHOLD",
        "GetObjectLockConfiguration" | "PutObjectLockConfiguration" => "OBJECT_LOCK_CONFIGURATION",
        "GetBucketLocation" => "LOCATION",
        "GetBucketPolicyStatus" => "POLICY_STATUS",
        _ => configuration(operation).unwrap_or(if has_key { "OBJECT" } else { "BUCKET" }),
    }
}

/// What configurations of buckets are called, with every verb.
fn configuration(operation: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 16] = [
        ("BucketVersioning", "VERSIONING"),
        ("BucketLifecycle", "LIFECYCLE"),
        ("BucketEncryption", "ENCRYPTION"),
        ("BucketCors", "CORS"),
        ("BucketWebsite", "WEBSITE"),
        ("BucketTagging", "TAGGING"),
        ("BucketRequestPayment", "REQUEST_PAYMENT"),
        ("BucketLogging", "LOGGING_STATUS"),
        ("BucketAccelerate", "ACCELERATE"),
        ("BucketAbac", "ABAC"),
        ("BucketPolicy", "BUCKETPOLICY"),
        ("BucketAnalytics", "ANALYTICS"),
        ("BucketMetrics", "METRICS"),
        ("BucketIntelligentTiering", "INTELLIGENT_TIERING"),
        ("BucketAcl", "ACL"),
        ("Preflight", "PREFLIGHT"),
    ];
    NAMES.iter().find(|(part, _)| operation.contains(part)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_the_names_of_s3() {
        for (operation, method, has_key, expected) in [
            ("GetObject", "GET", true, "REST.GET.OBJECT"),
            ("ListObjectsV2", "GET", false, "REST.GET.BUCKET"),
            ("ListObjectVersions", "GET", false, "REST.GET.BUCKETVERSIONS"),
            ("DeleteObjects", "POST", false, "REST.POST.MULTI_OBJECT_DELETE"),
            ("CreateMultipartUpload", "POST", true, "REST.POST.UPLOADS"),
            ("UploadPart", "PUT", true, "REST.PUT.PART"),
            ("UploadPartCopy", "PUT", true, "REST.COPY.PART"),
            ("CopyObject", "PUT", true, "REST.COPY.OBJECT"),
            ("PutObjectTagging", "PUT", true, "REST.PUT.OBJECT_TAGGING"),
            ("PutBucketTagging", "PUT", false, "REST.PUT.TAGGING"),
            ("DeleteBucketLifecycle", "DELETE", false, "REST.DELETE.LIFECYCLE"),
            ("GetBucketPolicyStatus", "GET", false, "REST.GET.POLICY_STATUS"),
            ("ListBucketMetricsConfigurations", "GET", false, "REST.GET.METRICS"),
            ("Preflight", "OPTIONS", true, "REST.OPTIONS.PREFLIGHT"),
            ("WebsiteGet", "GET", true, "WEBSITE.GET.OBJECT"),
        ] {
            assert_eq!(name(Some(operation), method, has_key), expected);
        }
        assert_eq!(name(None, "PATCH", true), "REST.PATCH.OBJECT");
        assert_eq!(name(None, "GET", false), "REST.GET.BUCKET");
    }
}
