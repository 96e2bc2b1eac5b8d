//! Names of nodes and zones.

use node_proto::join::NAME_LEN_BYTES_MAX;

/// What the domains of the gateway's own drives start with; no zone may be mistaken for one.
const LOCAL_DOMAIN_PREFIX: &str = "drive-";

/// A name breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {name:?} is not acceptable: 1 to {NAME_LEN_BYTES_MAX} letters, digits, `-`, `_` and `.`, \
     with a letter or digit first; `drive-` and a number are the gateway's own drives"
)]
pub struct InvalidName {
    /// `node name` or `zone`.
    pub what: &'static str,
    /// As given, cut.
    pub name: String,
}

/// Checks the name of a node.
pub(crate) fn validate_node_name(name: &str) -> Result<(), InvalidName> {
    validate("node name", name)
}

/// Checks the name of a zone.
pub(crate) fn validate_zone(name: &str) -> Result<(), InvalidName> {
    validate("zone", name)
}

fn validate(what: &'static str, name: &str) -> Result<(), InvalidName> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_local = name
        .strip_prefix(LOCAL_DOMAIN_PREFIX)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    let is_fine = (1..=NAME_LEN_BYTES_MAX).contains(&name.len())
        && name.bytes().all(is_allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && !is_local;
    if is_fine {
        return Ok(());
    }
    Err(InvalidName { what, name: name.chars().take(NAME_LEN_BYTES_MAX).collect() })
}

/// `wanted`, or, where that is taken, the first of `wanted-2`, `wanted-3` and so on that is not.
pub(crate) fn free_name(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(wanted) {
        return wanted.to_owned();
    }
    let numbered = |number: u64| {
        let suffix = format!("-{number}");
        // Names are ASCII.
        let kept = wanted.len().min(NAME_LEN_BYTES_MAX - suffix.len());
        format!("{}{suffix}", &wanted[..kept])
    };
    (2..)
        .map(numbered)
        .find(|name| !is_taken(name))
        .expect("there are more numbers than names that can be taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        for name in ["a", "rack-a", "node_1.example", "7", &"x".repeat(63), "drive-", "drive-a"] {
            assert_eq!(validate_node_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(64);
        for name in ["", "-a", ".", "a b", "a/b", "ä", "a\n", "drive-7", long.as_str()] {
            assert!(validate_zone(name).is_err(), "{name}");
        }
    }

    #[test]
    fn taken_names_get_a_number() {
        let taken = ["a", "a-2"];
        assert_eq!(free_name("b", |name| taken.contains(&name)), "b");
        assert_eq!(free_name("a", |name| taken.contains(&name)), "a-3");
        let long = "x".repeat(63);
        let free = free_name(&long, |name| name == long);
        assert_eq!(free.len(), 63);
        assert!(free.ends_with("x-2"), "{free}");
    }
}
