//! The tests that object_store runs against every implementation of its trait, one per run.
//!
//! Endpoint, region and credentials come from the environment, and so does the bucket, in
//! `AWS_BUCKET`: the crate cannot make one. Every test wants an empty bucket.

use std::process::ExitCode;

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut, S3CopyIfNotExists};
use object_store::integration;
use object_store::path::Path;

/// A customer's key for SSE-C, in base64: 32 bytes of `k`.
const CUSTOMER_KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

const SCENARIOS: [&str; 24] = [
    "attributes_come_back",
    "copies_and_renames",
    "copies_and_renames_of_nothing",
    "copies_if_not_exists",
    "get_options",
    "lists_after_an_offset",
    "lists_directories",
    "lists_in_pages",
    "lists_with_a_delimiter",
    "multipart_out_of_order",
    "multipart_parts_out_of_order",
    "multipart_race",
    "multipart_under_a_customer_key",
    "multipart_uploads",
    "multipart_uploads_with_options",
    "nonexistent_object",
    "put_get_delete_list",
    "put_get_delete_list_crc64nvme",
    "put_get_delete_list_sha256",
    "put_get_delete_list_under_a_customer_key",
    "put_get_delete_list_under_kms",
    "put_get_delete_list_unsigned",
    "put_options",
    "stream_get",
];

#[tokio::main]
async fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: object-store-client SCENARIO | --list");
        return ExitCode::from(2);
    };
    if name == "--list" {
        println!("{}", SCENARIOS.join("\n"));
        return ExitCode::SUCCESS;
    }
    if !SCENARIOS.contains(&name.as_str()) {
        eprintln!("no scenario {name}");
        return ExitCode::from(2);
    }
    run(&name).await;
    ExitCode::SUCCESS
}

/// Runs one scenario; a panic is its failure.
async fn run(name: &str) {
    let s3 = store(name);
    match name {
        "attributes_come_back" => integration::put_get_attributes(&s3).await,
        "copies_and_renames" => integration::rename_and_copy(&s3).await,
        "copies_and_renames_of_nothing" => integration::copy_rename_nonexistent_object(&s3).await,
        "copies_if_not_exists" => integration::copy_if_not_exists(&s3).await,
        "get_options" => integration::get_opts(&s3).await,
        "lists_after_an_offset" => integration::list_with_offset_exclusivity(&s3).await,
        "lists_directories" => integration::list_uses_directories_correctly(&s3).await,
        "lists_in_pages" => integration::list_paginated(&s3, &s3).await,
        "lists_with_a_delimiter" => integration::list_with_delimiter(&s3).await,
        "multipart_out_of_order" => integration::multipart_out_of_order(&s3).await,
        "multipart_parts_out_of_order" => {
            integration::multipart_put_part_out_of_order(&s3, &s3).await;
        }
        "multipart_race" => integration::multipart_race_condition(&s3, true).await,
        "multipart_uploads" | "multipart_under_a_customer_key" => {
            integration::multipart(&s3, &s3).await;
        }
        "multipart_uploads_with_options" => integration::multipart_with_opts(&s3, &s3).await,
        "nonexistent_object" => nonexistent_object(&s3).await,
        "put_options" => integration::put_opts(&s3, true).await,
        "stream_get" => integration::stream_get(&s3).await,
        _ => integration::put_get_delete_list(&s3).await,
    }
}

/// The store of a scenario, set up as its name says.
fn store(name: &str) -> AmazonS3 {
    let builder = AmazonS3Builder::from_env()
        .with_allow_http(true)
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    let builder = match name {
        "copies_if_not_exists" | "copies_and_renames_of_nothing" => {
            builder.with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        }
        "put_get_delete_list_crc64nvme" => builder.with_checksum_algorithm(Checksum::CRC64NVME),
        "put_get_delete_list_sha256" => builder.with_checksum_algorithm(Checksum::SHA256),
        "put_get_delete_list_unsigned" => builder.with_unsigned_payload(true),
        "put_get_delete_list_under_kms" => builder.with_sse_kms_encryption(kms_key()),
        "put_get_delete_list_under_a_customer_key" | "multipart_under_a_customer_key" => {
            builder.with_ssec_encryption(CUSTOMER_KEY)
        }
        _ => builder,
    };
    builder.build().expect("the environment describes a store")
}

fn kms_key() -> String {
    std::env::var("COMPAT_KMS_KEY").expect("the environment names a key")
}

async fn nonexistent_object(s3: &AmazonS3) {
    let missing = Path::from("nonexistent");
    let error = integration::get_nonexistent_object(s3, Some(missing)).await;
    let error = error.expect_err("there is no such object");
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
}
