//! What users, access keys and secrets may be called.

/// A name breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// User names follow IAM's rule.
    #[error("a user name is 1 to 64 characters of A-Z a-z 0-9 _ + = , . @ -")]
    UserName,
    /// Access key ids stand between slashes in a signature's credential scope.
    #[error("an access key id is 3 to 128 characters of A-Z a-z 0-9 _ + = , . @ -")]
    AccessKeyId,
    /// Secrets are typed and pasted by people.
    #[error("a secret access key is 8 to 128 printable ASCII characters without spaces")]
    Secret,
}

fn is_name(text: &str, min_len: usize, max_len: usize) -> bool {
    (min_len..=max_len).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

/// Checks a user name.
///
/// # Errors
/// [`InvalidName::UserName`].
pub fn validate_user_name(name: &str) -> Result<(), InvalidName> {
    is_name(name, 1, 64).then_some(()).ok_or(InvalidName::UserName)
}

/// Checks an access key id.
///
/// # Errors
/// [`InvalidName::AccessKeyId`].
pub fn validate_access_key_id(id: &str) -> Result<(), InvalidName> {
    is_name(id, 3, 128).then_some(()).ok_or(InvalidName::AccessKeyId)
}

/// Checks a secret access key.
///
/// # Errors
/// [`InvalidName::Secret`].
pub fn validate_secret(secret: &str) -> Result<(), InvalidName> {
    let printable = secret.bytes().all(|byte| byte.is_ascii_graphic());
    (printable && (8..=128).contains(&secret.len())).then_some(()).ok_or(InvalidName::Secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_spaces_are_refused_in_access_key_ids() {
        assert_eq!(validate_access_key_id("AKIA/x"), Err(InvalidName::AccessKeyId));
        assert_eq!(validate_access_key_id("AK IA"), Err(InvalidName::AccessKeyId));
        assert_eq!(validate_access_key_id("ab"), Err(InvalidName::AccessKeyId));
        assert_eq!(validate_access_key_id("AKIAIOSFODNN7EXAMPLE"), Ok(()));
    }

    #[test]
    fn secrets_may_hold_slashes_but_must_be_long_enough() {
        assert_eq!(validate_secret("wJalr/UtnFEMI+K7"), Ok(()));
        assert_eq!(validate_secret("short"), Err(InvalidName::Secret));
        assert_eq!(validate_secret("with space inside"), Err(InvalidName::Secret));
    }

    #[test]
    fn user_names_follow_iam() {
        assert_eq!(validate_user_name("ops@example.com"), Ok(()));
        assert_eq!(validate_user_name(""), Err(InvalidName::UserName));
        assert_eq!(validate_user_name(&"a".repeat(65)), Err(InvalidName::UserName));
        assert_eq!(validate_user_name("zoë"), Err(InvalidName::UserName));
    }
}
