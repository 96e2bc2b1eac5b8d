//! The AWS SDK for Rust, in this process, over plain HTTP.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
    ObjectIdentifier,
};
use compat_tests::clients::REGION;
use compat_tests::encoding::{Checksum, etag};
use compat_tests::payload;
use compat_tests::server::{Credentials, Server};
use compat_tests::wire::Wire;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// A client of the shared server and a bucket of its own.
struct Sdk {
    server: Server,
    client: Client,
    bucket: String,
}

impl Sdk {
    fn new() -> Self {
        let server = crate::shared();
        let bucket = server.new_bucket("rust-sdk");
        let client = client(&server, server.root());
        Self { server, client, bucket }
    }

    async fn put(&self, key: &str, data: impl Into<ByteStream>) {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(data.into());
        put.send().await.expect("the object is stored");
    }

    async fn read(&self, key: &str) -> Vec<u8> {
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let answer = get.send().await.expect("the object is there");
        answer.body.collect().await.expect("the whole body arrives").to_vec()
    }
}

fn client(server: &Server, credentials: &Credentials) -> Client {
    let keys = aws_credential_types::Credentials::from_keys(
        &credentials.access_key,
        &credentials.secret_key,
        None,
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(server.s3_url())
        .force_path_style(true)
        .credentials_provider(keys)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

fn code<E: ProvideErrorMetadata, T>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "success".to_owned(),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

#[tokio::test]
async fn put_get_head_delete_roundtrip() {
    let sdk = Sdk::new();
    for len in [0, 1, 65_537, 9 * MIB + 7] {
        let data = payload::bytes(len as u64, len);
        let key = format!("dir/ü +{len}");
        let put = sdk.client.put_object().bucket(&sdk.bucket).key(&key).metadata("a", "1");
        let put = put.content_type("text/x").body(data.clone().into()).send().await;
        let put = put.expect("the object is stored");
        assert_eq!(put.e_tag(), Some(etag(&data).as_str()));
        let head = sdk.client.head_object().bucket(&sdk.bucket).key(&key).send().await;
        let head = head.expect("the object is there");
        assert_eq!(head.content_length(), i64::try_from(len).ok());
        assert_eq!(head.e_tag(), Some(etag(&data).as_str()));
        assert_eq!(head.content_type(), Some("text/x"));
        assert_eq!(head.metadata().and_then(|m| m.get("a")).map(String::as_str), Some("1"));
        assert!(sdk.read(&key).await == data, "{len} bytes differ");
        let delete = sdk.client.delete_object().bucket(&sdk.bucket).key(&key).send().await;
        delete.expect("the object is deleted");
        let get = sdk.client.get_object().bucket(&sdk.bucket).key(&key).send().await;
        assert_eq!(code(get), "NoSuchKey");
    }
}

#[tokio::test]
async fn parts_join_to_one_object() {
    let sdk = Sdk::new();
    let bodies = [payload::bytes(1, 5 * MIB), payload::bytes(2, 100_000)];
    let begin = sdk.client.create_multipart_upload().bucket(&sdk.bucket).key("k").send().await;
    let begun = begin.expect("an upload begins");
    let upload = begun.upload_id().expect("an upload has an id");
    let mut parts = CompletedMultipartUpload::builder();
    for (number, body) in (1..).zip(&bodies) {
        let part = sdk.client.upload_part().bucket(&sdk.bucket).key("k").upload_id(upload);
        let part = part.part_number(number).body(body.clone().into()).send().await;
        let part = part.expect("the part is stored");
        let named = CompletedPart::builder().part_number(number);
        parts = parts.parts(named.set_e_tag(part.e_tag().map(str::to_owned)).build());
    }
    let complete = sdk.client.complete_multipart_upload().bucket(&sdk.bucket).key("k");
    let complete = complete.upload_id(upload).multipart_upload(parts.build()).send().await;
    let done = complete.expect("the upload completes");
    assert!(done.e_tag().is_some_and(|tag| tag.ends_with("-2\"")), "{done:?}");
    assert!(sdk.read("k").await == bodies.concat(), "the parts differ");
}

#[tokio::test]
async fn bodies_stream_from_files_with_trailing_checksums() {
    let sdk = Sdk::new();
    let data = payload::bytes(3, 6 * MIB + 1);
    let path = sdk.server.work_dir().join("up");
    std::fs::write(&path, &data).expect("the work directory is writable");
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Sha256] {
        let body = ByteStream::from_path(&path).await.expect("the file is readable");
        let put = sdk.client.put_object().bucket(&sdk.bucket).key("k").body(body);
        let put = put.checksum_algorithm(algorithm).send().await;
        put.expect("the object is stored");
        assert!(sdk.read("k").await == data, "the bytes differ");
    }
    let head = sdk.client.head_object().bucket(&sdk.bucket).key("k");
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await.expect("it is there");
    assert_eq!(head.checksum_sha256(), Some(Checksum::Sha256.of(&data).as_str()));
}

#[tokio::test]
async fn ranges_stream() {
    let sdk = Sdk::new();
    let data = payload::bytes(4, 9 * MIB);
    sdk.put("k", data.clone()).await;
    let get = sdk.client.get_object().bucket(&sdk.bucket).key("k");
    let answer = get.range("bytes=8388600-8388700").send().await.expect("the range is there");
    assert_eq!(answer.content_range(), Some("bytes 8388600-8388700/9437184"));
    let body = answer.body.collect().await.expect("the whole body arrives").to_vec();
    assert_eq!(body, &data[8_388_600..=8_388_700]);
}

#[tokio::test]
async fn pages_join_to_the_whole_listing() {
    let sdk = Sdk::new();
    let keys: Vec<String> = (10..35).map(|n| format!("a/{n} +ü&<>")).collect();
    for key in keys.iter().map(String::as_str).chain(["b"]) {
        sdk.put(key, b"x".to_vec()).await;
    }
    let list = sdk.client.list_objects_v2().bucket(&sdk.bucket).prefix("a/").max_keys(7);
    let mut pages = list.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page");
        assert!(page.contents().len() <= 7);
        found.extend(page.contents().iter().filter_map(|o| o.key().map(str::to_owned)));
    }
    assert_eq!(found, keys);
    let rolled = sdk.client.list_objects_v2().bucket(&sdk.bucket).delimiter("/").send().await;
    let rolled = rolled.expect("a listing");
    assert_eq!(rolled.common_prefixes().len(), 1);
    assert_eq!(rolled.common_prefixes()[0].prefix(), Some("a/"));
}

