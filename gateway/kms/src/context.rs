//! What a version key is sealed for.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Names and values that must be given again to open a version key. No secret: services may log
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyContext {
    pairs: BTreeMap<String, String>,
}

/// Text is no encryption context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an encryption context is a JSON object of strings, in base64")]
pub struct MalformedContext;

impl KeyContext {
    /// Reads a context as S3 clients send it: a JSON object of strings, in base64.
    ///
    /// # Errors
    /// [`MalformedContext`].
    pub fn parse(text: &str) -> Result<Self, MalformedContext> {
        let json = STANDARD.decode(text).map_err(|_| MalformedContext)?;
        let pairs = serde_json::from_slice(&json).map_err(|_| MalformedContext)?;
        Ok(Self { pairs })
    }

    /// Adds a pair, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.pairs.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The pairs, by name.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.pairs
    }

    /// One sequence of bytes for every context and no two: the pairs by name, each text behind its
    /// length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let texts = self.pairs.iter().flat_map(|(name, value)| [name, value]);
        texts.fold(Vec::new(), |mut out, text| {
            out.extend((text.len() as u64).to_be_bytes());
            out.extend(text.as_bytes());
            out
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    #[test]
    fn contexts_are_read_as_clients_send_them() {
        let read = KeyContext::parse(&STANDARD.encode(br#"{"b": "2", "a": "1"}"#)).unwrap();
        assert_eq!(read, KeyContext::default().with("a", "1").with("b", "2"));
        assert_eq!(KeyContext::parse("e30="), Ok(KeyContext::default()));
    }

    #[test]
    fn other_text_is_none() {
        let json = |text: &str| STANDARD.encode(text);
        let deep = json(&"[".repeat(10_000));
        let texts = ["", "%", &json("[]"), &json(r#"{"a": 1}"#), &json("{"), &json("\u{1}"), &deep];
        for text in texts {
            assert_eq!(KeyContext::parse(text), Err(MalformedContext), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_two_contexts_share_their_bytes(
            a in btree_map("[ab]{0,3}", "[ab]{0,3}", 0..4),
            b in btree_map("[ab]{0,3}", "[ab]{0,3}", 0..4),
        ) {
            let (a, b) = (KeyContext { pairs: a }, KeyContext { pairs: b });
            prop_assert_eq!(a == b, a.encode() == b.encode());
        }
    }
}
