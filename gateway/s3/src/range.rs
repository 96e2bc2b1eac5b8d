//! The `Range` header.
//!
//! RFC 9110 §14.2: what a server does not understand it ignores, and answers with the whole
//! representation. Only a range that is understood can be unsatisfiable, and whether it is depends
//! on the object, so that is the service's to say.

use gateway_object::RangeRequest;

/// Reads `Range`. `None` means: answer as if it had not been sent, which holds for other units,
/// several ranges, and anything that does not parse.
pub(crate) fn parse(header: &str) -> Option<RangeRequest> {
    let (unit, spec) = header.trim().split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    if first.is_empty() {
        let len_bytes = digits(last)?;
        return Some(RangeRequest::Suffix { len_bytes });
    }
    let first = digits(first)?;
    if last.is_empty() {
        return Some(RangeRequest::From { first, last: None });
    }
    let last = digits(last)?;
    (first <= last).then_some(RangeRequest::From { first, last: Some(last) })
}

/// Reads `x-amz-copy-source-range`, which must name both ends.
pub(crate) fn parse_copy(header: &str) -> Option<RangeRequest> {
    match parse(header)? {
        range @ RangeRequest::From { last: Some(_), .. } => Some(range),
        RangeRequest::From { last: None, .. } | RangeRequest::Suffix { .. } => None,
    }
}

/// A number of any length; beyond 64 bits it is as good as the largest.
fn digits(text: &str) -> Option<u64> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_are_understood() {
        let from = |first, last| Some(RangeRequest::From { first, last });
        assert_eq!(parse("bytes=0-4"), from(0, Some(4)));
        assert_eq!(parse("Bytes = 7-"), from(7, None));
        assert_eq!(parse("bytes=-5"), Some(RangeRequest::Suffix { len_bytes: 5 }));
        assert_eq!(parse("bytes=-0"), Some(RangeRequest::Suffix { len_bytes: 0 }));
        assert_eq!(parse("bytes=0-99999999999999999999999"), from(0, Some(u64::MAX)));
    }

    #[test]
    fn ranges_to_ignore() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "items=0-4",
            "bytes=+1-2",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
    }

    #[test]
    fn copy_range_names_both_ends() {
        assert!(parse_copy("bytes=1-2").is_some());
        assert_eq!(parse_copy("bytes=1-"), None);
        assert_eq!(parse_copy("bytes=-2"), None);
    }
}
