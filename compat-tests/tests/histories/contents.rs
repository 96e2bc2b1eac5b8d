//! Contents with numbers: no two writes store the same bytes, so an ETag names the write.

use std::collections::HashMap;

use bytes::Bytes;
use compat_tests::encoding;
use compat_tests::payload;
use md5::{Digest as _, Md5};
use parking_lot::Mutex;

/// Lengths that end inline, as copies, and as one short stripe.
const LENS: [usize; 3] = [100, 20_000, 200_000];

/// All contents of a run and the ETags they are known by.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    by_etag: Mutex<HashMap<String, u32>>,
}

/// A content that is about to be written.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) number: u32,
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
}

impl Contents {
    /// New bytes that are written in one request.
    pub(crate) fn in_one(&self) -> Content {
        self.add(encoding::etag)
    }

    /// New bytes that are written as an upload of one part.
    pub(crate) fn in_parts(&self) -> Content {
        // Known under the ETag of its bytes as well, as an object of its own: that is what a copy
        // of it is.
        let content = self.add(|bytes| {
            let part = Md5::digest(bytes);
            format!("\"{}-1\"", hex::encode(Md5::digest(part)))
        });
        self.by_etag.lock().insert(encoding::etag(&content.bytes), content.number + 1);
        content
    }

    fn add(&self, etag: impl Fn(&[u8]) -> String) -> Content {
        let mut by_etag = self.by_etag.lock();
        // Even numbers; the odd ones are copies of uploads.
        let number = 2 * u32::try_from(by_etag.len()).expect("a run has few contents");
        let bytes = bytes_of(number);
        let etag = etag(&bytes);
        by_etag.insert(etag.clone(), number);
        Content { number, bytes, etag }
    }

    /// The ETag of content `number`.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn etag(&self, number: u32) -> String {
        let by_etag = self.by_etag.lock();
        let found = by_etag.iter().find(|(_, known)| **known == number);
        found.map(|(etag, _)| etag.clone()).expect("every content has an ETag")
    }

    /// The number of the content that has `etag`.
    ///
    /// # Panics
    /// When nobody wrote it.
    pub(crate) fn number(&self, etag: &str) -> u32 {
        let number = self.by_etag.lock().get(etag).copied();
        number.unwrap_or_else(|| panic!("nobody wrote an object with the ETag {etag}"))
    }
}

/// The bytes of a content, and of a copy of it.
pub(crate) fn bytes_of(number: u32) -> Bytes {
    let number = number - number % 2;
    let len = LENS[number as usize / 2 % LENS.len()];
    payload::bytes(u64::from(number), len + number as usize % 64)
}
