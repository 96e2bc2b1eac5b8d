//! Looks for secrets where none may be: in files and in captured bytes.
//!
//! - A secret is looked for as it is, in hexadecimal (both cases) and in base64 (both alphabets, at
//!   each of the three offsets at which it can begin).
//! - Files are read in windows that overlap, so that no border hides a match.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// Bytes of a file looked at once. Chosen.
const WINDOW_LEN: usize = 1 << 20;

/// Shortest secret that is looked for: a shorter one occurs by chance.
const SECRET_LEN_MIN: usize = 8;

/// Things that must not be found, each with all its forms.
#[derive(Debug, Clone)]
pub struct Secrets {
    names: Vec<String>,
    /// The number of a secret and one of its forms.
    forms: Vec<(usize, Vec<u8>)>,
    /// Whether a form begins with these two bytes: one pass finds all secrets.
    beginnings: Vec<bool>,
    longest: usize,
}

impl Secrets {
    /// Secrets to look for, by what they are called.
    ///
    /// # Panics
    /// When one is too short to be told from chance.
    #[must_use]
    pub fn new(secrets: &[(&str, &[u8])]) -> Self {
        let mut forms = Vec::new();
        for (number, (name, bytes)) in secrets.iter().enumerate() {
            assert!(bytes.len() >= SECRET_LEN_MIN, "{name} is too short to look for");
            forms.extend(forms_of(bytes).into_iter().map(|form| (number, form)));
        }
        let mut beginnings = vec![false; 1 << 16];
        for (_, form) in &forms {
            beginnings[beginning(form)] = true;
        }
        let longest = forms.iter().map(|(_, form)| form.len()).max().unwrap_or_default();
        let names = secrets.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self { names, forms, beginnings, longest }
    }

    /// The names of those that `bytes` hold in any form.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            if self.beginnings[beginning(pair)] {
                let here = self.forms.iter().filter(|(_, form)| bytes[at..].starts_with(form));
                found.extend(here.map(|(number, _)| self.names[*number].as_str()));
            }
        }
        found
    }

    /// The files below `dir` that hold any of them, with its name.
    ///
    /// # Panics
    /// When a directory cannot be read.
    #[must_use]
    pub fn files_below(&self, dir: &Path) -> BTreeSet<(String, PathBuf)> {
        let mut found = BTreeSet::new();
        let mut pending = vec![dir.to_owned()];
        while let Some(current) = pending.pop() {
            for entry in std::fs::read_dir(&current).expect("the directory is readable").flatten() {
                let path = entry.path();
                let kind = entry.file_type().expect("an entry has a type");
                if kind.is_dir() {
                    pending.push(path);
                } else if kind.is_file() {
                    let names = self.found_in_file(&path);
                    found.extend(names.into_iter().map(|name| (name.to_owned(), path.clone())));
                }
            }
        }
        found
    }

    fn found_in_file(&self, path: &Path) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        // A file may go while the process that owns it runs; then it holds nothing.
        let Ok(mut file) = File::open(path) else {
            return found;
        };
        let mut window = Vec::new();
        loop {
            let keep_from = window.len().saturating_sub(self.longest);
            window.drain(..keep_from);
            let read = file.by_ref().take(WINDOW_LEN as u64).read_to_end(&mut window);
            found.extend(self.found_in(&window));
            if !matches!(read, Ok(1..)) {
                return found;
            }
        }
    }
}

fn beginning(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn forms_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![bytes.to_vec()];
    forms.push(hex::encode(bytes).into_bytes());
    forms.push(hex::encode_upper(bytes).into_bytes());
    for engine in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
        forms.extend((0..3).map(|offset| inner_base64(engine, bytes, offset)));
    }
    forms.sort();
    forms.dedup();
    forms
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

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::new(&[("first", b"plain secret text"), ("second", b"another one")])
    }

    #[test]
    fn every_form_is_found_wherever_it_begins() {
        let secrets = secrets();
        let is_found = |bytes: &[u8]| secrets.found_in(bytes) == BTreeSet::from(["first"]);
        for before in 0..5 {
            let text = [&b"xxxxx"[..before], b"plain secret text", b"yy"].concat();
            assert!(is_found(&text));
            assert!(is_found(hex::encode(&text).as_bytes()));
            assert!(is_found(hex::encode_upper(&text).as_bytes()));
            assert!(is_found(BASE64_STANDARD_NO_PAD.encode(&text).as_bytes()));
            assert!(is_found(BASE64_URL_SAFE_NO_PAD.encode(&text).as_bytes()));
        }
        assert!(secrets.found_in(b"plain secret tex, plain secret").is_empty());
    }

    #[test]
    fn a_border_of_windows_hides_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let secrets = secrets();
        for from in [0, WINDOW_LEN - 9, WINDOW_LEN * 2 - 1, WINDOW_LEN * 2 + 7] {
            let mut content = vec![b'p'; WINDOW_LEN * 2 + 100];
            content[from..from + 17].copy_from_slice(b"plain secret text");
            std::fs::write(dir.path().join("file"), content).expect("writes");
            let found = secrets.files_below(dir.path());
            assert_eq!(found, BTreeSet::from([("first".to_owned(), dir.path().join("file"))]));
        }
        std::fs::write(dir.path().join("file"), [b'p'; 3000]).expect("writes");
        assert!(secrets.files_below(dir.path()).is_empty());
    }
}
