//! Bodies whose chunks are signed.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header, request::Parts};

use super::{
    gateway::{BUCKET, Gateway, ROOT, with_gateway},
    signer::Signer,
};

/// Longest chunk that is made.
const CHUNK_LEN_BYTES_MAX: usize = 300;

/// A body of a few signed chunks, with or without trailers, then changed: bytes turned around, put
/// in or left out, anywhere. The input chooses all of it, and where the body is cut into what the
/// network delivers.
///
/// What is stored is what was signed, or nothing is stored; a body that was not changed is stored.
pub fn signed_chunks(data: &[u8]) {
    // The input ended where a choice was due: there is no body to send.
    if let Ok(upload) = Upload::make(&mut Unstructured::new(data)) {
        with_gateway(|gateway| async move { upload.play(&gateway).await });
    }
}

struct Upload {
    parts: Parts,
    /// What was signed.
    content: Vec<u8>,
    /// What the network delivers.
    deliveries: Vec<Bytes>,
    changed: bool,
}

impl Upload {
    fn make(input: &mut Unstructured<'_>) -> Result<Self> {
        let with_trailers = input.arbitrary()?;
        let mut chunks = Vec::new();
        for _ in 0..input.int_in_range(0..=3u8)? {
            let len = input.int_in_range(1..=CHUNK_LEN_BYTES_MAX)?;
            chunks.push(vec![input.arbitrary::<u8>()?; len]);
        }
        let content = chunks.concat();
        let signer = Signer::new(ROOT.0, ROOT.1);
        let mut parts = head(with_trailers, content.len());
        let seed = signer.sign(&mut parts);
        chunks.push(Vec::new());
        let genuine = framed(&signer, seed, &chunks, with_trailers.then_some(&content));
        let mut body = genuine.clone();
        for _ in 0..input.int_in_range(0..=3u8)? {
            change(input, &mut body)?;
        }
        let changed = body != genuine;
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let deliveries = cut(input, body)?;
        Ok(Self { parts, content, deliveries, changed })
    }

    async fn play(self, gateway: &Gateway) {
        let put = gateway.send(Request::from_parts(self.parts, self.deliveries)).await;
        assert!(put.status == StatusCode::OK || self.changed, "{:?}", put.code());
        let mut parts = Request::new(()).into_parts().0;
        parts.uri = object();
        parts.headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9000"));
        Signer::new(ROOT.0, ROOT.1).sign(&mut parts);
        let got = gateway.send(Request::from_parts(parts, Vec::new())).await;
        if put.status == StatusCode::OK {
            assert_eq!(got.body, self.content, "other bytes than those signed");
        } else {
            assert_eq!(got.status, StatusCode::NOT_FOUND, "refused and yet stored");
        }
    }
}

fn object() -> Uri {
    Uri::try_from(format!("/{BUCKET}/key")).expect("the path is ASCII")
}

fn head(with_trailers: bool, len: usize) -> Parts {
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::PUT;
    parts.uri = object();
    let payload = match with_trailers {
        true => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        false => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    };
    parts.headers.insert("x-amz-content-sha256", HeaderValue::from_static(payload));
    parts.headers.insert("x-amz-decoded-content-length", HeaderValue::from(len));
    parts.headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9000"));
    let chunked = HeaderValue::from_static("aws-chunked");
    parts.headers.insert(header::CONTENT_ENCODING, chunked);
    if with_trailers {
        let name = HeaderValue::from_static("x-amz-checksum-crc32");
        parts.headers.insert("x-amz-trailer", name);
    }
    parts
}

/// The body on the wire. With trailers, they hold the checksum of `whole`.
fn framed(signer: &Signer, seed: String, chunks: &[Vec<u8>], whole: Option<&Vec<u8>>) -> Vec<u8> {
    let mut previous = seed;
    let mut body = Vec::new();
    for chunk in chunks {
        previous = signer.sign_chunk(&previous, chunk);
        let line = format!("{:x};chunk-signature={previous}\r\n", chunk.len());
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(chunk);
        // The trailers follow the last head at once.
        if !chunk.is_empty() || whole.is_none() {
            body.extend_from_slice(b"\r\n");
        }
    }
    if let Some(whole) = whole {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, whole);
        let value = STANDARD.encode(&crc.to_be_bytes()[4..]);
        let signature = signer.sign_trailers(&previous, &format!("x-amz-checksum-crc32:{value}\n"));
        let trailers =
            format!("x-amz-checksum-crc32:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n");
        body.extend_from_slice(trailers.as_bytes());
    }
    body
}

fn change(input: &mut Unstructured<'_>, body: &mut Vec<u8>) -> Result<()> {
    let at = input.choose_index(body.len().max(1))?.min(body.len());
    match input.int_in_range(0..=4u8)? {
        0 => {
            let bits = input.arbitrary::<u8>()?;
            body.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
        }
        1 => body.truncate(at),
        2 => {
            let len = input.int_in_range(0..=8usize)?.min(input.len());
            body.splice(at..at, input.bytes(len)?.iter().copied());
        }
        3 => {
            let end = (at + input.int_in_range(0..=100usize)?).min(body.len());
            body.drain(at..end);
        }
        // The same again: a chunk that is sent twice.
        _ => {
            let end = (at + input.int_in_range(0..=400usize)?).min(body.len());
            let again = body[at..end].to_vec();
            body.splice(at..at, again);
        }
    }
    Ok(())
}

fn cut(input: &mut Unstructured<'_>, body: Vec<u8>) -> Result<Vec<Bytes>> {
    let mut rest = Bytes::from(body);
    let mut deliveries = Vec::new();
    for _ in 0..input.int_in_range(0..=6u8)? {
        let len = input.int_in_range(0..=120usize)?;
        deliveries.push(rest.split_to(len.min(rest.len())));
    }
    deliveries.push(rest);
    Ok(deliveries)
}
