//! Request bodies: digests, checksums in headers and trailers, `aws-chunked`.

use compat_tests::encoding::{Checksum, content_md5, etag};
use compat_tests::payload;

use crate::Fixture;

/// The smallest chunk AWS takes but for the last one.
const CHUNK_LEN: usize = 8192;

/// Body lengths around the edges of chunks, of inline objects and of stripes.
const LENGTHS: [usize; 6] = [0, 1, CHUNK_LEN, CHUNK_LEN + 1, 70_000, 9 * 1024 * 1024 + 1];

#[test]
fn content_md5_is_verified() {
    let s3 = Fixture::new();
    let put = |md5: &str| s3.wire.put(&s3.at("/k")).header("content-md5", md5).body("data").send();
    put(&content_md5(b"other")).expect_error(400, "BadDigest");
    put("bm90IGFuIE1ENQ==").expect_error(400, "InvalidDigest");
    put("!").expect_error(400, "InvalidDigest");
    s3.expect_absent("k");
    put(&content_md5(b"data")).expect_status(200);
    s3.expect_body("k", "data");
}

#[test]
fn checksum_headers_are_verified() {
    let s3 = Fixture::new();
    let data = payload::bytes(1, 100_000);
    for checksum in Checksum::ALL {
        let put = |value: &str| {
            let request = s3.wire.put(&s3.at("/k")).header(checksum.header(), value);
            request.body(data.clone()).send()
        };
        put(&checksum.of(b"other")).expect_error(400, "BadDigest");
        put("AAAA").expect_error(400, "InvalidRequest");
        put("?").expect_error(400, "InvalidRequest");
        s3.expect_absent("k");
        let value = checksum.of(&data);
        let stored = put(&value).status_is(200);
        assert_eq!(stored.header(checksum.header()), Some(value.as_str()));
        let head = s3.wire.head(&s3.at("/k")).header("x-amz-checksum-mode", "ENABLED").send();
        assert_eq!(head.header(checksum.header()), Some(value.as_str()), "{checksum:?}");
        assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        s3.wire.delete(&s3.at("/k")).send().expect_status(204);
    }
    let two = s3.wire.put(&s3.at("/k")).body("data");
    let two = two.header("x-amz-checksum-crc32", &Checksum::Crc32.of(b"data"));
    let two = two.header("x-amz-checksum-sha1", &Checksum::Sha1.of(b"data"));
    two.send().expect_error(400, "InvalidRequest");
}

#[test]
fn unsigned_chunks_with_a_trailer_are_decoded_and_verified() {
    let s3 = Fixture::new();
    for checksum in Checksum::ALL {
        for len in LENGTHS {
            let data = payload::bytes(len as u64, len);
            let value = checksum.of(&data);
            let put = s3.wire.put(&s3.at("/k"));
            let put = put.unsigned_chunks(data.clone(), CHUNK_LEN, (checksum.header(), &value));
            let stored = put.send().status_is(200);
            assert_eq!(stored.header("etag"), Some(etag(&data).as_str()), "{len}");
            assert_eq!(stored.header(checksum.header()), Some(value.as_str()));
            s3.expect_body("k", &data);
        }
        let wrong = checksum.of(b"other");
        let put = s3.wire.put(&s3.at("/k"));
        let put = put.unsigned_chunks("data", CHUNK_LEN, (checksum.header(), &wrong));
        put.send().expect_error(400, "BadDigest");
        let last = LENGTHS[LENGTHS.len() - 1];
        s3.expect_body("k", payload::bytes(last as u64, last));
    }
}

#[test]
fn signed_chunks_are_decoded_and_verified() {
    let s3 = Fixture::new();
    for len in LENGTHS {
        let data = payload::bytes(len as u64, len);
        s3.wire.put(&s3.at("/k")).signed_chunks(data.clone(), CHUNK_LEN).send().expect_status(200);
        s3.expect_body("k", &data);
    }
    let put = s3.wire.put(&s3.at("/new")).signed_chunks(payload::bytes(1, 20_000), CHUNK_LEN);
    let changed = put.change_after_signing(|body| {
        let at = body.len() / 2;
        body[at] ^= 1;
    });
    changed.send().expect_error(403, "SignatureDoesNotMatch");
    s3.expect_absent("new");
}

#[test]
fn signed_chunks_with_a_signed_trailer_are_verified() {
    let s3 = Fixture::new();
    for len in LENGTHS {
        let data = payload::bytes(len as u64, len);
        let value = Checksum::Crc32c.of(&data);
        let trailer = (Checksum::Crc32c.header(), value.as_str());
        let put = s3.wire.put(&s3.at("/k"));
        let put = put.signed_chunks_and_trailer(data.clone(), CHUNK_LEN, trailer);
        put.send().expect_status(200);
        s3.expect_body("k", &data);
    }
    let wrong = Checksum::Crc32c.of(b"other");
    let trailer = (Checksum::Crc32c.header(), wrong.as_str());
    let put = s3.wire.put(&s3.at("/new")).signed_chunks_and_trailer("data", CHUNK_LEN, trailer);
    put.send().expect_error(400, "BadDigest");
    let right = Checksum::Crc32c.of(b"data");
    let trailer = (Checksum::Crc32c.header(), right.as_str());
    let put = s3.wire.put(&s3.at("/new")).signed_chunks_and_trailer("data", CHUNK_LEN, trailer);
    let forged = put.change_after_signing(|body| {
        // The trailer's signature is 64 digits before the two line ends.
        let at = body.len() - 5;
        body[at] = if body[at] == b'0' { b'1' } else { b'0' };
    });
    forged.send().expect_error(403, "SignatureDoesNotMatch");
    s3.expect_absent("new");
}

