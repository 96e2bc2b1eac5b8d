//! Digests and checksums, in headers and in trailers.
//!
//! `BadDigest`, `InvalidDigest`, `XAmzContentSHA256Mismatch` and `MalformedTrailerError` are in
//! S3's list of error codes; `InvalidRequest` for checksum headers that cannot be read is in
//! "Checking object integrity".

use compat_tests::encoding::{Checksum, content_md5, sha256_hex, unsigned_chunks};

use crate::row::{Row, Stage, row};

const CHUNK_LEN: usize = 8192;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = digests();
    for checksum in Checksum::ALL {
        rows.extend(of_each(checksum));
    }
    rows.extend(declarations());
    rows.extend(chunks());
    rows.extend(signed_chunks());
    rows.extend(uploads());
    rows
}

fn digests() -> Vec<Row> {
    let mut rows = vec![
        row("wrong MD5", 400, "BadDigest", |s| {
            s.put("/new").header("content-md5", &content_md5(b"other")).body("data")
        }),
        row("wrong MD5 of a large body", 400, "BadDigest", |s| {
            s.put("/new").header("content-md5", &content_md5(b"other")).body(vec![1; 200_000])
        }),
        row("wrong MD5 of a part", 400, "BadDigest", |s| {
            part(s).header("content-md5", &content_md5(b"other")).body("data")
        }),
        row("wrong MD5 of a document", 400, "BadDigest", |s| {
            let put = s.put("/old?tagging").header("content-md5", &content_md5(b"other"));
            put.body("<Tagging><TagSet/></Tagging>")
        }),
        row("wrong payload hash", 400, "XAmzContentSHA256Mismatch", |s| {
            s.put("/new").payload_hash(&sha256_hex(b"other")).body("data")
        }),
        row("wrong payload hash of a part", 400, "XAmzContentSHA256Mismatch", |s| {
            part(s).payload_hash(&sha256_hex(b"other")).body("data")
        }),
        row("wrong payload hash of a document", 400, "XAmzContentSHA256Mismatch", |s| {
            let put = s.put("/old?tagging").payload_hash(&sha256_hex(b"other"));
            put.body("<Tagging><TagSet/></Tagging>")
        }),
        row("body changed on its way", 400, "XAmzContentSHA256Mismatch", |s| {
            s.put("/new").body("data").change_after_signing(|body| body[0] ^= 1)
        }),
        row("payload hash is no hash", 400, "InvalidArgument", |s| {
            s.put("/new").payload_hash("SIGNED-PAYLOAD").body("data")
        })
        .says("ArgumentName", "x-amz-content-sha256"),
        row("payload hash is cut", 400, "InvalidArgument", |s| {
            s.put("/new").payload_hash(&sha256_hex(b"data")[..63]).body("data")
        }),
    ];
    for (what, text) in [
        ("short", "AAAA"),
        ("empty", ""),
        ("no base64", "!!!"),
        ("hex", "8d777f385d3dfec8815d20f7496026dc"),
    ] {
        rows.push(
            row(&format!("MD5 is {what}"), 400, "InvalidDigest", move |s| {
                s.put("/new").header("content-md5", text).body("data")
            })
            .says("Content-MD5", text),
        );
    }
    rows
}

fn of_each(checksum: Checksum) -> Vec<Row> {
    let name = checksum.header();
    vec![
        row(&format!("wrong {name}"), 400, "BadDigest", move |s| {
            s.put("/new").header(name, &checksum.of(b"other")).body("data")
        }),
        row(&format!("unreadable {name}"), 400, "InvalidRequest", move |s| {
            s.put("/new").header(name, "AAAA").body("data")
        }),
        row(&format!("wrong {name} in the trailer"), 400, "BadDigest", move |s| {
            let trailer = checksum.of(b"other");
            s.put("/new").unsigned_chunks(vec![1; 20_000], CHUNK_LEN, (name, &trailer))
        }),
        row(&format!("wrong {name} in the signed trailer"), 400, "BadDigest", move |s| {
            let trailer = checksum.of(b"other");
            s.put("/new").signed_chunks_and_trailer("data", CHUNK_LEN, (name, &trailer))
        }),
        row(&format!("unreadable {name} in the trailer"), 400, "MalformedTrailerError", move |s| {
            s.put("/new").unsigned_chunks("data", CHUNK_LEN, (name, "AAAA"))
        }),
    ]
}

