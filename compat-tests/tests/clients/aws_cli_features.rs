//! aws-cli: `aws s3api` commands for versions, locks and the configurations of buckets.

use std::fs;

use serde_json::{Value, json};

use crate::aws_cli::Aws;

/// Puts `document` with `put-bucket-KIND --ARGUMENT`, and returns what `get-bucket-KIND` answers.
fn stored(aws: &Aws, kind: &str, argument: &str, document: &Value) -> Value {
    let argument = format!("--{argument}");
    let document = document.to_string();
    let _ = aws.api(&format!("put-bucket-{kind}"), &[&argument, &document]).succeed();
    aws.api(&format!("get-bucket-{kind}"), &[]).succeed().json()
}

/// As [`stored`], then removes it with `delete-bucket-KIND`: `absent` is the error afterwards.
fn roundtrip(aws: &Aws, kind: &str, argument: &str, document: &Value, absent: &str) {
    let (get, delete) = (format!("get-bucket-{kind}"), format!("delete-bucket-{kind}"));
    let _ = aws.api(&get, &[]).fail_with(absent);
    assert_eq!(stored(aws, kind, argument, document), *document, "{kind}");
    let _ = aws.api(&delete, &[]).succeed();
    let _ = aws.api(&get, &[]).fail_with(absent);
}

#[test]
fn versions_are_listed_restored_and_deleted() {
    let aws = Aws::new();
    let enable = ["--versioning-configuration", "Status=Enabled"];
    let _ = aws.api("put-bucket-versioning", &enable).succeed();
    let status = aws.api("get-bucket-versioning", &[]).succeed().json();
    assert_eq!(status["Status"], "Enabled");
    let mut versions = Vec::new();
    for text in ["one", "two"] {
        fs::write(aws.dir.join("up"), text).expect("the work directory is writable");
        let put = aws.api("put-object", &["--key", "k", "--body", "up"]).succeed().json();
        versions.insert(0, put["VersionId"].as_str().expect("a version has an id").to_owned());
    }
    let listed = aws.api("list-object-versions", &["--query", "Versions[].VersionId"]);
    assert_eq!(listed.succeed().json(), json!(versions));
    let marker = aws.api("delete-object", &["--key", "k"]).succeed().json();
    assert_eq!(marker["DeleteMarker"], true);
    let _ = aws.api("get-object", &["--key", "k", "down"]).fail_with("NoSuchKey");
    let marker = marker["VersionId"].as_str().expect("a marker has an id");
    let _ = aws.api("delete-object", &["--key", "k", "--version-id", marker]).succeed();
    let old = ["--key", "k", "--version-id", &versions[1], "down"];
    let _ = aws.api("get-object", &old).succeed();
    assert_eq!(fs::read_to_string(aws.dir.join("down")).expect("it was written"), "one");
    let paged = ["--page-size", "1", "--query", "Versions[].Key"];
    let paged = aws.api("list-object-versions", &paged).succeed().json();
    assert_eq!(paged, json!(["k", "k"]));
    let suspend = ["--versioning-configuration", "Status=Suspended"];
    let _ = aws.api("put-bucket-versioning", &suspend).succeed();
}

