//! Encryption: headers of customers' keys and of the key service.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compat_tests::encoding::content_md5;
use compat_tests::wire::Request;

use crate::row::{Row, Stage, row};

const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const KEY: &str = "x-amz-server-side-encryption-customer-key";
const MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
const SSE: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";

/// The key that `secret` is stored under, and another.
pub(crate) const SECRET_KEY: [u8; 32] = [7; 32];
const OTHER_KEY: [u8; 32] = [8; 32];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = customer_writes();
    rows.extend(customer_reads());
    rows.extend(key_service());
    rows
}

/// `request` with `key` as the customer's.
pub(crate) fn under(request: Request, key: &[u8]) -> Request {
    let request = request.header(ALGORITHM, "AES256").header(KEY, &STANDARD.encode(key));
    request.header(MD5, &content_md5(key))
}

fn put(s: &Stage, headers: &[(&str, &str)]) -> Request {
    headers
        .iter()
        .fold(s.put("/new").body("x"), |request, (name, value)| request.header(name, value))
}

fn customer_writes() -> Vec<Row> {
    let key = STANDARD.encode(SECRET_KEY).leak() as &'static str;
    let md5 = content_md5(&SECRET_KEY).leak() as &'static str;
    let short = STANDARD.encode([1; 16]).leak() as &'static str;
    let short_md5 = content_md5(&[1; 16]).leak() as &'static str;
    let other_md5 = content_md5(&OTHER_KEY).leak() as &'static str;
    let mut rows: Vec<Row> = [
        ("customer algorithm alone", vec![(ALGORITHM, "AES256")]),
        ("customer key alone", vec![(KEY, key)]),
        ("customer key without its digest", vec![(ALGORITHM, "AES256"), (KEY, key)]),
        ("customer key without its algorithm", vec![(KEY, key), (MD5, md5)]),
        (
            "digest of another customer key",
            vec![(ALGORITHM, "AES256"), (KEY, key), (MD5, other_md5)],
        ),
        ("customer key of 16 bytes", vec![(ALGORITHM, "AES256"), (KEY, short), (MD5, short_md5)]),
        ("customer key that is no base64", vec![(ALGORITHM, "AES256"), (KEY, "***"), (MD5, md5)]),
        (
            "customer key and key service",
            vec![(ALGORITHM, "AES256"), (KEY, key), (MD5, md5), (SSE, "aws:kms")],
        ),
    ]
    .into_iter()
    .map(|(name, headers)| row(name, 400, "InvalidArgument", move |s| put(s, &headers)))
    .collect();
    rows.push(row(
        "customer algorithm that is unknown",
        400,
        "InvalidEncryptionAlgorithmError",
        move |s| put(s, &[(ALGORITHM, "AES128"), (KEY, key), (MD5, md5)]),
    ));
    rows
}

fn customer_reads() -> Vec<Row> {
    let mut rows: Vec<Row> = ["GET", "HEAD"]
        .into_iter()
        .flat_map(|method| {
            [
                row(
                    &format!("{method} without the customer key"),
                    400,
                    "InvalidRequest",
                    move |s| s.wire.request(method, &s.at("/secret")),
                ),
                row(
                    &format!("{method} with another customer key"),
                    403,
                    "AccessDenied",
                    move |s| under(s.wire.request(method, &s.at("/secret")), &OTHER_KEY),
                ),
                row(
                    &format!("{method} of plain data with a customer key"),
                    400,
                    "InvalidRequest",
                    move |s| under(s.wire.request(method, &s.at("/old")), &SECRET_KEY),
                ),
            ]
        })
        .collect();
    rows.extend([
        row("copy without the customer key", 400, "InvalidRequest", |s| {
            s.copy(&format!("{}/secret", s.bucket))
        }),
        row("attributes without the customer key", 400, "InvalidRequest", |s| {
            s.get("/secret?attributes").header("x-amz-object-attributes", "ETag")
        }),
        row("part with a customer key the upload lacks", 400, "InvalidRequest", |s| {
            let part = s.put(&format!("/upload?partNumber=4&uploadId={}", s.upload)).body("data");
            under(part, &SECRET_KEY)
        }),
    ]);
    rows
}

fn key_service() -> Vec<Row> {
    let rows = [
        ("encryption that is unknown", "InvalidArgument", vec![(SSE, "rot13")]),
        (
            "key of the key service that is not there",
            "KMS.NotFoundException",
            vec![(SSE, "aws:kms"), (KMS_KEY, "no-such-key")],
        ),
        (
            "key of the key service for AES256",
            "InvalidArgument",
            vec![(SSE, "AES256"), (KMS_KEY, "key")],
        ),
        ("key of the key service for nothing", "InvalidArgument", vec![(KMS_KEY, "key")]),
        (
            "encryption context that is no base64",
            "InvalidArgument",
            vec![(SSE, "aws:kms"), (CONTEXT, "***")],
        ),
        (
            "encryption context that is no JSON",
            "InvalidArgument",
            vec![(SSE, "aws:kms"), (CONTEXT, "eA==")],
        ),
    ];
    rows.into_iter()
        .map(|(name, code, headers)| row(name, 400, code, move |s| put(s, &headers)))
        .collect()
}
