//! How listings select keys and roll them up under a delimiter. Pure.

use gateway_meta::{BucketId, KeyRange, key, prefix_end};

/// Which keys a listing shows, and how.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
}

impl Selection {
    /// The common prefix that `key`, which starts with the prefix, is rolled up into.
    pub(crate) fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let behind = self.prefix.len();
        let at = key.get(behind..)?.find(&self.delimiter)?;
        Some(&key[..behind + at + self.delimiter.len()])
    }

    /// Whether `text` is itself a common prefix of this selection.
    pub(crate) fn is_common_prefix(&self, text: &str) -> bool {
        text.starts_with(&self.prefix) && self.common_prefix(text) == Some(text)
    }

    /// The rows of the selected keys.
    pub(crate) fn rows(&self, bucket: BucketId) -> KeyRange {
        KeyRange::prefix(&key::object_prefix(bucket, self.prefix.as_bytes()))
    }
}

/// The first row key behind all rows of keys that start with `prefix`.
pub(crate) fn behind_prefix(bucket: BucketId, prefix: &str) -> Vec<u8> {
    prefix_end(&key::object_prefix(bucket, prefix.as_bytes()))
        .expect("UTF-8 contains no 0xff, and only an empty prefix of the last bucket ends in one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(prefix: &str, delimiter: &str) -> Selection {
        Selection { prefix: prefix.to_owned(), delimiter: delimiter.to_owned() }
    }

    #[test]
    fn keys_roll_up_at_the_first_delimiter_behind_the_prefix() {
        let at = |prefix, delimiter, key| selection(prefix, delimiter).common_prefix(key);
        assert_eq!(at("", "/", "a/b/c"), Some("a/"));
        assert_eq!(at("a/", "/", "a/b/c"), Some("a/b/"));
        assert_eq!(at("a", "/", "a/b"), Some("a/"));
        assert_eq!(at("a/b", "/", "a/b"), None);
        assert_eq!(at("", "/", "//x"), Some("/"));
        assert_eq!(at("/", "/", "//x"), Some("//"));
        assert_eq!(at("", "", "a/b"), None);
        assert_eq!(at("é", "ü--", "éaü--b"), Some("éaü--"));
        assert_eq!(at("a", "aa", "aaaaa"), Some("aaa"));
    }

    #[test]
    fn only_whole_common_prefixes_are_recognised() {
        let selection = selection("p/", "/");
        assert!(selection.is_common_prefix("p/a/"));
        assert!(!selection.is_common_prefix("p/a"));
        assert!(!selection.is_common_prefix("p/a/b/"));
        assert!(!selection.is_common_prefix("q/a/"));
        assert!(!selection.is_common_prefix("p/"));
    }
}
