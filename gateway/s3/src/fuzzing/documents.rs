//! XML documents.

use crate::xml::{self, Element, Writer};

/// A request document.
///
/// What is read, written and read again is the same: no text is lost and none becomes markup.
pub fn document(data: &[u8]) {
    let Ok(root) = xml::parse(data) else {
        return;
    };
    // Each element takes a tag, so a document is never larger than its bytes.
    assert!(count(&root) <= data.len());
    let mut writer = Writer::document();
    write(&root, &mut writer);
    let written = writer.finish();
    if is_plain(&root) {
        assert_eq!(xml::parse(written.as_bytes()), Ok(root));
    }
}

fn count(element: &Element) -> usize {
    1 + element.children.iter().map(count).sum::<usize>()
}

fn write(element: &Element, writer: &mut Writer) {
    writer.open(&element.name);
    writer.escaped(&element.text);
    element.children.iter().for_each(|child| write(child, writer));
    writer.close(&element.name);
}

/// Whether names and text are such as the writer is given: XML has no form for a NUL at all, so
/// what is written of one is read by nobody.
fn is_plain(element: &Element) -> bool {
    !element.name.is_empty()
        && element.name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && !element.text.contains('\0')
        && element.children.iter().all(is_plain)
}