#[tokio::test]
async fn copies_and_deletes_many() {
    let sdk = Sdk::new();
    let data = payload::bytes(5, 300_000);
    sdk.put("source", data.clone()).await;
    let mut delete = Delete::builder();
    for n in 0..5 {
        let key = format!("copy {n}");
        let copy = sdk.client.copy_object().bucket(&sdk.bucket).key(&key);
        let copy = copy.copy_source(format!("{}/source", sdk.bucket)).send().await;
        copy.expect("the copy is made");
        assert!(sdk.read(&key).await == data, "{key} differs");
        delete = delete.objects(ObjectIdentifier::builder().key(key).build().expect("a key"));
    }
    let delete = delete.build().expect("objects are named");
    let deleted = sdk.client.delete_objects().bucket(&sdk.bucket).delete(delete).send().await;
    let deleted = deleted.expect("they are deleted");
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (5, 0));
    assert!(sdk.read("source").await == data, "the source stays");
}

#[tokio::test]
async fn conditional_writes() {
    let sdk = Sdk::new();
    let write = |body: &'static str| {
        sdk.client
            .put_object()
            .bucket(&sdk.bucket)
            .key("k")
            .body(ByteStream::from_static(body.as_bytes()))
    };
    write("one").if_none_match("*").send().await.expect("the key is free");
    assert_eq!(code(write("two").if_none_match("*").send().await), "PreconditionFailed");
    let other = etag(b"other");
    assert_eq!(code(write("two").if_match(other).send().await), "PreconditionFailed");
    write("two").if_match(etag(b"one")).send().await.expect("the ETag matches");
    assert_eq!(sdk.read("k").await, b"two");
}

#[tokio::test]
async fn presigned_requests() {
    let sdk = Sdk::new();
    let data = payload::bytes(6, 70_000);
    let minute = PresigningConfig::expires_in(Duration::from_secs(60)).expect("a legal time");
    let put = sdk.client.put_object().bucket(&sdk.bucket).key("a b").presigned(minute.clone());
    let put = put.await.expect("a URL");
    let get = sdk.client.get_object().bucket(&sdk.bucket).key("a b").presigned(minute);
    let get = get.await.expect("a URL");
    let address = sdk.server.s3_address();
    let wire = Wire::new(&address, Credentials::new("", ""));
    let target = |uri: &str| uri.replacen(&format!("http://{address}"), "", 1);
    let mut request = wire.put(&target(put.uri())).anonymous().body(data.clone());
    for (name, value) in put.headers() {
        request = request.header(name, value);
    }
    request.send().expect_status(200);
    let answer = wire.get(&target(get.uri())).anonymous().send().status_is(200);
    assert!(answer.body == data, "the bytes differ");
}

#[tokio::test]
async fn errors_are_typed() {
    let sdk = Sdk::new();
    let get = sdk.client.get_object().bucket(&sdk.bucket).key("missing").send().await;
    let error = get.expect_err("there is no such key").into_service_error();
    assert!(error.is_no_such_key(), "{error:?}");
    let head = sdk.client.head_object().bucket(&sdk.bucket).key("missing").send().await;
    assert!(head.expect_err("there is no such key").into_service_error().is_not_found());
    let none = format!("{}-none", sdk.bucket);
    let list = sdk.client.list_objects_v2().bucket(none).send().await;
    assert!(list.expect_err("there is no such bucket").into_service_error().is_no_such_bucket());
    sdk.put("k", b"x".to_vec()).await;
    let delete = sdk.client.delete_bucket().bucket(&sdk.bucket).send().await;
    assert_eq!(code(delete), "BucketNotEmpty");
}

#[tokio::test]
async fn another_account_is_refused() {
    let sdk = Sdk::new();
    sdk.put("k", b"mine".to_vec()).await;
    let other = client(&sdk.server, sdk.server.second_account());
    let get = other.get_object().bucket(&sdk.bucket).key("k").send().await;
    assert_eq!(code(get), "AccessDenied");
    let put = other.put_object().bucket(&sdk.bucket).key("k").body(b"theirs".to_vec().into());
    assert_eq!(code(put.send().await), "AccessDenied");
    assert_eq!(sdk.read("k").await, b"mine");
}
