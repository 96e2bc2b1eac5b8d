//! Reads fields out of the start of a form (`multipart/form-data`, RFC 7578).
//!
//! The adapter parses and judges the whole form; this is for the fields it does not hand over.
//! Fields come before the file, and together with their heads they fit into what is kept.

/// Fields before the file, names in lower case. What is not well-formed is left out: the adapter
/// has refused it before.
pub(super) fn read(content_type: &str, start: &[u8]) -> Vec<(String, String)> {
    let Some(boundary) = boundary(content_type) else {
        return Vec::new();
    };
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line end of its own before it.
    let form = [b"\r\n", start].concat();
    let mut fields = Vec::new();
    let mut parts = split(&form, delimiter.as_bytes()).into_iter().skip(1);
    // The last part may be cut short, and is the file or the end.
    let mut part = parts.next();
    while let (Some(current), Some(next)) = (part, parts.next()) {
        match field(current) {
            Some((name, _)) if name == "file" => break,
            Some(found) => fields.push(found),
            None => {}
        }
        part = Some(next);
    }
    fields
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

fn field(part: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(part).ok()?;
    let (head, value) = text.split_once("\r\n\r\n")?;
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let name = disposition.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("name").then_some(value)
    })?;
    Some((name.trim().trim_matches('"').to_ascii_lowercase(), value.to_owned()))
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
            assert_eq!(
                read(content_type, FORM.as_bytes()),
                [pair("acl", "private"), pair("tagging", "<a>\r\n</a>")]
            );
        }
    }

    #[test]
    fn form_cut_short_loses_only_its_last_part() {
        let cut = &FORM.as_bytes()[..FORM.find("data\r\n").unwrap() + 2];
        assert_eq!(read("multipart/form-data; boundary=X-Y", cut).len(), 2);
        assert_eq!(read("multipart/form-data", FORM.as_bytes()).len(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read("multipart/form-data; boundary=-", &bytes);
        }
    }
}