#[test]
fn chunked_bodies_that_end_early_are_refused() {
    let s3 = Fixture::new();
    let data = payload::bytes(2, 40_000);
    let put = || s3.wire.put(&s3.at("/k"));
    let cut: fn(&mut Vec<u8>) = |body| body.truncate(body.len() - 10_000);
    let value = Checksum::Crc32.of(&data);
    let trailer = (Checksum::Crc32.header(), value.as_str());
    for request in [
        put().signed_chunks(data.clone(), CHUNK_LEN),
        put().unsigned_chunks(data.clone(), CHUNK_LEN, trailer),
    ] {
        let answer = request.change_after_signing(cut).send();
        assert_eq!(answer.status, 400, "{answer:?}");
        s3.expect_absent("k");
    }
    // A chunk whose length line is no number.
    let request = put().unsigned_chunks(data.clone(), CHUNK_LEN, trailer);
    let answer = request.change_after_signing(|body| body[0] = b'z').send();
    assert_eq!(answer.status, 400, "{answer:?}");
    // A trailer that was announced and does not come.
    let request = put().unsigned_chunks(data, CHUNK_LEN, trailer);
    let answer = request.change_after_signing(|body| {
        let end = body.windows(5).rposition(|five| five == b"\r\n0\r\n").unwrap_or(0);
        body.truncate(end + 5);
        body.extend_from_slice(b"\r\n");
    });
    assert_eq!(answer.send().status, 400);
    s3.expect_absent("k");
}

#[test]
fn aws_chunked_is_not_stored_as_an_encoding() {
    let s3 = Fixture::new();
    s3.wire.put(&s3.at("/k")).signed_chunks("data", CHUNK_LEN).send().expect_status(200);
    let head = s3.wire.head(&s3.at("/k")).send().status_is(200);
    assert_eq!(head.header("content-encoding"), None);
    assert_eq!(head.header("content-length"), Some("4"));
    let crc = Checksum::Crc32.of(b"data");
    let put = s3.wire.put(&s3.at("/k")).header("content-encoding", "gzip");
    let put = put.unsigned_chunks("data", CHUNK_LEN, (Checksum::Crc32.header(), &crc));
    put.send().expect_status(200);
    let head = s3.wire.head(&s3.at("/k")).send().status_is(200);
    assert_eq!(head.header("content-encoding"), Some("gzip"));
}

#[test]
fn a_body_that_ends_early_stores_nothing() {
    let s3 = Fixture::new();
    s3.put("old", "old");
    let half = payload::bytes(3, 300_000);
    for key in ["old", "new"] {
        let put = s3.wire.put(&s3.at(&format!("/{key}"))).body(half.clone());
        let put = put.payload_hash("UNSIGNED-PAYLOAD");
        let answer = String::from_utf8_lossy(&put.send_cut_short(600_000)).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    s3.expect_body("old", "old");
    s3.expect_absent("new");
}

#[test]
fn a_body_over_five_gibibytes_is_refused_before_it_is_read() {
    let s3 = Fixture::new();
    let put = s3.wire.put(&s3.at("/k")).payload_hash("UNSIGNED-PAYLOAD");
    let answer =
        String::from_utf8_lossy(&put.send_cut_short(5 * 1024 * 1024 * 1024 + 1)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("<Code>EntityTooLarge</Code>"), "{answer}");
    s3.expect_absent("k");
}

#[test]
fn part_checksums_are_verified() {
    let s3 = Fixture::new();
    let begin = s3.wire.post(&s3.at("/k?uploads")).header("x-amz-checksum-algorithm", "CRC32C");
    let begun = begin.send().status_is(200);
    let id = begun.element("UploadId").expect("an upload has an id");
    let target = s3.at(&format!("/k?partNumber=1&uploadId={id}"));
    let part = |value: &str| {
        let part = s3.wire.put(&target).header(Checksum::Crc32c.header(), value);
        part.body("data").send()
    };
    part(&Checksum::Crc32c.of(b"other")).expect_error(400, "BadDigest");
    let value = Checksum::Crc32c.of(b"data");
    part(&value).expect_status(200);
    let other = s3.wire.put(&target).header(Checksum::Sha1.header(), &Checksum::Sha1.of(b"data"));
    other.body("data").send().expect_error(400, "InvalidRequest");
    let md5 = s3.wire.put(&target).header(Checksum::Crc32c.header(), &value);
    let md5 = md5.header("content-md5", &content_md5(b"other"));
    md5.body("data").send().expect_error(400, "BadDigest");
    let trailer = (Checksum::Crc32c.header(), value.as_str());
    let chunked = s3.wire.put(&target).unsigned_chunks("data", CHUNK_LEN, trailer);
    let stored = chunked.send().status_is(200);
    assert_eq!(stored.header("etag"), Some(etag(b"data").as_str()));
}
