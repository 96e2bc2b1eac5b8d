//! The bucket, objects and uploads that rows are about, and the whole table.

use compat_tests::encoding::{content_md5, etag};
use compat_tests::payload;
use compat_tests::server::{Running, unique_name};

use crate::row::{Row, Stage};
use crate::{
    bodies, checksums, conditions, configurations, documents, encryption, forms, framing, metadata,
    multipart, names, parameters, presigned, signatures, versions,
};

/// What a bucket has at most one of.
const CONFIGURATIONS: [&str; 13] = [
    "abac",
    "accelerate",
    "cors",
    "encryption",
    "lifecycle",
    "logging",
    "metrics",
    "object-lock",
    "policy",
    "requestPayment",
    "tagging",
    "versioning",
    "website",
];

/// The smallest part that another may follow.
const PART_LEN: usize = 5 << 20;

/// Every row of the table.
pub(crate) fn table() -> Vec<Row> {
    [
        bodies::rows(),
        checksums::rows(),
        signatures::rows(),
        presigned::rows(),
        forms::rows(),
        multipart::rows(),
        names::rows(),
        documents::rows(),
        conditions::rows(),
        metadata::rows(),
        parameters::rows(),
        versions::rows(),
        encryption::rows(),
        configurations::rows(),
        framing::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Stage {
    /// Sets a stage on `server`.
    pub(crate) fn new(server: &Running) -> Self {
        let bucket = server.new_bucket("bad");
        let wire = server.wire();
        let second = server.second_account().clone();
        let mut stage = Self {
            address: server.s3_address(),
            access_key: server.root().access_key.clone(),
            secret_key: server.root().secret_key.clone(),
            other: wire.signed_by(&second),
            foreign: unique_name("foreign"),
            upload: String::new(),
            crc_upload: String::new(),
            locked: unique_name("locked"),
            version: String::new(),
            marker: String::new(),
            held: String::new(),
            wire,
            bucket,
        };
        stage.other.put(&format!("/{}", stage.foreign)).send().expect_status(200);
        stage.other.put(&format!("/{}/k", stage.foreign)).body("data").send().expect_status(200);
        stage.put("/old").body("data").send().expect_status(200);
        stage.put("/large").body(payload::bytes(1, 100_000)).send().expect_status(200);
        stage.upload = stage.begin("upload", None);
        for number in 1..=3 {
            let part = format!("/upload?partNumber={number}&uploadId={}", stage.upload);
            stage.put(&part).body("data").send().expect_status(200);
        }
        stage.crc_upload = stage.begin("crc", Some("CRC32C"));
        let part = stage.put(&format!("/crc?partNumber=1&uploadId={}", stage.crc_upload));
        let crc = compat_tests::encoding::Checksum::Crc32c.of(b"data");
        part.header("x-amz-checksum-crc32c", &crc).body("data").send().expect_status(200);
        stage.store_parts();
        let secret = encryption::under(stage.put("/secret").body("data"), &encryption::SECRET_KEY);
        secret.send().expect_status(200);
        stage.store_versions();
        stage
    }

    /// Stores what is in the bucket with object lock.
    fn store_versions(&mut self) {
        let make = self.wire.put(&format!("/{}", self.locked));
        make.header("x-amz-bucket-object-lock-enabled", "true").send().expect_status(200);
        let send = |method: &str, key: &str| {
            let request = self.wire.request(method, &format!("/{}/{key}", self.locked));
            let request = if method == "PUT" { request.body("data") } else { request };
            let answer = request.send();
            answer.header("x-amz-version-id").expect("every write makes a version").to_owned()
        };
        let version = send("PUT", "k");
        send("PUT", "k");
        send("PUT", "other");
        send("PUT", "gone");
        let (marker, held) = (send("DELETE", "gone"), send("PUT", "held"));
        let hold = "<LegalHold><Status>ON</Status></LegalHold>";
        let put = self.wire.put(&format!("/{}/held?legal-hold", self.locked));
        let put = put.header("content-md5", &content_md5(hold.as_bytes())).body(hold);
        put.send().expect_status(200);
        (self.version, self.marker, self.held) = (version, marker, held);
    }

    fn begin(&self, key: &str, checksum: Option<&str>) -> String {
        let ask = self.post(&format!("/{key}?uploads"));
        let ask = match checksum {
            Some(name) => ask.header("x-amz-checksum-algorithm", name),
            None => ask,
        };
        ask.send().status_is(200).element("UploadId").expect("an upload has an id")
    }

    /// Stores `parts`, an object of two parts.
    fn store_parts(&self) {
        let id = self.begin("parts", None);
        let mut list = String::new();
        for (number, body) in [(1, payload::bytes(2, PART_LEN)), (2, payload::bytes(3, 4))] {
            let tag = etag(&body);
            let part = self.put(&format!("/parts?partNumber={number}&uploadId={id}"));
            part.body(body).send().expect_status(200);
            list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        }
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        self.post(&format!("/parts?uploadId={id}")).body(list).send().expect_status(200);
    }

    /// What is visible in the buckets: keys with their ETags, versions, uploads, the tags of `old`,
    /// and the configurations of the bucket.
    pub(crate) fn visible(&self) -> Vec<String> {
        let objects = self.get("?list-type=2").send().status_is(200);
        let uploads = self.get("?uploads").send().status_is(200);
        let parts = self.get(&format!("/upload?uploadId={}", self.upload)).send().status_is(200);
        let tags = self.get("/old?tagging").send().status_is(200);
        let versions = self.wire.get(&format!("/{}?versions", self.locked)).send().status_is(200);
        let configurations = CONFIGURATIONS.map(|name| {
            let answer = self.get(&format!("?{name}")).send();
            let what = answer.element("Code").unwrap_or_else(|| answer.elements("Status").concat());
            format!("{name}: {} {what}", answer.status)
        });
        [
            versions.elements("VersionId"),
            versions.elements("IsLatest"),
            configurations.to_vec(),
            objects.elements("Key"),
            objects.elements("ETag"),
            uploads.elements("UploadId"),
            parts.elements("PartNumber"),
            tags.elements("Tag"),
        ]
        .concat()
    }
}
