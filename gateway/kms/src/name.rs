//! How a key is named.

use std::fmt;

/// Longest id in bytes. Chosen: that of AWS.
const ID_LEN_BYTES_MAX: usize = 128;
/// Longest alias in bytes. Chosen: that of AWS.
const ALIAS_LEN_BYTES_MAX: usize = 250;
/// The alias of the key that is used where none is named.
const DEFAULT_ALIAS: &str = "aws/s3";

/// Names a key: by its id, or by an alias that may come to name another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyName {
    /// By its id.
    Id(String),
    /// By an alias, without `alias/`.
    Alias(String),
}

/// Text names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" is no key id, alias or ARN of a key")]
pub struct InvalidKeyName {
    /// As given.
    pub name: String,
}

impl KeyName {
    /// Reads any form that AWS takes: an id, `alias/NAME`, or the ARN of either. Partition, region
    /// and account of an ARN are not looked at: there is one key service.
    ///
    /// # Errors
    /// [`InvalidKeyName`].
    pub fn parse(text: &str) -> Result<Self, InvalidKeyName> {
        let invalid = || InvalidKeyName { name: text.to_owned() };
        let name = match text.strip_prefix("arn:") {
            // partition : "kms" : region : account : resource
            Some(arn) => {
                let parts: Vec<&str> = arn.splitn(5, ':').collect();
                let [_, "kms", _, _, resource] = parts[..] else { return Err(invalid()) };
                match resource.strip_prefix("key/") {
                    Some(id) => id,
                    None if resource.starts_with("alias/") => resource,
                    None => return Err(invalid()),
                }
            }
            None => text,
        };
        let name = match name.strip_prefix("alias/") {
            Some(alias) => Self::Alias(alias.to_owned()),
            None => Self::Id(name.to_owned()),
        };
        if name.is_valid() { Ok(name) } else { Err(invalid()) }
    }

    /// The key that is used where none is named.
    #[must_use]
    pub fn default_key() -> Self {
        Self::Alias(DEFAULT_ALIAS.to_owned())
    }

    /// Whether the name keeps AWS' rules.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let (text, len_bytes_max, others): (_, _, &[u8]) = match self {
            Self::Id(id) => (id, ID_LEN_BYTES_MAX, b"-_"),
            Self::Alias(alias) => (alias, ALIAS_LEN_BYTES_MAX, b"-_/"),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        (1..=len_bytes_max).contains(&text.len()) && text.bytes().all(allowed)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Alias(alias) => write!(f, "alias/{alias}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_aws_names_a_key() {
        let id = KeyName::Id("1234abcd-12ab".to_owned());
        let alias = KeyName::Alias("team/logs".to_owned());
        for (text, name) in [
            ("1234abcd-12ab", &id),
            ("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab", &id),
            ("arn:aws-cn:kms:::key/1234abcd-12ab", &id),
            ("alias/team/logs", &alias),
            ("arn:aws:kms:us-east-1:1:alias/team/logs", &alias),
        ] {
            assert_eq!(KeyName::parse(text).as_ref(), Ok(name), "{text}");
        }
        assert_eq!(KeyName::default_key().to_string(), "alias/aws/s3");
        assert_eq!(KeyName::parse("alias/aws/s3"), Ok(KeyName::default_key()));
    }

    #[test]
    fn other_text_names_none() {
        let long = "a".repeat(129);
        for text in [
            "",
            "alias/",
            "a b",
            "a/b",
            "../k",
            "arn:aws:s3:::bucket",
            "arn:aws:kms:us-east-1:1",
            "arn:aws:kms:us-east-1:1:grant/1",
            "arn:aws:kms:us-east-1:1:key/",
            "é",
            &long,
        ] {
            assert_eq!(KeyName::parse(text), Err(InvalidKeyName { name: text.to_owned() }));
        }
    }
}
