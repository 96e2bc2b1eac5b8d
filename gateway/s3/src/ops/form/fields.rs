//! Reads fields out of the start of a form (`multipart/form-data`, RFC 7578).
//!
//! The adapter parses and judges the whole form; this is for the fields it does not hand over.
//! Fields come before the file, and together with their heads they fit into what is kept.

/// What the start of a form tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Fields before the file, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// Whether the file begins in it.
    pub(crate) has_file: bool,
    /// Whether the form ends in it, and all of its parts have names.
    pub(crate) ended: bool,
}

/// Reads the start of a form. What is not well-formed is left out: the adapter has refused it.
pub(crate) fn read(content_type: &str, start: &[u8]) -> Start {
    let Some(boundary) = boundary(content_type) else {
        return Start::default();
    };
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line end of its own before it.
    let form = [b"\r\n", start].concat();
    let mut found = Start::default();
    let mut parts = split(&form, delimiter.as_bytes()).into_iter().skip(1).peekable();
    let mut nameless = false;
    while let Some(part) = parts.next() {
        if part.starts_with(b"--") {
            found.ended = !nameless;
            break;
        }
        let Some((name, value)) = named(part) else {
            nameless = true;
            continue;
        };
        found.has_file = name == "file";
        if found.has_file {
            break;
        }
        // The last part may be cut short.
        if parts.peek().is_some()
            && let Ok(value) = std::str::from_utf8(value)
        {
            found.fields.push((name, value.to_owned()));
        }
    }
    found
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameter = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    Some(parameter.trim().trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

fn split<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(delimiter.len()).position(|window| window == delimiter) {
        parts.push(&rest[..at]);
        rest = &rest[at + delimiter.len()..];
    }
    parts.push(rest);
    parts
}

/// A part's name and value.
fn named(part: &[u8]) -> Option<(String, &[u8])> {
    const END: &[u8] = b"\r\n\r\n";
    let at = part.windows(END.len()).position(|window| window == END)?;
    let (head, value) = (std::str::from_utf8(&part[..at]).ok()?, &part[at + END.len()..]);
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let name = disposition.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("name").then_some(value)
    })?;
    Some((name.trim().trim_matches('"').to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: &str = "--X-Y\r\nContent-Disposition: form-data; name=\"ACL\"\r\n\r\nprivate\r\n\
        --X-Y\r\ncontent-disposition: form-data; name=tagging\r\nContent-Type: text/xml\r\n\r\n\
        <a>\r\n</a>\r\n--X-Y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\
        data\r\n--X-Y\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\nx\r\n--X-Y--\r\n";

    #[test]
    fn fields_before_the_file_are_read() {
        for content_type in
            ["multipart/form-data; boundary=X-Y", "Multipart/Form-Data;a=b; Boundary=\"X-Y\""]
        {
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let found = read(content_type, FORM.as_bytes());
            assert_eq!(found.fields, [pair("acl", "private"), pair("tagging", "<a>\r\n</a>")]);
            assert!(found.has_file && !found.ended);
        }
    }

    #[test]
    fn form_cut_short_loses_only_its_last_part() {
        let cut = &FORM.as_bytes()[..FORM.find("data\r\n").unwrap() + 2];
        assert_eq!(read("multipart/form-data; boundary=X-Y", cut).fields.len(), 2);
        assert_eq!(read("multipart/form-data", FORM.as_bytes()), Start::default());
    }

    #[test]
    fn form_without_a_file_is_told_from_one_that_goes_on() {
        let content_type = "multipart/form-data; boundary=X-Y";
        let fields =
            &FORM[..FORM.rfind("--X-Y\r\nContent-Disposition: form-data; name=\"file\"").unwrap()];
        let goes_on = read(content_type, fields.as_bytes());
        assert!(!goes_on.has_file && !goes_on.ended);
        let ended = read(content_type, format!("{fields}--X-Y--\r\n").as_bytes());
        assert!(!ended.has_file && ended.ended);
        assert_eq!(ended.fields.len(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read("multipart/form-data; boundary=-", &bytes);
        }
    }
}
