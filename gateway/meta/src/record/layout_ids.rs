//! Ids that no layout had yet, under `ctl layout-ids`.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `next_node` | varint |
//! | `next_device` | varint |

use serde::{Deserialize, Serialize};

use super::Record;

/// Written by each commit that changes the layout, so that ids of what left it are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutIdsRecord {
    /// Nodes from this id on are unused.
    pub next_node: u32,
    /// Devices from this id on are unused.
    pub next_device: u32,
}

impl Record for LayoutIdsRecord {
    const NAME: &'static str = "layout ids record";
}
