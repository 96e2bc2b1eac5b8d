//! Where routing rules send a request. Pure.
//!
//! Invariants:
//! - the first rule that matches counts: those without an error before the object is looked for,
//!   those with one once the error is known;
//! - what the client asked for is encoded again before it becomes part of a location; what the
//!   bucket's owner wrote is kept, but for bytes that a header cannot carry.

use std::{borrow::Cow, fmt::Write as _};

use gateway_meta::record::{RedirectKey, RoutingRule, WebsiteProtocol};

use crate::{ops::protocol_name, percent};

/// The status of a redirection that names none.
const MOVED: u16 = 301;

/// What a request asked for, as far as a location repeats it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The protocol.
    pub(super) protocol: WebsiteProtocol,
    /// Host and port.
    pub(super) host: &'a str,
    /// The key.
    pub(super) key: &'a str,
    /// The query as it came.
    pub(super) query: Option<&'a str>,
}

/// The rule for a request that was not looked at yet.
pub(super) fn before<'a>(rules: &'a [RoutingRule], key: &str) -> Option<&'a RoutingRule> {
    rules.iter().find(|rule| rule.error_status.is_none() && has_prefix(rule, key))
}

/// The rule for a request that would be answered with an error.
pub(super) fn after<'a>(
    rules: &'a [RoutingRule],
    key: &str,
    status: u16,
) -> Option<&'a RoutingRule> {
    rules.iter().find(|rule| rule.error_status == Some(status) && has_prefix(rule, key))
}

fn has_prefix(rule: &RoutingRule, key: &str) -> bool {
    rule.key_prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
}

/// Status and location of a rule's redirection.
pub(super) fn redirection(rule: &RoutingRule, asked: Asked<'_>) -> (u16, String) {
    let path = match &rule.key {
        RedirectKey::Keep => percent::encode(asked.key),
        RedirectKey::Whole(key) => as_written(key).into_owned(),
        RedirectKey::Prefix(replacement) => {
            let prefix = rule.key_prefix.as_deref().unwrap_or_default();
            let rest = asked.key.strip_prefix(prefix).unwrap_or(asked.key);
            format!("{}{}", as_written(replacement), percent::encode(rest))
        }
    };
    let host = rule.host.as_deref().unwrap_or(asked.host);
    let location = location(rule.protocol.unwrap_or(asked.protocol), host, &path, asked.query);
    (rule.status.unwrap_or(MOVED), location)
}

/// Where a website goes that is somewhere else altogether.
pub(super) fn moved(
    host: &str,
    protocol: Option<WebsiteProtocol>,
    asked: Asked<'_>,
) -> (u16, String) {
    let path = percent::encode(asked.key);
    (MOVED, location(protocol.unwrap_or(asked.protocol), host, &path, asked.query))
}

/// Where the folder is that the key names.
pub(super) fn folder(asked: Asked<'_>) -> String {
    let path = format!("{}/", percent::encode(asked.key));
    match path.starts_with('/') {
        // Two slashes at the start would name a host.
        true => location(asked.protocol, asked.host, &path, None),
        false => format!("/{path}"),
    }
}

fn location(protocol: WebsiteProtocol, host: &str, path: &str, query: Option<&str>) -> String {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}://{}/{path}{query}", protocol_name(protocol), as_written(host))
}

/// A text of the owner's with only those bytes encoded that a URI never has.
pub(super) fn as_written(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.bytes().fold(String::new(), |mut out, byte| {
        match byte.is_ascii_graphic() {
            true => out.push(char::from(byte)),
            false => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: RoutingRule = RoutingRule {
        key_prefix: None,
        error_status: None,
        protocol: None,
        host: None,
        key: RedirectKey::Keep,
        status: None,
    };

    fn asked(key: &str) -> Asked<'_> {
        Asked { protocol: WebsiteProtocol::Http, host: "h:1", key, query: None }
    }

    fn prefixed(prefix: &str) -> RoutingRule {
        RoutingRule { key_prefix: Some(prefix.into()), ..ANY }
    }

    #[test]
    fn rules_without_an_error_come_before_the_object() {
        let failing = RoutingRule { error_status: Some(404), ..ANY };
        let rules = [failing.clone(), prefixed("docs/"), ANY];
        assert_eq!(before(&rules, "docs/a"), Some(&rules[1]));
        assert_eq!(before(&rules, "other"), Some(&rules[2]));
        assert_eq!(before(&rules[..2], "other"), None);
        assert_eq!(after(&rules, "docs/a", 404), Some(&failing));
        assert_eq!(after(&rules, "docs/a", 403), None);
    }

    #[test]
    fn both_conditions_must_hold() {
        let rules = [RoutingRule { error_status: Some(403), ..prefixed("img/") }];
        assert_eq!(before(&rules, "img/a"), None);
        assert!(after(&rules, "img/a", 403).is_some());
        assert!(after(&rules, "a", 403).is_none());
    }

    #[test]
    fn locations_are_made_of_the_rule_and_the_request() {
        let to = |rule: &RoutingRule, key: &str| redirection(rule, asked(key));
        assert_eq!(to(&ANY, "a b/ü"), (301, "http://h:1/a%20b/%C3%BC".to_owned()));
        let rule =
            RoutingRule { key: RedirectKey::Prefix("documents/".into()), ..prefixed("docs/") };
        assert_eq!(to(&rule, "docs/a").1, "http://h:1/documents/a");
        assert_eq!(to(&rule, "docs/").1, "http://h:1/documents/");
        let rule = RoutingRule {
            protocol: Some(WebsiteProtocol::Https),
            host: Some("other".into()),
            key: RedirectKey::Whole("#!/ü?".into()),
            status: Some(302),
            ..ANY
        };
        assert_eq!(to(&rule, "docs/a"), (302, "https://other/#!/%C3%BC?".to_owned()));
        let rule = RoutingRule { key: RedirectKey::Prefix("new/".into()), ..ANY };
        assert_eq!(to(&rule, "a").1, "http://h:1/new/a");
    }

    #[test]
    fn queries_are_kept() {
        let asked = Asked { query: Some("a=1&b=%20"), ..asked("k") };
        assert_eq!(redirection(&ANY, asked).1, "http://h:1/k?a=1&b=%20");
        let (status, location) = moved("www", Some(WebsiteProtocol::Https), asked);
        assert_eq!((status, location.as_str()), (301, "https://www/k?a=1&b=%20"));
    }

    #[test]
    fn folders_are_on_the_same_host() {
        assert_eq!(folder(asked("a b")), "/a%20b/");
        assert_eq!(folder(asked("/evil.example")), "http://h:1//evil.example/");
    }

    #[test]
    fn nothing_ends_a_header() {
        assert_eq!(as_written("a\r\nSet-Cookie: x"), "a%0D%0ASet-Cookie:%20x");
    }
}
