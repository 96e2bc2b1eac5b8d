//! Writes answers.
//!
//! Invariants:
//! - text is always escaped; characters that XML 1.0 has no place for, and carriage returns, which
//!   parsers would turn into line feeds, are written as character references, as S3 does.

use std::fmt::Write as _;

/// The namespace of S3's documents.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// An XML document in the making.
#[derive(Debug)]
pub(crate) struct Writer {
    text: String,
}

impl Writer {
    /// An empty document.
    pub(crate) fn document() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() }
    }

    /// An empty document without a declaration, for what is no XML.
    pub(crate) fn undeclared() -> Self {
        Self { text: String::new() }
    }

    /// A document with an open root element in S3's namespace.
    pub(crate) fn rooted(root: &str) -> Self {
        let mut writer = Self::document();
        let _ = write!(writer.text, "<{root} xmlns=\"{NAMESPACE}\">");
        writer
    }

    /// Opens an element.
    pub(crate) fn open(&mut self, name: &str) {
        self.text.extend(["<", name, ">"]);
    }

    /// Opens an element with attributes, given as they are to be written.
    pub(crate) fn open_with(&mut self, name: &str, attributes: &str) {
        self.text.extend(["<", name, " ", attributes, ">"]);
    }

    /// Closes an element.
    pub(crate) fn close(&mut self, name: &str) {
        self.text.extend(["</", name, ">"]);
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.open(name);
        escape(value, &mut self.text);
        self.close(name);
    }

    /// Text within the open element.
    pub(crate) fn escaped(&mut self, value: &str) {
        escape(value, &mut self.text);
    }

    /// An element with text, where there is any.
    pub(crate) fn text_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element with a number or a truth value.
    pub(crate) fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.open(name);
        let _ = write!(self.text, "{value}");
        self.close(name);
    }

    /// The document.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// Whether XML 1.0 can carry `value`: parsers refuse a document with any other character, also
/// where it is written as a reference.
pub(crate) fn has_place_for(value: &str) -> bool {
    !value.chars().any(|character| match character {
        '\t' | '\n' | '\r' => false,
        other => matches!(other, '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}'),
    })
}

fn escape(value: &str, out: &mut String) {
    let mut rest = value;
    // Names and numbers need nothing, so runs are copied whole.
    while let Some(at) = rest.bytes().position(may_need_escape) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = tail.chars();
        match characters.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&quot;"),
            Some(character @ ('\0'..='\x1f' | '\x7f' | '\u{fffe}' | '\u{ffff}'))
                if !matches!(character, '\t' | '\n') =>
            {
                let _ = write!(out, "&#x{:x};", u32::from(character));
            }
            other => out.extend(other),
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
}

/// Whether a character that starts with `byte` may be written in another way. 0xef starts the
/// last characters of the basic plane, among them those that XML has no place for.
fn may_need_escape(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'"' | 0..=0x1f | 0x7f | 0xef)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_are_escaped() {
        let mut out = String::new();
        escape("a<b>&\"c\"\r\n\t\u{1}é\u{ffff}", &mut out);
        assert_eq!(out, "a&lt;b&gt;&amp;&quot;c&quot;&#xd;\n\t&#x1;é&#xffff;");
    }

    #[test]
    fn text_without_markup_is_copied() {
        for text in ["", "plain", "\u{f000}\u{fffd}ｆｕｌｌ\t\u{1f600}", "a/b//c é"] {
            let mut out = String::new();
            escape(text, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn rooted_document_carries_the_namespace() {
        let mut xml = Writer::rooted("R");
        xml.value("N", 7);
        xml.text_if("M", None);
        xml.close("R");
        assert_eq!(
            xml.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><N>7</N></R>"
        );
    }
}