#[test]
fn objects_are_locked_and_held() {
    let aws = Aws::new();
    let bucket = format!("{}-locked", aws.bucket);
    let create = ["s3api", "create-bucket", "--object-lock-enabled-for-bucket", "--bucket"];
    let _ = aws.program().args(create).arg(&bucket).succeed();
    let locked = Aws { bucket, ..aws };
    let configuration = json!({
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": 1}},
    });
    let text = configuration.to_string();
    let put = ["--object-lock-configuration", &text];
    let _ = locked.api("put-object-lock-configuration", &put).succeed();
    let got = locked.api("get-object-lock-configuration", &[]).succeed().json();
    assert_eq!(got["ObjectLockConfiguration"], configuration);
    let put = locked.api("put-object", &["--key", "k"]).succeed().json();
    let version = put["VersionId"].as_str().expect("a version has an id");
    let of = ["--key", "k", "--version-id", version];
    let held = ["--legal-hold", "Status=ON"];
    let _ = locked.api("put-object-legal-hold", &[&of[..], &held].concat()).succeed();
    let hold = locked.api("get-object-legal-hold", &of).succeed().json();
    assert_eq!(hold["LegalHold"]["Status"], "ON");
    let bypass = ["--bypass-governance-retention"];
    let refused = locked.api("delete-object", &[&of[..], &bypass].concat());
    let _ = refused.fail_with("AccessDenied");
    let free = ["--legal-hold", "Status=OFF"];
    let _ = locked.api("put-object-legal-hold", &[&of[..], &free].concat()).succeed();
    let retention = locked.api("get-object-retention", &of).succeed().json();
    assert_eq!(retention["Retention"]["Mode"], "GOVERNANCE");
    let shorter =
        ["--retention", r#"{"Mode":"GOVERNANCE","RetainUntilDate":"2099-01-02T03:04:05Z"}"#];
    let _ = locked.api("put-object-retention", &[&of[..], &shorter].concat()).succeed();
    let _ = locked.api("delete-object", &of).fail_with("AccessDenied");
    let _ = locked.api("delete-object", &[&of[..], &bypass].concat()).succeed();
}

#[test]
fn lifecycle_and_encryption_are_stored() {
    let aws = Aws::new();
    let rules = json!({"Rules": [{
        "ID": "r", "Status": "Enabled", "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 30}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }]});
    let text = rules.to_string();
    let put = ["--lifecycle-configuration", &text];
    let _ = aws.api("put-bucket-lifecycle-configuration", &put).succeed();
    let got = aws.api("get-bucket-lifecycle-configuration", &[]).succeed().json();
    assert_eq!(got["Rules"], rules["Rules"]);
    let _ = aws.api("delete-bucket-lifecycle", &[]).succeed();
    let get = aws.api("get-bucket-lifecycle-configuration", &[]);
    let _ = get.fail_with("NoSuchLifecycleConfiguration");

    let key = aws.server.kms_key();
    let encryption = json!({"Rules": [{
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
        "BucketKeyEnabled": true,
    }]});
    let argument = "server-side-encryption-configuration";
    let got = stored(&aws, "encryption", argument, &encryption);
    let rule = &got["ServerSideEncryptionConfiguration"]["Rules"][0];
    assert_eq!(rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"], key);
    let put = aws.api("put-object", &["--key", "k"]).succeed().json();
    assert_eq!(put["ServerSideEncryption"], "aws:kms");
    let _ = aws.api("delete-bucket-encryption", &[]).succeed();
    let customer = ["--sse-customer-algorithm", "AES256", "--sse-customer-key"];
    let customer = [&customer[..], &["0123456789abcdef0123456789abcdef"]].concat();
    let _ = aws.api("put-object", &[&["--key", "c"], &customer[..]].concat()).succeed();
    let _ = aws.api("get-object", &["--key", "c", "down"]).fail_with("InvalidRequest");
    let _ = aws.api("get-object", &[&["--key", "c", "down"], &customer[..]].concat()).succeed();
}

#[test]
fn cors_websites_tags_and_policies_are_stored_and_removed() {
    let aws = Aws::new();
    let cors = json!({"CORSRules": [
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]},
    ]});
    roundtrip(&aws, "cors", "cors-configuration", &cors, "NoSuchCORSConfiguration");
    let site = json!({
        "IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"},
    });
    roundtrip(&aws, "website", "website-configuration", &site, "NoSuchWebsiteConfiguration");
    let tags = json!({"TagSet": [{"Key": "a", "Value": "ü"}]});
    roundtrip(&aws, "tagging", "tagging", &tags, "NoSuchTagSet");

    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": format!("arn:aws:s3:::{}/*", aws.bucket),
    }]});
    let _ = aws.api("put-object", &["--key", "k"]).succeed();
    let anonymous = ["--key", "k", "--no-sign-request", "down"];
    let _ = aws.api("get-object", &anonymous).fail_with("AccessDenied");
    let got = stored(&aws, "policy", "policy", &policy);
    let text = got["Policy"].as_str().expect("a policy is text");
    assert_eq!(serde_json::from_str::<Value>(text).expect("a policy is JSON"), policy);
    let status = aws.api("get-bucket-policy-status", &[]).succeed().json();
    assert_eq!(status["PolicyStatus"]["IsPublic"], true);
    let _ = aws.api("get-object", &anonymous).succeed();
    let _ = aws.api("delete-bucket-policy", &[]).succeed();
    let _ = aws.api("get-bucket-policy", &[]).fail_with("NoSuchBucketPolicy");
}

#[test]
fn single_settings_are_stored() {
    let aws = Aws::new();
    let payer = json!({"Payer": "Requester"});
    let argument = "request-payment-configuration";
    assert_eq!(stored(&aws, "request-payment", argument, &payer), payer);
    let accelerate = json!({"Status": "Suspended"});
    let got = stored(&aws, "accelerate-configuration", "accelerate-configuration", &accelerate);
    assert_eq!(got, accelerate);
    let abac = stored(&aws, "abac", "abac-status", &json!({"Status": "Enabled"}));
    assert_eq!(abac["AbacStatus"]["Status"], "Enabled");
    let target = json!({"LoggingEnabled": {"TargetBucket": aws.bucket, "TargetPrefix": "l/"}});
    let logging = stored(&aws, "logging", "bucket-logging-status", &target);
    assert_eq!(logging["LoggingEnabled"]["TargetPrefix"], "l/");
}

#[test]
fn configurations_with_ids_are_stored_listed_and_removed() {
    let aws = Aws::new();
    let analytics = json!({"Id": "a", "StorageClassAnalysis": {}});
    let metrics = json!({"Id": "a", "Filter": {"Prefix": "p/"}});
    let tiering = json!({
        "Id": "a", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}],
    });
    for (kind, name, document) in [
        ("analytics", "AnalyticsConfiguration", analytics),
        ("metrics", "MetricsConfiguration", metrics),
        ("intelligent-tiering", "IntelligentTieringConfiguration", tiering),
    ] {
        let argument = format!("--{kind}-configuration");
        let text = document.to_string();
        let put = format!("put-bucket-{kind}-configuration");
        let _ = aws.api(&put, &["--id", "a", &argument, &text]).succeed();
        let get = format!("get-bucket-{kind}-configuration");
        let got = aws.api(&get, &["--id", "a"]).succeed().json();
        assert_eq!(got[name], document, "{kind}");
        let list = format!("list-bucket-{kind}-configurations");
        let listed = aws.api(&list, &[]).succeed().json();
        assert_eq!(listed[format!("{name}List")], json!([document]), "{kind}");
        let delete = format!("delete-bucket-{kind}-configuration");
        let _ = aws.api(&delete, &["--id", "a"]).succeed();
        let _ = aws.api(&get, &["--id", "a"]).fail_with("NoSuchConfiguration");
    }
}

#[test]
fn objects_are_renamed() {
    let aws = Aws::new();
    let _ = aws.api("put-object", &["--key", "one", "--metadata", "a=1"]).succeed();
    let source = format!("{}/one", aws.bucket);
    let _ = aws.api("rename-object", &["--key", "two", "--rename-source", &source]).succeed();
    let head = aws.api("head-object", &["--key", "two"]).succeed().json();
    assert_eq!(head["Metadata"]["a"], "1");
    let _ = aws.api("head-object", &["--key", "one"]).fail_with("404");
}
