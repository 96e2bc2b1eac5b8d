//! Conversions between the domain's values and their text on the wire.
//!
//! Invariants:
//! - what is written here reads back to the same value;
//! - nothing here knows requests or answers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway_meta::{
    UploadId, VersionId,
    record::{ChecksumAlgorithm, ChecksumType, ETag, StoredChecksum},
};
use gateway_object::ETagCondition;
use node_proto::UnixMillis;
use time::{
    OffsetDateTime, PrimitiveDateTime, UtcOffset,
    format_description::{
        BorrowedFormatItem,
        well_known::{Rfc2822, Rfc3339},
    },
    macros::format_description,
};

const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);
const ASCTIME: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
);

const ISO_8601_SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const AMZ_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

const LOG_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

fn utc(at: UnixMillis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// An HTTP date, whole seconds.
pub(crate) fn http_date(at: UnixMillis) -> String {
    utc(at).format(HTTP_DATE).unwrap_or_default()
}

/// A date as access logs have it, whole seconds.
pub(crate) fn log_date(at: UnixMillis) -> String {
    utc(at).format(LOG_DATE).unwrap_or_default()
}

/// An XML timestamp, whole milliseconds. A list page has a thousand of them, so the digits are
/// written without the formatting machinery, which took a tenth of the page.
pub(crate) fn iso_8601(at: UnixMillis) -> String {
    let at = utc(at);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |digits: std::ops::Range<usize>, mut number: u16| {
        for digit in text[digits].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0..4, at.year().unsigned_abs() as u16);
    put(5..7, u8::from(at.month()).into());
    put(8..10, at.day().into());
    put(11..13, at.hour().into());
    put(14..16, at.minute().into());
    put(17..19, at.second().into());
    put(20..23, at.millisecond());
    text.into_iter().map(char::from).collect()
}

/// A timestamp as error documents have it, whole seconds.
pub(crate) fn iso_8601_seconds(at: UnixMillis) -> String {
    utc(at).format(ISO_8601_SECONDS).unwrap_or_default()
}

/// Reads a time as signatures are dated. `None` for anything else, and for times before 1970.
pub(crate) fn parse_amz_date(text: &str) -> Option<UnixMillis> {
    let at = PrimitiveDateTime::parse(text, AMZ_DATE).ok()?;
    let seconds = u64::try_from(at.assume_offset(UtcOffset::UTC).unix_timestamp()).ok()?;
    Some(UnixMillis(seconds.checked_mul(1000)?))
}

/// Reads an XML timestamp, with or without a fraction of a second. `None` for anything else, and
/// for times before 1970.
pub(crate) fn parse_iso_8601(text: &str) -> Option<UnixMillis> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(UnixMillis(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()?))
}

/// Reads any of the three forms of HTTP dates. `None` for anything else, which HTTP ignores, and
/// for times before 1970.
pub(crate) fn parse_http_date(text: &str) -> Option<UnixMillis> {
    let text = text.trim();
    let at = PrimitiveDateTime::parse(text, HTTP_DATE)
        .or_else(|_| PrimitiveDateTime::parse(text, ASCTIME))
        .ok()
        .or_else(|| parse_rfc_850(text))?;
    let seconds = at.assume_offset(UtcOffset::UTC).unix_timestamp();
    Some(UnixMillis(u64::try_from(seconds).ok()?.checked_mul(1000)?))
}

/// Reads a date as mail has it, with a zone in digits. `None` for anything else, and for times
/// before 1970.
pub(crate) fn parse_rfc_2822(text: &str) -> Option<UnixMillis> {
    let at = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    Some(UnixMillis(u64::try_from(at.unix_timestamp()).ok()?.checked_mul(1000)?))
}

/// The obsolete form with a two-digit year, which is read as 1970 to 2069.
fn parse_rfc_850(text: &str) -> Option<PrimitiveDateTime> {
    let (head, tail) = text.rsplit_once('-')?;
    let (year, rest) = tail.split_at_checked(2)?;
    let century = if year.parse::<u8>().ok()? < 70 { "20" } else { "19" };
    let full = format!("{head}-{century}{year}{rest}");
    let format = format_description!(
        "[weekday], [day]-[month repr:short]-[year] [hour]:[minute]:[second] GMT"
    );
    PrimitiveDateTime::parse(&full, format).ok()
}

/// An ETag without quotes.
pub(crate) fn etag(etag: &ETag) -> String {
    let hex = md5_hex(&etag.md5);
    match etag.part_count {
        Some(count) => format!("{hex}-{count}"),
        None => hex,
    }
}

/// An ETag with quotes, as headers and documents carry it.
pub(crate) fn quoted_etag(value: &ETag) -> String {
    format!("\"{}\"", etag(value))
}

/// Lower-case hex digits of an MD5.
pub(crate) fn md5_hex(md5: &[u8; 16]) -> String {
    hex::encode(md5)
}

/// Reads `If-Match` or `If-None-Match`: `*`, or a list of ETags. Clients are known to leave the
/// quotes out, so they are optional; weak tags compare by value.
pub(crate) fn etag_condition(header: &str) -> ETagCondition {
    if header.trim() == "*" {
        return ETagCondition::Any;
    }
    let tags = header
        .split(',')
        .map(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag.trim_matches('"').to_owned()
        })
        .filter(|tag| !tag.is_empty())
        .collect();
    ETagCondition::Tags(tags)
}

/// Reads a version id; `None` when it is none of ours.
pub(crate) fn parse_version_id(text: &str) -> Option<VersionId> {
    if text == "null" {
        return Some(VersionId::Null);
    }
    // Version ids and upload ids are written the same way: 32 lower-case hex digits.
    text.parse::<UploadId>().ok().map(|id| VersionId::Id(id.0))
}

