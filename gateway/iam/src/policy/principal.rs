//! Whom a statement is about.

use gateway_meta::AccountId;

use super::{Malformed, json::Json};
use crate::{Principal, canonical_id};

/// One principal of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyPrincipal {
    /// Everybody, also those without credentials.
    Everyone,
    /// An account, by its number.
    Account(AccountId),
    /// The user of an account, by the account's number and the user's name.
    User {
        /// The account.
        account: AccountId,
        /// Its name.
        name: String,
    },
    /// An account, by its canonical id.
    Canonical(String),
    /// A service of AWS. There is none here, so nobody.
    Service(String),
}

impl PolicyPrincipal {
    /// Whether a principal is the one that is meant. The number of a user's account says who it is:
    /// numbers are not given twice.
    pub(super) fn is(&self, principal: &Principal) -> bool {
        let account = principal.account();
        match self {
            Self::Everyone => true,
            Self::Account(id) | Self::User { account: id, .. } => account == Some(*id),
            Self::Canonical(id) => account.is_some_and(|account| canonical_id(account) == *id),
            Self::Service(_) => false,
        }
    }
}

/// Reads `Principal` or `NotPrincipal`.
pub(super) fn parse(json: &Json) -> Result<Vec<PolicyPrincipal>, Malformed> {
    let mut found = Vec::new();
    match json {
        Json::Text(text) if text == "*" => found.push(PolicyPrincipal::Everyone),
        Json::Object(kinds) if !kinds.is_empty() => {
            for (kind, names) in kinds {
                for name in names.one_or_many() {
                    let invalid = || Malformed::principal(kind, name);
                    let text = name.text().ok_or_else(invalid)?;
                    found.push(named(kind, text).ok_or_else(invalid)?);
                }
            }
        }
        _ => return Err(Malformed::Principal { detail: String::new() }),
    }
    match found.is_empty() {
        true => Err(Malformed::Principal { detail: String::new() }),
        false => Ok(found),
    }
}

fn named(kind: &str, name: &str) -> Option<PolicyPrincipal> {
    match kind {
        "AWS" if name == "*" => Some(PolicyPrincipal::Everyone),
        "AWS" => account(name)
            .map(PolicyPrincipal::Account)
            .or_else(|| arn(name))
            .or_else(|| canonical(name)),
        "CanonicalUser" => canonical(name),
        "Service" => {
            let is_service = name.ends_with(".amazonaws.com")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
            is_service.then(|| PolicyPrincipal::Service(name.to_owned()))
        }
        _ => None,
    }
}

/// An account's number, which has twelve digits.
fn account(text: &str) -> Option<AccountId> {
    let is_number = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(AccountId)
}

fn arn(text: &str) -> Option<PolicyPrincipal> {
    let (number, who) = text.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let account = account(number)?;
    match who.strip_prefix("user/") {
        None => (who == "root").then_some(PolicyPrincipal::Account(account)),
        Some(name) => {
            crate::validate_user_name(name).ok()?;
            Some(PolicyPrincipal::User { account, name: name.to_owned() })
        }
    }
}

fn canonical(text: &str) -> Option<PolicyPrincipal> {
    let is_id = text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_id.then(|| PolicyPrincipal::Canonical(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Vec<PolicyPrincipal>, Malformed> {
        parse(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn principals_are_read() {
        let ann = AccountId(2);
        let canonical = canonical_id(ann);
        for (json, expected) in [
            (r#""*""#.to_owned(), PolicyPrincipal::Everyone),
            (r#"{"AWS":"*"}"#.to_owned(), PolicyPrincipal::Everyone),
            (r#"{"AWS":"000000000002"}"#.to_owned(), PolicyPrincipal::Account(ann)),
            (
                r#"{"AWS":["arn:aws:iam::000000000002:root"]}"#.to_owned(),
                PolicyPrincipal::Account(ann),
            ),
            (
                r#"{"AWS":"arn:aws:iam::000000000002:user/ann"}"#.to_owned(),
                PolicyPrincipal::User { account: ann, name: "ann".to_owned() },
            ),
            (
                format!(r#"{{"CanonicalUser":"{canonical}"}}"#),
                PolicyPrincipal::Canonical(canonical.clone()),
            ),
            (
                r#"{"Service":"logging.s3.amazonaws.com"}"#.to_owned(),
                PolicyPrincipal::Service("logging.s3.amazonaws.com".to_owned()),
            ),
        ] {
            assert_eq!(parsed(&json).unwrap(), [expected], "{json}");
        }
    }

    #[test]
    fn principals_that_cannot_be_are_refused() {
        for json in [
            r#""ann""#,
            r#"{}"#,
            r#"[]"#,
            r#"{"AWS":[]}"#,
            r#"{"AWS":"2"}"#,
            r#"{"AWS":"arn:aws:iam::2:root"}"#,
            r#"{"AWS":"arn:aws:iam::000000000002:role/x"}"#,
            r#"{"AWS":"arn:aws:iam::000000000002:user/a b"}"#,
            r#"{"AWS":"arn:aws:iam::000000000002:user/*"}"#,
            r#"{"AWS":5}"#,
            r#"{"Federated":"accounts.google.com"}"#,
            r#"{"CanonicalUser":"ABC"}"#,
            r#"{"Service":"*"}"#,
        ] {
            assert!(parsed(json).is_err(), "{json}");
        }
    }

    #[test]
    fn everybody_includes_strangers_and_nobody_else_does() {
        let ann = Principal::Account { account: AccountId(2), access_key_id: String::new() };
        assert!(PolicyPrincipal::Everyone.is(&Principal::Anonymous));
        assert!(PolicyPrincipal::Everyone.is(&ann));
        let by_id = PolicyPrincipal::Canonical(canonical_id(AccountId(2)));
        for one in [PolicyPrincipal::Account(AccountId(2)), by_id] {
            assert!(one.is(&ann));
            assert!(!one.is(&Principal::Anonymous));
            let ben = Principal::Account { account: AccountId(3), access_key_id: String::new() };
            assert!(!one.is(&ben));
        }
    }
}
