//! Reads request documents into a tree.
//!
//! Invariants:
//! - depth and number of elements are bounded, and no entity but the predefined ones is known, so
//!   a document costs time and memory in proportion to its length;
//! - namespaces are ignored and unknown elements are the caller's to ignore, as S3 does.

use quick_xml::{
    Reader,
    escape::resolve_xml_entity,
    events::{BytesRef, Event},
};

/// Deepest nesting accepted. S3's request documents need four levels; chosen, revisit when a
/// document needs more.
const DEPTH_MAX: usize = 16;
/// Most elements accepted: a completion lists 10,000 parts of at most ten elements each.
const ELEMENT_COUNT_MAX: usize = 120_000;

/// An element with its text and its children.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Name without namespace prefix.
    pub(crate) name: String,
    /// All character data directly inside.
    pub(crate) text: String,
    /// Child elements in order.
    pub(crate) children: Vec<Element>,
}

/// The bytes are not a document that the reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document is not well-formed XML")]
pub(crate) struct Malformed;

impl Element {
    /// The children of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The only child of a name.
    ///
    /// # Errors
    /// [`Malformed`] when there are several.
    pub(crate) fn at_most_one(&self, name: &str) -> Result<Option<&Element>, Malformed> {
        let mut named = self.children.iter().filter(|child| child.name == name);
        let first = named.next();
        named.next().map_or(Ok(first), |_| Err(Malformed))
    }

    /// The text of the only child of a name.
    ///
    /// # Errors
    /// [`Malformed`] when there are several, or it has children itself.
    pub(crate) fn only_text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        self.at_most_one(name)?.map(Element::plain_text).transpose()
    }

    /// The text of an element that has no children.
    ///
    /// # Errors
    /// [`Malformed`] when it has.
    pub(crate) fn plain_text(&self) -> Result<&str, Malformed> {
        if self.children.is_empty() { Ok(&self.text) } else { Err(Malformed) }
    }

    /// Refuses children of other names.
    ///
    /// # Errors
    /// [`Malformed`] for any.
    pub(crate) fn knows_only(&self, names: &[&str]) -> Result<(), Malformed> {
        let known = |child: &Element| names.contains(&child.name.as_str());
        if self.children.iter().all(known) { Ok(()) } else { Err(Malformed) }
    }

    /// The text of the first child of a name.
    pub(crate) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// Reads a document.
///
/// # Errors
/// [`Malformed`] when the bytes are not UTF-8, not well-formed or beyond the bounds.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut element_count = 0;
    loop {
        match reader.read_event().map_err(|_| Malformed)? {
            Event::Start(start) => {
                element_count += 1;
                let bounded = element_count <= ELEMENT_COUNT_MAX && open.len() < DEPTH_MAX;
                if !bounded || root.is_some() {
                    return Err(Malformed);
                }
                open.push(named(start.local_name().as_ref()));
            }
            Event::Empty(start) => {
                element_count += 1;
                if element_count > ELEMENT_COUNT_MAX || root.is_some() {
                    return Err(Malformed);
                }
                attach(named(start.local_name().as_ref()), &mut open, &mut root);
            }
            Event::End(_) => {
                let element = open.pop().ok_or(Malformed)?;
                attach(element, &mut open, &mut root);
            }
            Event::Text(text) => push_text(&text.xml10_content(), &mut open)?,
            Event::CData(text) => push_text(&text.xml10_content(), &mut open)?,
            Event::GeneralRef(reference) => push_text(&resolve(&reference)?, &mut open)?,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => return Err(Malformed),
            Event::Eof => break,
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err(Malformed),
    }
}

fn named(name: &str) -> Element {
    Element { name: name.to_owned(), ..Element::default() }
}

fn attach(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn push_text(text: &str, open: &mut [Element]) -> Result<(), Malformed> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(Malformed),
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, Malformed> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Malformed)? {
        return Ok(character.to_string());
    }
    resolve_xml_entity(reference).map(str::to_owned).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_cdata_and_references_are_read() {
        let root = parse(
            b"<?xml version=\"1.0\"?><n:Delete xmlns:n=\"x\"><Object><Key>a&amp;b&#x1;<![CDATA[<c>]]>\
              </Key></Object><Quiet/></n:Delete>",
        )
        .unwrap();
        assert_eq!(root.name, "Delete");
        let object = root.child("Object").unwrap();
        assert_eq!(object.child_text("Key"), Some("a&b\u{1}<c>"));
        assert_eq!(root.child_text("Quiet"), Some(""));
        assert_eq!(root.all("Object").count(), 1);
    }

    #[test]
    fn malformed_documents_are_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&nosuch;</a>",
            "<!DOCTYPE a><a/>",
            "<a/>trailing",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(parse(b"<a>\xff</a>"), Err(Malformed));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "<a>".repeat(DEPTH_MAX + 1) + &"</a>".repeat(DEPTH_MAX + 1);
        assert_eq!(parse(deep.as_bytes()), Err(Malformed));
    }
}