fn declarations() -> Vec<Row> {
    let mut rows = vec![
        row("two checksums", 400, "InvalidRequest", |s| {
            let put = s.put("/new").header("x-amz-checksum-crc32", &Checksum::Crc32.of(b"data"));
            put.header("x-amz-checksum-sha1", &Checksum::Sha1.of(b"data")).body("data")
        }),
        row("checksum and trailer", 400, "InvalidRequest", |s| {
            let crc = Checksum::Crc32.of(b"data");
            let put = s.put("/new").header("x-amz-checksum-sha1", &Checksum::Sha1.of(b"data"));
            put.unsigned_chunks("data", CHUNK_LEN, ("x-amz-checksum-crc32", &crc))
        }),
        row("algorithm and another checksum", 400, "InvalidRequest", |s| {
            let put = s.put("/new").header("x-amz-sdk-checksum-algorithm", "SHA256");
            put.header("x-amz-checksum-crc32", &Checksum::Crc32.of(b"data")).body("data")
        }),
        row("algorithm without a checksum", 400, "InvalidRequest", |s| {
            s.put("/new").header("x-amz-sdk-checksum-algorithm", "CRC32").body("data")
        }),
        row("unknown algorithm", 400, "InvalidRequest", |s| {
            s.put("/new").header("x-amz-sdk-checksum-algorithm", "CRC99").body("data")
        }),
        row("checksum with a count of parts", 400, "InvalidRequest", |s| {
            let value = format!("{}-2", Checksum::Crc32.of(b"data"));
            s.put("/new").header("x-amz-checksum-crc32", &value).body("data")
        }),
        row("trailer that is no checksum", 400, "InvalidRequest", |s| {
            s.put("/new").unsigned_chunks("data", CHUNK_LEN, ("x-amz-meta-a", "b"))
        }),
    ];
    for name in ["sha512", "md5", "xxhash64"] {
        rows.push(row(&format!("x-amz-checksum-{name}"), 501, "NotImplemented", move |s| {
            s.put("/new").header(&format!("x-amz-checksum-{name}"), "AAAAAAAAAAA=").body("data")
        }));
    }
    rows
}

fn chunks() -> Vec<Row> {
    let cut: fn(&mut Vec<u8>) = |body| body.truncate(body.len() - 10_000);
    vec![
        row("chunks end early", 400, "IncompleteBody", move |s| {
            trailed(s).change_after_signing(cut)
        }),
        row("signed chunks end early", 400, "IncompleteBody", move |s| {
            s.put("/new").signed_chunks(vec![1; 20_000], CHUNK_LEN).change_after_signing(cut)
        }),
        row("no last chunk", 400, "IncompleteBody", |s| {
            trailed(s).change_after_signing(|body| {
                let at = body.windows(5).rposition(|five| five == b"\r\n0\r\n");
                body.truncate(at.expect("there is a last chunk") + 2);
            })
        }),
        row("chunk length is no number", 400, "InvalidRequest", |s| {
            trailed(s).change_after_signing(|body| body[0] = b'z')
        }),
        row("chunk longer than said", 400, "InvalidRequest", |s| {
            trailed(s).change_after_signing(|body| body.insert(10, b'x'))
        }),
        row("chunk length of 17 digits", 400, "InvalidRequest", |s| {
            trailed(s).change_after_signing(|body| {
                drop(body.splice(0..4, b"11111111111111111".iter().copied()))
            })
        }),
        row("chunk extension of 64 KiB", 400, "InvalidRequest", |s| {
            trailed(s).change_after_signing(|body| {
                drop(body.splice(4..4, std::iter::once(b';').chain([b'x'; 65_536])))
            })
        }),
        row("trailer missing", 400, "MalformedTrailerError", |s| {
            trailed(s).change_after_signing(|body| {
                let at = body.windows(5).rposition(|five| five == b"\r\n0\r\n");
                body.truncate(at.expect("there is a last chunk") + 5);
                body.extend_from_slice(b"\r\n");
            })
        }),
        row("trailer without a colon", 400, "MalformedTrailerError", |s| {
            trailed(s).change_after_signing(|body| {
                let at = body.iter().rposition(|byte| *byte == b':');
                body[at.expect("the trailer has a colon")] = b'_';
            })
        }),
        row("trailer twice", 400, "MalformedTrailerError", |s| {
            trailed(s).change_after_signing(|body| {
                let crc = Checksum::Crc32.of(&[1; 20_000]);
                body.truncate(body.len() - 2);
                body.extend_from_slice(format!("x-amz-checksum-crc32:{crc}\r\n\r\n").as_bytes());
            })
        }),
        row("trailers of 64 KiB", 400, "InvalidRequest", |s| {
            trailed(s).change_after_signing(|body| {
                body.truncate(body.len() - 2);
                body.extend_from_slice(&b"x-amz-meta-a:bbbbbbbbbbbbbbbbbb\r\n".repeat(2000));
                body.extend_from_slice(b"\r\n");
            })
        }),
        row("more behind the trailers", 400, "InvalidRequest", |s| {
            trailed(s).change_after_signing(|body| body.extend_from_slice(b"5\r\nhello\r\n"))
        }),
        row("less data than decoded length", 400, "IncompleteBody", |s| decoded(s, "20001")),
        row("more data than decoded length", 400, "IncompleteBody", |s| decoded(s, "19999")),
    ]
}

