//! Entry points for fuzzing: persisted accounts and access keys, the names clients give, and
//! policies.
//!
//! Each function takes any bytes and panics when a property does not hold. A target of
//! `compat-tests/fuzz` calls it, and a test replays every input that is kept there.
//!
//! Deliberately absent: from every build but tests and the fuzz package's own.

use gateway_meta::record::Record;

use crate::{
    Action, Policy, PolicyContext, PolicyRequest, Principal, Verdict,
    record::{AccessKeyRecord, AccountRecord},
    validate_access_key_id, validate_secret, validate_user_name,
};

#[cfg(test)]
#[path = "../../../compat-tests/fuzz/kept.rs"]
mod kept;

/// Persisted records and names. The first byte chooses.
///
/// What decodes encodes to at most as many bytes, and those decode to the same record; names that
/// are accepted can stand in a signature's scope and in a header.
pub fn record(data: &[u8]) {
    let Some((kind, value)) = data.split_first() else {
        return;
    };
    match kind % 3 {
        0 => round_trip::<AccountRecord>(value),
        1 => round_trip::<AccessKeyRecord>(value),
        _ => {
            let Ok(text) = std::str::from_utf8(value) else {
                return;
            };
            let in_scope = |text: &str| text.is_ascii() && !text.contains(['/', ' ', '\r', '\n']);
            for valid in [validate_user_name(text), validate_access_key_id(text)] {
                assert!(valid.is_err() || (in_scope(text) && text.len() <= 128));
            }
            let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(validate_secret(text).is_err() || (printable && text.len() >= 8));
        }
    }
}

/// A policy, a key and facts, with zeros between them; facts are lines of `name=value`.
///
/// Whatever is read is judged in bounded time and the same way twice. Who has no name and of whom
/// nothing is known is let in only by a policy that is told to be public.
pub fn policy(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let [text, key, facts] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let Ok(policy) = Policy::parse(&text, "bucket") else {
        return;
    };
    let mut known = PolicyContext::default();
    for (name, value) in facts.lines().filter_map(|line| line.split_once('=')) {
        known.add(name, value);
    }
    let account = gateway_meta::AccountId(2);
    let somebody = Principal::Account { account, access_key_id: String::new() };
    for action in [Action::GetObject, Action::ListBucket] {
        let key = (action == Action::GetObject).then_some(&*key);
        let judge = |principal: &Principal, context: &PolicyContext| {
            policy.judge(&PolicyRequest { principal, action, bucket: "bucket", key, context })
        };
        assert_eq!(judge(&somebody, &known), judge(&somebody, &known));
        let stranger = judge(&Principal::Anonymous, &PolicyContext::default());
        assert!(stranger != Verdict::Allowed || policy.is_public());
    }
}

fn round_trip<R: Record + PartialEq + std::fmt::Debug>(value: &[u8]) {
    let Ok(record) = R::decode(value) else {
        return;
    };
    let encoded = record.encode();
    assert!(encoded.len() <= value.len(), "{} grows by being read", R::NAME);
    assert_eq!(R::decode(&encoded).as_ref(), Ok(&record), "{}", R::NAME);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_inputs_hold() {
        kept::replay("iam_record", record);
    }

    #[test]
    fn kept_policies_hold() {
        kept::replay("iam_policy", policy);
    }
}
