//! Looks for secrets where none may be: in files and in captured bytes.
//!
//! - A secret is looked for as it is, in hexadecimal (both cases) and in base64 (both alphabets, at
//!   each of the three offsets at which it can begin).
//! - Files are read in windows that overlap, so that no border hides a match.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// Bytes of a file looked at once. Chosen.
const WINDOW_LEN: usize = 1 << 20;

/// Shortest secret that is looked for: a shorter one occurs by chance.
const SECRET_LEN_MIN: usize = 8;

/// Something that must not be found, with all its forms.
#[derive(Debug, Clone)]
pub struct Secret {
    /// What it is, for people.
    pub name: String,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    /// A secret to look for.
    ///
    /// # Panics
    /// When it is too short to be told from chance.
    #[must_use]
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        assert!(bytes.len() >= SECRET_LEN_MIN, "{name} is too short to look for");
        let mut forms = vec![bytes.to_vec()];
        forms.push(hex::encode(bytes).into_bytes());
        forms.push(hex::encode_upper(bytes).into_bytes());
        for engine in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
            forms.extend((0..3).map(|offset| inner_base64(engine, bytes, offset)));
        }
        forms.sort();
        forms.dedup();
        Self { name: name.to_owned(), forms }
    }

    /// Whether `bytes` hold it in any form.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(bytes, form))
    }

    fn longest(&self) -> usize {
        self.forms.iter().map(Vec::len).max().unwrap_or_default()
    }
}

/// The characters of the base64 of any text that holds `bytes` at `offset` modulo three, which do
/// not depend on what is around them.
fn inner_base64(engine: &base64::engine::GeneralPurpose, bytes: &[u8], offset: usize) -> Vec<u8> {
    let padded = [&vec![0; offset][..], bytes].concat();
    let encoded = engine.encode(&padded).into_bytes();
    let whole = padded.len() / 3 * 4;
    let begin = if offset == 0 { 0 } else { 4 };
    encoded[begin..whole].to_vec()
}

fn contains(bytes: &[u8], form: &[u8]) -> bool {
    let Some((&first, _)) = form.split_first() else {
        return false;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == first) {
        if rest[at..].starts_with(form) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The files below `dir` that hold `secret` in any form.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn files_with(secret: &Secret, dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(current) = pending.pop() {
        for entry in std::fs::read_dir(&current).expect("the directory is readable").flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("an entry has a type");
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() && is_in_file(secret, &path) {
                found.push(path);
            }
        }
    }
    found
}

fn is_in_file(secret: &Secret, path: &Path) -> bool {
    // A file may go while the process that owns it runs; then it holds nothing.
    let Ok(mut file) = File::open(path) else {
        return false;
    };
    let mut window = Vec::new();
    loop {
        let keep_from = window.len().saturating_sub(secret.longest());
        window.drain(..keep_from);
        let read = file.by_ref().take(WINDOW_LEN as u64).read_to_end(&mut window);
        if secret.is_in(&window) {
            return true;
        }
        if !matches!(read, Ok(1..)) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_wherever_it_begins() {
        let secret = Secret::new("test", b"plain secret text");
        for before in 0..5 {
            let text = [&b"xxxxx"[..before], b"plain secret text", b"yy"].concat();
            assert!(secret.is_in(&text));
            assert!(secret.is_in(hex::encode(&text).as_bytes()));
            assert!(secret.is_in(hex::encode_upper(&text).as_bytes()));
            assert!(secret.is_in(BASE64_STANDARD_NO_PAD.encode(&text).as_bytes()));
            assert!(secret.is_in(BASE64_URL_SAFE_NO_PAD.encode(&text).as_bytes()));
        }
        assert!(!secret.is_in(b"plain secret tex, plain secret"));
    }

    #[test]
    fn a_border_of_windows_hides_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let secret = Secret::new("test", b"plain secret text");
        for from in [0, WINDOW_LEN - 9, WINDOW_LEN * 2 - 1, WINDOW_LEN * 2 + 7] {
            let mut content = vec![b'p'; WINDOW_LEN * 2 + 100];
            content[from..from + 17].copy_from_slice(b"plain secret text");
            std::fs::write(dir.path().join("file"), content).expect("writes");
            assert_eq!(files_with(&secret, dir.path()).len(), 1, "{from}");
        }
        std::fs::write(dir.path().join("file"), [b'p'; 3000]).expect("writes");
        assert!(files_with(&secret, dir.path()).is_empty());
    }
}
