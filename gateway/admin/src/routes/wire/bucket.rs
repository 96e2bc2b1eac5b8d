//! `/buckets`.

use serde::{Deserialize, Serialize};

/// `/buckets/{name}/acknowledge`: when uploads are acknowledged. Request and answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// `all` or `data-plus-one`.
    pub acknowledge: String,
}
