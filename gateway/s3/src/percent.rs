//! Percent-encoding of URIs, queries and listings.

use std::fmt::Write as _;

/// Decodes a path or header. `None` when the escapes are incomplete or the bytes are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    decode_bytes(text, false)
}

/// Decodes a query name or value, where `+` stands for a space.
pub(crate) fn decode_query(text: &str) -> Option<String> {
    decode_bytes(text, true)
}

fn decode_bytes(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' if plus_is_space => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// Encodes everything but unreserved characters and `/`, as listings do with `encoding-type=url`.
/// A space becomes `%20`, which clients that read `+` as a space decode as well.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_decoded_and_bad_ones_refused() {
        assert_eq!(decode("a%20b%2Fc+d%C3%A9").as_deref(), Some("a b/c+dé"));
        assert_eq!(decode_query("a+b%2B").as_deref(), Some("a b+"));
        for bad in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn listings_keep_slashes_and_escape_spaces() {
        assert_eq!(encode("a b/c+é\u{1}%"), "a%20b/c%2B%C3%A9%01%25");
    }

    proptest! {
        #[test]
        fn encoded_text_decodes_to_itself(text in "\\PC{0,20}|.{0,20}") {
            prop_assert_eq!(decode(&encode(&text)), Some(text.clone()));
            prop_assert_eq!(decode_query(&encode(&text)), Some(text));
        }
    }
}
