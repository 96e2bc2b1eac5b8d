//! Which pages of other origins may use a bucket.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `rules` | sequence of rules |
//!
//! | Rule | Encoding |
//! | --- | --- |
//! | `id` | option of string |
//! | `allowed_origins` | sequence of strings |
//! | `allowed_methods` | sequence of varints: 0 `GET`, 1 `PUT`, 2 `POST`, 3 `DELETE`, 4 `HEAD` |
//! | `allowed_headers` | sequence of strings |
//! | `expose_headers` | sequence of strings |
//! | `max_age_seconds` | option of varint |

use serde::{Deserialize, Serialize};

use super::Record;

/// A method that a page of another origin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CorsMethod {
    /// `GET`.
    Get,
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
    /// `DELETE`.
    Delete,
    /// `HEAD`.
    Head,
}

/// Some origins, and what their pages may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsRule {
    /// The client's name for the rule.
    pub id: Option<String>,
    /// Origins, each with at most one `*` for any text.
    pub allowed_origins: Vec<String>,
    /// Methods, in the order given.
    pub allowed_methods: Vec<CorsMethod>,
    /// Names of request headers, each with at most one `*` for any text.
    pub allowed_headers: Vec<String>,
    /// Names of the answer's headers that pages may read.
    pub expose_headers: Vec<String>,
    /// How long browsers may remember the answer to a preflight.
    pub max_age_seconds: Option<u32>,
}

/// A bucket's rules in the order given; the first that matches counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsRecord {
    /// The rules.
    pub rules: Vec<CorsRule>,
}

impl Record for CorsRecord {
    const NAME: &'static str = "CORS record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cors_rules_have_golden_bytes() {
        let record = CorsRecord {
            rules: vec![CorsRule {
                id: Some("i".into()),
                allowed_origins: vec!["*".into()],
                allowed_methods: vec![CorsMethod::Get, CorsMethod::Head],
                allowed_headers: vec!["x".into()],
                expose_headers: Vec::new(),
                max_age_seconds: Some(1),
            }],
        };
        let golden = [1, 1, 1, 1, b'i', 1, 1, b'*', 2, 0, 4, 1, 1, b'x', 0, 1, 1];
        assert_eq!(record.encode()[..], golden);
        assert_eq!(CorsRecord::decode(&golden), Ok(record));
    }
}
