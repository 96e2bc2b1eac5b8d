//! What buckets and keys may be called.

use crate::limits::KEY_LEN_BYTES_MAX;

/// Prefixes that S3 reserves.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];

/// Suffixes that S3 reserves.
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Checks a bucket name by S3's rules for general purpose buckets; the error says which is broken.
pub(crate) fn validate_bucket_name(name: &str) -> Result<(), &'static str> {
    let bytes = name.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !(3..=63).contains(&bytes.len()) {
        return Err("it must have 3 to 63 characters");
    }
    if !bytes.iter().all(|byte| alphanumeric(byte) || matches!(byte, b'.' | b'-')) {
        return Err("only lower-case letters, digits, dots and hyphens are allowed");
    }
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return Err("it must begin and end with a letter or digit");
    }
    if name.contains("..") {
        return Err("dots must not be adjacent");
    }
    if is_ipv4_shaped(name) {
        return Err("it must not look like an IP address");
    }
    if RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("its prefix is reserved");
    }
    if RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        return Err("its suffix is reserved");
    }
    Ok(())
}

/// Four groups of digits, also where they are no address.
fn is_ipv4_shaped(name: &str) -> bool {
    let groups = || name.split('.');
    groups().count() == 4
        && groups().all(|group| {
            (1..=3).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// Checks an object key; the error is its length in bytes.
pub(crate) fn validate_key(key: &str) -> Result<(), usize> {
    if (1..=KEY_LEN_BYTES_MAX).contains(&key.len()) { Ok(()) } else { Err(key.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_the_rules_are_accepted() {
        for name in
            ["abc", "a-b.c", "0ab", "1.2.3.4.5", "1.2.3", "a.-b", "1234.1.1.1", &"a".repeat(63)]
        {
            assert_eq!(validate_bucket_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_outside_the_rules_are_refused() {
        for name in [
            "",
            "ab",
            &"a".repeat(64),
            "Abc",
            "a_b",
            "a b",
            "äbc",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "192.168.5.4",
            "999.1.1.1",
            "xn--a",
            "sthree-a",
            "sthree-configurator",
            "amzn-s3-demo-a",
            "a-s3alias",
            "a--ol-s3",
            "a.mrap",
            "a--x-s3",
            "a--table-s3",
        ] {
            assert!(validate_bucket_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn keys_have_1_to_1024_bytes() {
        assert_eq!(validate_key(""), Err(0));
        assert_eq!(validate_key("/"), Ok(()));
        assert_eq!(validate_key(&"é".repeat(512)), Ok(()));
        assert_eq!(validate_key(&"a".repeat(1025)), Err(1025));
    }
}