/// Every checksum algorithm, with S3's name of it, its header and its length in bytes.
pub(crate) const CHECKSUM_ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

/// S3's name of an algorithm, as in `x-amz-sdk-checksum-algorithm`.
pub(crate) fn checksum_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

/// The header that carries a value of an algorithm.
pub(crate) fn checksum_header(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

/// The element that carries a value of an algorithm.
pub(crate) fn checksum_element(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
        ChecksumAlgorithm::Crc32c => "ChecksumCRC32C",
        ChecksumAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
        ChecksumAlgorithm::Sha1 => "ChecksumSHA1",
        ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
    }
}

/// Length of an algorithm's value in bytes.
pub(crate) fn checksum_len_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// Reads an algorithm's name; letter case does not matter.
pub(crate) fn parse_checksum_name(text: &str) -> Option<ChecksumAlgorithm> {
    CHECKSUM_ALGORITHMS
        .into_iter()
        .find(|algorithm| checksum_name(*algorithm).eq_ignore_ascii_case(text.trim()))
}

/// S3's name of a checksum type.
pub(crate) fn checksum_type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// Reads a checksum type's name.
pub(crate) fn parse_checksum_type(text: &str) -> Option<ChecksumType> {
    match text.trim() {
        "FULL_OBJECT" => Some(ChecksumType::FullObject),
        "COMPOSITE" => Some(ChecksumType::Composite),
        _ => None,
    }
}

/// A stored checksum as headers and documents carry it.
pub(crate) fn checksum_value(checksum: &StoredChecksum) -> String {
    let value = STANDARD.encode(&checksum.value);
    match checksum.part_count {
        Some(count) => format!("{value}-{count}"),
        None => value,
    }
}

/// Reads a declared checksum value of an algorithm. A composite value's `-N` is accepted and
/// dropped: the digest decides.
pub(crate) fn parse_checksum_value(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let value = text.split_once('-').map_or(text, |(value, _)| value);
    let bytes = STANDARD.decode(value).ok()?;
    (bytes.len() == checksum_len_bytes(algorithm)).then_some(bytes)
}

/// Reads `Content-MD5`.
pub(crate) fn parse_content_md5(text: &str) -> Option<[u8; 16]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

/// Reads a SHA-256 in hex digits.
pub(crate) fn parse_sha256_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixMillis = UnixMillis(784_111_777_123);

    #[test]
    fn dates_have_golden_text() {
        assert_eq!(http_date(AT), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(iso_8601(AT), "1994-11-06T08:49:37.123Z");
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        for step in 0..5000 {
            let at = UnixMillis(step * 50_000_000_017);
            assert_eq!(iso_8601(at), utc(at).format(format).unwrap());
        }
    }

    #[test]
    fn all_three_forms_of_http_dates_are_read() {
        let whole = Some(UnixMillis(784_111_777_000));
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), whole);
        assert_eq!(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), whole);
        assert_eq!(parse_http_date("Sun Nov  6 08:49:37 1994"), whole);
        assert_eq!(parse_http_date("yesterday"), None);
        assert_eq!(parse_http_date("Sunday, 06-é"), None);
        assert_eq!(parse_http_date("Thu, 01 Jan 1969 00:00:00 GMT"), None);
    }

    #[test]
    fn etags_carry_their_part_count() {
        let plain = ETag { md5: [0xab; 16], part_count: None };
        let parts = ETag { md5: [0xab; 16], part_count: Some(3) };
        assert_eq!(quoted_etag(&plain), format!("\"{}\"", "ab".repeat(16)));
        assert_eq!(etag(&parts), format!("{}-3", "ab".repeat(16)));
    }

    #[test]
    fn conditions_are_read_with_and_without_quotes() {
        assert_eq!(etag_condition(" * "), ETagCondition::Any);
        assert_eq!(
            etag_condition("\"a\", W/\"b\",c"),
            ETagCondition::Tags(vec!["a".into(), "b".into(), "c".into()])
        );
    }

    #[test]
    fn version_ids_are_null_or_hex() {
        assert_eq!(parse_version_id("null"), Some(VersionId::Null));
        let id = VersionId::Id([0x1f; 16]);
        assert_eq!(parse_version_id(&id.to_string()), Some(id));
        for text in ["", "NULL", "1f", &"1F".repeat(16), &"zz".repeat(16)] {
            assert_eq!(parse_version_id(text), None, "{text}");
        }
    }

    #[test]
    fn checksum_values_have_the_algorithms_length() {
        assert_eq!(
            parse_checksum_value(ChecksumAlgorithm::Crc32, "AAAAAQ==-7"),
            Some(vec![0, 0, 0, 1])
        );
        assert_eq!(parse_checksum_value(ChecksumAlgorithm::Crc32, "AAAA"), None);
        assert_eq!(parse_checksum_value(ChecksumAlgorithm::Sha1, "!"), None);
        for algorithm in CHECKSUM_ALGORITHMS {
            assert_eq!(parse_checksum_name(checksum_name(algorithm)), Some(algorithm));
        }
    }

    #[test]
    fn sha256_is_64_hex_digits() {
        assert_eq!(parse_sha256_hex(&"0f".repeat(32)), Some([0x0f; 32]));
        assert_eq!(parse_sha256_hex(&"0F".repeat(32)), Some([0x0f; 32]));
        assert_eq!(parse_sha256_hex(&"+f".repeat(32)), None);
        assert_eq!(parse_sha256_hex("UNSIGNED-PAYLOAD"), None);
    }
}
