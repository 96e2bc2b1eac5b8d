//! Byte ranges against a length.

use crate::{RangeRequest, ResolvedRange};

/// The wanted range lies outside the object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsatisfiable;

/// Resolves `request` against an object of `len_bytes`, by RFC 9110, section 14: the end is
/// clamped, and a range that ends before it starts is no range at all (`None`).
pub(crate) fn resolve(
    request: RangeRequest,
    len_bytes: u64,
) -> Result<Option<ResolvedRange>, Unsatisfiable> {
    match request {
        RangeRequest::From { first, last: Some(last) } if last < first => Ok(None),
        RangeRequest::From { first, .. } if first >= len_bytes => Err(Unsatisfiable),
        RangeRequest::From { first, last } => {
            let last = last.unwrap_or(u64::MAX).min(len_bytes - 1);
            Ok(Some(ResolvedRange { offset_bytes: first, len_bytes: last - first + 1 }))
        }
        RangeRequest::Suffix { len_bytes: wanted } => {
            let wanted = wanted.min(len_bytes);
            if wanted == 0 {
                return Err(Unsatisfiable);
            }
            Ok(Some(ResolvedRange { offset_bytes: len_bytes - wanted, len_bytes: wanted }))
        }
    }
}

/// Resolves the range of a part copy, which must lie wholly within the source.
pub(crate) fn resolve_within(request: RangeRequest, len_bytes: u64) -> Option<ResolvedRange> {
    match request {
        RangeRequest::From { first, last: Some(last) } if first <= last && last < len_bytes => {
            Some(ResolvedRange { offset_bytes: first, len_bytes: last - first + 1 })
        }
        RangeRequest::From { .. } | RangeRequest::Suffix { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(
        first: u64,
        last: Option<u64>,
        len_bytes: u64,
    ) -> Result<Option<(u64, u64)>, Unsatisfiable> {
        resolve(RangeRequest::From { first, last }, len_bytes)
            .map(|range| range.map(|range| (range.offset_bytes, range.len_bytes)))
    }

    fn suffix(wanted: u64, len_bytes: u64) -> Result<Option<(u64, u64)>, Unsatisfiable> {
        resolve(RangeRequest::Suffix { len_bytes: wanted }, len_bytes)
            .map(|range| range.map(|range| (range.offset_bytes, range.len_bytes)))
    }

    #[test]
    fn ends_are_clamped() {
        assert_eq!(from(0, Some(0), 10), Ok(Some((0, 1))));
        assert_eq!(from(3, None, 10), Ok(Some((3, 7))));
        assert_eq!(from(3, Some(u64::MAX), 10), Ok(Some((3, 7))));
        assert_eq!(from(9, Some(9), 10), Ok(Some((9, 1))));
        assert_eq!(suffix(4, 10), Ok(Some((6, 4))));
        assert_eq!(suffix(40, 10), Ok(Some((0, 10))));
    }

    #[test]
    fn ranges_outside_the_object_are_unsatisfiable() {
        assert_eq!(from(10, None, 10), Err(Unsatisfiable));
        assert_eq!(from(0, None, 0), Err(Unsatisfiable));
        assert_eq!(from(0, Some(5), 0), Err(Unsatisfiable));
        assert_eq!(suffix(0, 10), Err(Unsatisfiable));
        assert_eq!(suffix(5, 0), Err(Unsatisfiable));
    }

    #[test]
    fn a_reversed_range_is_no_range() {
        assert_eq!(from(5, Some(4), 10), Ok(None));
        assert_eq!(from(50, Some(4), 10), Ok(None));
    }

    #[test]
    fn copied_ranges_are_not_clamped() {
        let within = |first, last| resolve_within(RangeRequest::From { first, last }, 10);
        assert_eq!(within(0, Some(9)), Some(ResolvedRange { offset_bytes: 0, len_bytes: 10 }));
        assert_eq!(within(0, Some(10)), None);
        assert_eq!(within(4, Some(3)), None);
        assert_eq!(within(0, None), None);
        assert_eq!(resolve_within(RangeRequest::Suffix { len_bytes: 1 }, 10), None);
    }
}
