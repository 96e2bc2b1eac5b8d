//! What may be attached to an object: tags, user metadata, storage classes.

use crate::{
    ObjectAttributes, ObjectWriteError,
    limits::{
        BUCKET_TAGS_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX,
        USER_METADATA_LEN_BYTES_MAX,
    },
};

/// Storage classes that are taken and echoed. All of them are stored alike: erasure-coded, online,
/// readable at once.
///
/// The others are refused, because taking them would promise what does not happen: clients do not
/// read `GLACIER` and `DEEP_ARCHIVE` objects before a restore (which there is none of, and the
/// usual tools skip such objects when they download), and `OUTPOSTS`, `SNOW`, `EXPRESS_ONEZONE` and
/// `FSX_OPENZFS` belong to other kinds of buckets.
const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
];

/// Checks everything in `attributes` that has rules.
pub(crate) fn validate_attributes(attributes: &ObjectAttributes) -> Result<(), ObjectWriteError> {
    validate_user_metadata(&attributes.user_metadata)?;
    validate_storage_class(&attributes.storage_class)?;
    validate_tags(&attributes.tags).map_err(|reason| ObjectWriteError::InvalidTag { reason })
}

/// Checks the size of user metadata.
pub(crate) fn validate_user_metadata(pairs: &[(String, String)]) -> Result<(), ObjectWriteError> {
    let len_bytes = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if len_bytes > USER_METADATA_LEN_BYTES_MAX {
        return Err(ObjectWriteError::MetadataTooLarge { len_bytes });
    }
    Ok(())
}

/// Checks a storage class; empty means `STANDARD`.
pub(crate) fn validate_storage_class(storage_class: &str) -> Result<(), ObjectWriteError> {
    if STORAGE_CLASSES.contains(&effective_storage_class(storage_class)) {
        return Ok(());
    }
    Err(ObjectWriteError::InvalidStorageClass { storage_class: storage_class.to_owned() })
}

/// The class that a stored or requested one stands for.
pub(crate) fn effective_storage_class(storage_class: &str) -> &str {
    if storage_class.is_empty() { "STANDARD" } else { storage_class }
}

/// Checks object tags; the error says what is wrong.
pub(crate) fn validate_tags(tags: &[(String, String)]) -> Result<(), &'static str> {
    if tags.len() > TAGS_MAX {
        return Err("an object has at most 10 tags");
    }
    validate_each_tag(tags)
}

/// Checks the tags of a bucket, or those that a configuration asks for.
///
/// # Errors
/// What is wrong with them.
pub fn check_bucket_tags(tags: &[(String, String)]) -> Result<(), &'static str> {
    if tags.len() > BUCKET_TAGS_MAX {
        return Err("a bucket has at most 50 tags");
    }
    validate_each_tag(tags)
}

fn validate_each_tag(tags: &[(String, String)]) -> Result<(), &'static str> {
    for (index, (name, value)) in tags.iter().enumerate() {
        if !(1..=TAG_KEY_CHARS_MAX).contains(&name.chars().count()) {
            return Err("a tag key has 1 to 128 characters");
        }
        if value.chars().count() > TAG_VALUE_CHARS_MAX {
            return Err("a tag value has at most 256 characters");
        }
        if !name.chars().chain(value.chars()).all(is_tag_char) {
            return Err("a tag contains a character that is not allowed");
        }
        if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err("tag keys must not begin with aws:");
        }
        if tags[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err("a tag key is repeated");
        }
    }
    Ok(())
}

/// Letters, digits and separators of any script, and `_ . : / = + - @`.
fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric()
        || (c.is_whitespace() && !c.is_control())
        || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_within_the_rules_are_accepted() {
        let long_key = "k".repeat(128);
        let long_value = "ü".repeat(256);
        assert_eq!(validate_tags(&[]), Ok(()));
        assert_eq!(
            validate_tags(&tags(&[
                ("key", ""),
                (&long_key, &long_value),
                ("größe 1", "a+b-c=d._:/@"),
                ("Key", "case matters"),
            ])),
            Ok(())
        );
    }

    #[test]
    fn tags_outside_the_rules_are_refused() {
        let eleven: Vec<_> = (0..11).map(|n| (format!("k{n}"), String::new())).collect();
        let long_key = "k".repeat(129);
        let long_value = "v".repeat(257);
        for refused in [
            eleven,
            tags(&[("", "v")]),
            tags(&[(&long_key, "v")]),
            tags(&[("k", &long_value)]),
            tags(&[("k", "1"), ("k", "2")]),
            tags(&[("aws:k", "v")]),
            tags(&[("AWS:k", "v")]),
            tags(&[("k", "a&b")]),
            tags(&[("k\n", "v")]),
        ] {
            assert!(validate_tags(&refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn only_classes_that_we_can_honour_are_accepted() {
        for class in ["", "STANDARD", "GLACIER_IR", "INTELLIGENT_TIERING"] {
            assert!(validate_storage_class(class).is_ok(), "{class}");
        }
        for class in ["standard", "GLACIER", "DEEP_ARCHIVE", "EXPRESS_ONEZONE", "NONSENSE"] {
            assert!(validate_storage_class(class).is_err(), "{class}");
        }
    }

    #[test]
    fn user_metadata_is_bounded_by_names_and_values() {
        let fits = vec![("ab".to_owned(), "v".repeat(2046))];
        assert!(validate_user_metadata(&fits).is_ok());
        let exceeds = vec![("abc".to_owned(), "v".repeat(2046))];
        assert!(matches!(
            validate_user_metadata(&exceeds),
            Err(ObjectWriteError::MetadataTooLarge { len_bytes: 2049 })
        ));
    }
}
