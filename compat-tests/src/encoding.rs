//! Checksums as S3 headers carry them, and the `aws-chunked` body encodings.
//!
//! - The encodings produce what AWS documents under "Signature calculations for the Authorization
//!   header: transferring payload in multiple chunks" and "… including trailing headers".
//! - Nothing is validated: a test that needs a wrong checksum or signature passes one.

use aws_lc_rs::digest;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use crate::clients::REGION;

/// A checksum algorithm of the S3 API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// CRC-32 as in zlib.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Checksum {
    /// Every algorithm.
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The header and trailer name.
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The checksum of `data` in base64, as the header carries it.
    #[must_use]
    pub fn of(self, data: &[u8]) -> String {
        let crc32 = |algorithm| {
            let value = u32::try_from(crc_fast::checksum(algorithm, data));
            STANDARD.encode(value.expect("a CRC-32 has 32 bits").to_be_bytes())
        };
        match self {
            Self::Crc32 => crc32(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => crc32(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => {
                STANDARD.encode(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, data).to_be_bytes())
            }
            Self::Sha1 => STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data)),
            Self::Sha256 => STANDARD.encode(digest::digest(&digest::SHA256, data)),
        }
    }
}

/// The value of a `Content-MD5` header for `data`.
#[must_use]
pub fn content_md5(data: &[u8]) -> String {
    STANDARD.encode(Md5::digest(data))
}

/// The ETag S3 gives an object of `data` uploaded with one PUT, with its quotes.
#[must_use]
pub fn etag(data: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(data)))
}

/// The SHA-256 of `data` in hexadecimal, as `x-amz-content-sha256` carries it.
#[must_use]
pub fn sha256_hex(data: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, data))
}

/// `data` as `STREAMING-UNSIGNED-PAYLOAD-TRAILER` sends it, in chunks of `chunk_len` bytes.
#[must_use]
pub fn unsigned_chunks(data: &[u8], chunk_len: usize, trailer: (&str, &str)) -> Vec<u8> {
    let mut body = Vec::with_capacity(data.len() + 1024);
    for chunk in data.chunks(chunk_len) {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("0\r\n{}:{}\r\n\r\n", trailer.0, trailer.1).as_bytes());
    body
}

/// Signs the chunks of one streamed body: each signature covers the one before it.
#[derive(Debug)]
pub struct ChunkSigner {
    key: Vec<u8>,
    amz_date: String,
    previous: String,
}

impl ChunkSigner {
    /// A signer that continues from the signature of the request's headers. `amz_date` is the
    /// value of that request's `x-amz-date`, and `time` the same instant.
    #[must_use]
    pub fn new(
        secret_key: &str,
        time: std::time::SystemTime,
        amz_date: &str,
        seed_signature: &str,
    ) -> Self {
        let key = generate_signing_key(secret_key, time, REGION, "s3").as_ref().to_vec();
        Self { key, amz_date: amz_date.to_owned(), previous: seed_signature.to_owned() }
    }

    /// `data` in chunks of `chunk_len` bytes, each signed, and the signed `trailer` if there is one.
    #[must_use]
    pub fn encode(
        mut self,
        data: &[u8],
        chunk_len: usize,
        trailer: Option<(&str, &str)>,
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(data.len() + data.len() / chunk_len * 100 + 1024);
        for chunk in data.chunks(chunk_len) {
            self.append_chunk(&mut body, chunk);
            body.extend_from_slice(b"\r\n");
        }
        self.append_chunk(&mut body, &[]);
        if let Some((name, value)) = trailer {
            let hash = sha256_hex(format!("{name}:{value}\n").as_bytes());
            let signature = self.sign("AWS4-HMAC-SHA256-TRAILER", &hash);
            let lines = format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n");
            body.extend_from_slice(lines.as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        body
    }

    fn append_chunk(&mut self, body: &mut Vec<u8>, chunk: &[u8]) {
        let hashes = format!("{}\n{}", sha256_hex(&[]), sha256_hex(chunk));
        let signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", &hashes);
        let head = format!("{:x};chunk-signature={signature}\r\n", chunk.len());
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(chunk);
    }

    fn sign(&mut self, algorithm: &str, hashes: &str) -> String {
        let day = self.amz_date.split('T').next().unwrap_or_default();
        let text = format!(
            "{algorithm}\n{}\n{day}/{REGION}/s3/aws4_request\n{}\n{hashes}",
            self.amz_date, self.previous
        );
        self.previous = calculate_signature(&self.key, text.as_bytes());
        self.previous.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of CRC algorithms, and the digests of FIPS 180.
    #[test]
    fn checksums_match_published_check_values() {
        let data = b"123456789";
        let hex_of = |checksum: Checksum| {
            hex::encode(STANDARD.decode(checksum.of(data)).expect("valid base64"))
        };
        assert_eq!(hex_of(Checksum::Crc32), "cbf43926");
        assert_eq!(hex_of(Checksum::Crc32c), "e3069283");
        assert_eq!(hex_of(Checksum::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(hex_of(Checksum::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            hex_of(Checksum::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(etag(b""), "\"d41d8cd98f00b204e9800998ecf8427e\"");
    }

    /// The example of AWS's documentation of signed chunks: 66,560 bytes of 'a' in 64 KiB chunks.
    #[test]
    fn chunk_signatures_match_the_documented_example() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_369_353_600);
        let signer = ChunkSigner::new(
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            time,
            "20130524T000000Z",
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        );
        let body = signer.encode(&vec![b'a'; 66_560], 65_536, None);
        let text = String::from_utf8(body).expect("the example is ASCII");
        let signatures: Vec<&str> = text
            .split("chunk-signature=")
            .skip(1)
            .map(|rest| rest.split("\r\n").next().unwrap_or_default())
            .collect();
        assert_eq!(
            signatures,
            [
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            ]
        );
    }
}
