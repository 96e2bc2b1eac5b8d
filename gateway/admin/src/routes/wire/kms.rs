//! `/kms`.

use serde::{Deserialize, Serialize};

/// A key of the built-in key service. What it is made of is never told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsKey {
    /// Its id.
    pub id: String,
    /// Names it goes by, without `alias/`.
    pub aliases: Vec<String>,
    /// What the administrator says of it.
    pub description: String,
    /// Whether objects can be written and read with it.
    pub enabled: bool,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When its newest version was made, RFC 3339.
    pub rotated: String,
    /// How many versions it has.
    pub versions: u32,
}

/// `GET /kms/keys`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KmsKeyList {
    /// By id.
    pub keys: Vec<KmsKey>,
}

/// `POST /kms/keys`, request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKmsKey {
    /// Its id; random if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A name it goes by, without `alias/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What to say of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}
