//! How a bucket is served as a website.
//!
//! The record is one of two alternatives:
//!
//! | Number | Alternative | Encoding |
//! | --- | --- | --- |
//! | 0 | `Pages` | `index_suffix` string, `error_key` option of string, `rules` sequence of rules |
//! | 1 | `RedirectAll` | `host` string, `protocol` option of protocol |
//!
//! | Part of a rule | Encoding |
//! | --- | --- |
//! | `key_prefix` | option of string |
//! | `error_status` | option of varint |
//! | `protocol` | option of varint: 0 `http`, 1 `https` |
//! | `host` | option of string |
//! | `key` | varint: 0 kept, 1 another prefix, 2 another key; then the string of the latter two |
//! | `status` | option of varint |

use serde::{Deserialize, Serialize};

use super::Record;

/// How a client is sent elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebsiteProtocol {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// What becomes of the key in a redirection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedirectKey {
    /// It stays.
    Keep,
    /// This takes the place of the prefix that the rule matched.
    Prefix(String),
    /// This takes its place.
    Whole(String),
}

/// Sends some requests elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingRule {
    /// Only keys that start so.
    pub key_prefix: Option<String>,
    /// Only requests that would be answered with this error.
    pub error_status: Option<u16>,
    /// To which protocol; the request's if `None`.
    pub protocol: Option<WebsiteProtocol>,
    /// To which host; the request's if `None`.
    pub host: Option<String>,
    /// To which key.
    pub key: RedirectKey,
    /// Under which status; 301 if `None`.
    pub status: Option<u16>,
}

/// A bucket's website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebsiteRecord {
    /// Objects are pages.
    Pages {
        /// What is added to keys that are empty or end with a slash.
        index_suffix: String,
        /// The object that is shown instead of an error.
        error_key: Option<String>,
        /// The rules in the order given; the first that matches counts.
        rules: Vec<RoutingRule>,
    },
    /// Every request is sent to another host.
    RedirectAll {
        /// The host.
        host: String,
        /// The protocol; the request's if `None`.
        protocol: Option<WebsiteProtocol>,
    },
}

impl Record for WebsiteRecord {
    const NAME: &'static str = "website record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_golden_bytes() {
        let record = WebsiteRecord::Pages {
            index_suffix: "i".into(),
            error_key: Some("e".into()),
            rules: vec![RoutingRule {
                key_prefix: Some("p".into()),
                error_status: Some(404),
                protocol: Some(WebsiteProtocol::Https),
                host: None,
                key: RedirectKey::Whole("k".into()),
                status: Some(302),
            }],
        };
        let rule = [1, 1, b'p', 1, 0x94, 3, 1, 1, 0, 2, 1, b'k', 1, 0xae, 2];
        let golden = [&[1, 0, 1, b'i', 1, 1, b'e', 1][..], &rule].concat();
        assert_eq!(record.encode()[..], golden);
        assert_eq!(WebsiteRecord::decode(&golden), Ok(record));
    }

    #[test]
    fn redirection_of_everything_has_golden_bytes() {
        let record =
            WebsiteRecord::RedirectAll { host: "h".into(), protocol: Some(WebsiteProtocol::Http) };
        let golden = [1, 1, 1, b'h', 1, 0];
        assert_eq!(record.encode()[..], golden);
        assert_eq!(WebsiteRecord::decode(&golden), Ok(record));
    }
}