fn signed_chunks() -> Vec<Row> {
    vec![
        row("no decoded length", 411, "MissingContentLength", |s| {
            let crc = Checksum::Crc32.of(b"data");
            let body = unsigned_chunks(b"data", CHUNK_LEN, ("x-amz-checksum-crc32", &crc));
            let put = s.put("/new").payload_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
            put.header("x-amz-trailer", "x-amz-checksum-crc32").body(body)
        }),
        row("chunk signature forged", 403, "SignatureDoesNotMatch", |s| {
            s.put("/new").signed_chunks("data", CHUNK_LEN).change_after_signing(|body| {
                body[20] = if body[20] == b'0' { b'1' } else { b'0' };
            })
        }),
        row("chunk data forged", 403, "SignatureDoesNotMatch", |s| {
            s.put("/new").signed_chunks(vec![1; 20_000], CHUNK_LEN).change_after_signing(|body| {
                let at = body.len() / 2;
                body[at] ^= 1;
            })
        }),
        row("chunk signature missing", 400, "InvalidRequest", |s| {
            s.put("/new")
                .signed_chunks("data", CHUNK_LEN)
                .change_after_signing(|body| drop(body.drain(1..86)))
        }),
        row("signed trailer forged", 403, "SignatureDoesNotMatch", |s| {
            let crc = Checksum::Crc32.of(b"data");
            let trailer = ("x-amz-checksum-crc32", crc.as_str());
            let put = s.put("/new").signed_chunks_and_trailer("data", CHUNK_LEN, trailer);
            put.change_after_signing(|body| {
                let at = body.len() - 5;
                body[at] = if body[at] == b'0' { b'1' } else { b'0' };
            })
        }),
        row("signed chunk of 3 MiB", 400, "InvalidRequest", |s| {
            s.put("/new").signed_chunks(vec![1; 3 << 20], 3 << 20)
        }),
        row("payload signed with ECDSA", 501, "NotImplemented", |s| {
            let put = s.put("/new").payload_hash("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD");
            put.header("x-amz-decoded-content-length", "4").body("data")
        }),
    ]
}

fn uploads() -> Vec<Row> {
    vec![
        row("part with a checksum of another kind", 400, "InvalidRequest", |s| {
            let part = s.put(&format!("/crc?partNumber=2&uploadId={}", s.crc_upload));
            part.header("x-amz-checksum-sha1", &Checksum::Sha1.of(b"data")).body("data")
        }),
        row("wrong checksum of a part", 400, "BadDigest", |s| {
            let part = s.put(&format!("/crc?partNumber=2&uploadId={}", s.crc_upload));
            part.header("x-amz-checksum-crc32c", &Checksum::Crc32c.of(b"other")).body("data")
        }),
        row("upload with an unknown algorithm", 400, "InvalidRequest", |s| {
            s.post("/new?uploads").header("x-amz-checksum-algorithm", "CRC99")
        }),
        row("upload with a type but no algorithm", 400, "InvalidRequest", |s| {
            s.post("/new?uploads").header("x-amz-checksum-type", "COMPOSITE")
        }),
        row("upload with an unknown type", 400, "InvalidRequest", |s| {
            let ask = s.post("/new?uploads").header("x-amz-checksum-algorithm", "CRC32");
            ask.header("x-amz-checksum-type", "PARTIAL")
        }),
        row("upload with a type its algorithm does not have", 400, "InvalidRequest", |s| {
            let ask = s.post("/new?uploads").header("x-amz-checksum-algorithm", "CRC64NVME");
            ask.header("x-amz-checksum-type", "COMPOSITE")
        }),
    ]
}

fn part(s: &Stage) -> compat_tests::wire::Request {
    s.put(&format!("/upload?partNumber=4&uploadId={}", s.upload))
}

fn trailed(s: &Stage) -> compat_tests::wire::Request {
    let crc = Checksum::Crc32.of(&[1; 20_000]);
    s.put("/new").unsigned_chunks(vec![1; 20_000], CHUNK_LEN, ("x-amz-checksum-crc32", &crc))
}

/// A chunked body of 20,000 bytes that is said to have `len`.
fn decoded(s: &Stage, len: &str) -> compat_tests::wire::Request {
    let crc = Checksum::Crc32.of(&[1; 20_000]);
    let body = unsigned_chunks(&[1; 20_000], CHUNK_LEN, ("x-amz-checksum-crc32", &crc));
    s.put("/new")
        .payload_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .header("x-amz-decoded-content-length", len)
        .body(body)
}
