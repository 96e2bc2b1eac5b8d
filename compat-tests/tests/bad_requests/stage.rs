//! The bucket, objects and uploads that rows are about, and the whole table.

use compat_tests::encoding::etag;
use compat_tests::payload;
use compat_tests::server::{Running, unique_name};

use crate::row::{Row, Stage};
use crate::{
    bodies, checksums, conditions, documents, forms, framing, metadata, multipart, names,
    parameters, presigned, signatures,
};

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
        stage
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

    /// What is visible in the bucket: keys with their ETags, uploads, and the tags of `old`.
    pub(crate) fn visible(&self) -> Vec<String> {
        let objects = self.get("?list-type=2").send().status_is(200);
        let uploads = self.get("?uploads").send().status_is(200);
        let parts = self.get(&format!("/upload?uploadId={}", self.upload)).send().status_is(200);
        let tags = self.get("/old?tagging").send().status_is(200);
        [
            objects.elements("Key"),
            objects.elements("ETag"),
            uploads.elements("UploadId"),
            parts.elements("PartNumber"),
            tags.elements("Tag"),
        ]
        .concat()
    }
}
