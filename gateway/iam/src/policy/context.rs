//! What is known of a request, under the names that conditions use.

use std::collections::BTreeMap;

/// Longest value that is kept, in bytes; what is longer is cut. Chosen: a source of a copy, whose
/// characters may all be percent-encoded, still fits.
const VALUE_LEN_BYTES_MAX: usize = 4 << 10;

/// What is known of a request. A key that is not there is not known, which conditions notice.
#[derive(Clone, Debug, Default)]
pub struct PolicyContext(BTreeMap<String, Vec<String>>);

impl PolicyContext {
    /// Adds a value. A key that has one already has several then.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        let mut value = value.into();
        if value.len() > VALUE_LEN_BYTES_MAX {
            value.truncate(value.floor_char_boundary(VALUE_LEN_BYTES_MAX));
        }
        self.0.entry(normal_key(key)).or_default().push(value);
    }

    /// Adds a value where there is one.
    pub fn add_if(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    /// Takes out every key that starts with `prefix`: what was thought to be known is not so.
    pub fn forget(&mut self, prefix: &str) {
        let prefix = normal_key(prefix);
        self.0.retain(|key, _| !key.starts_with(&prefix));
    }

    /// The values of a normal key.
    pub(super) fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }
}

/// A key as it is compared: letter case does not matter, but for the name of a tag behind a slash.
pub(super) fn normal_key(key: &str) -> String {
    match key.split_once('/') {
        Some((name, tag)) => format!("{}/{tag}", name.to_ascii_lowercase()),
        None => key.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_and_tags_do_not() {
        let mut context = PolicyContext::default();
        context.add("AWS:SourceIp", "::1");
        context.add("s3:ExistingObjectTag/Team", "red");
        assert!(context.get("aws:sourceip").is_some());
        assert!(context.get(&normal_key("S3:existingobjecttag/Team")).is_some());
        assert!(context.get(&normal_key("s3:ExistingObjectTag/team")).is_none());
    }

    #[test]
    fn what_is_forgotten_is_not_known_anymore() {
        let mut context = PolicyContext::default();
        for key in ["s3:RequestObjectTag/Team", "s3:RequestObjectTagKeys", "s3:object-lock-mode"] {
            context.add(key, "x");
        }
        context.forget("s3:requestObjectTag");
        assert!(context.get("s3:requestobjecttag/Team").is_none());
        assert!(context.get("s3:requestobjecttagkeys").is_none());
        assert!(context.get("s3:object-lock-mode").is_some());
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let mut context = PolicyContext::default();
        context.add("aws:Referer", "é".repeat(4000));
        assert_eq!(context.get("aws:referer").unwrap()[0].len(), VALUE_LEN_BYTES_MAX);
    }
}
