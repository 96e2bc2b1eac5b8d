//! The section `[mesh]`: how a gateway or node takes part in the mesh.

use anyhow::{Result, ensure};
use node_mesh::Security;
use node_server::MeshOptions;
use serde::Deserialize;

use super::quantity::ByteSize;

/// Least `budget`: some shards on their way at once.
const BUDGET_BYTES_MIN: u64 = 16 << 20;

/// Default `budget`. Chosen: some hundred shards.
pub(crate) const BUDGET_BYTES_DEFAULT: u64 = 256 << 20;

/// What a file says of the mesh.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MeshSection {
    pub(super) listen: Option<Vec<String>>,
    pub(super) advertise: Vec<String>,
    bootstrap: Vec<String>,
    discovery: Option<bool>,
    security: SecurityName,
    budget: Option<ByteSize>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SecurityName {
    #[default]
    Auto,
    Tls,
    Noise,
}

impl MeshSection {
    /// Sets what others should dial.
    pub(crate) fn advertise_at(&mut self, addresses: Vec<String>) {
        self.advertise = addresses;
    }

    /// The options, with `listen` for a section that names no address.
    pub(crate) fn options(self, listen: &str) -> Result<MeshOptions> {
        let budget_bytes = self.budget.map_or(BUDGET_BYTES_DEFAULT, |size| size.0);
        ensure!(
            budget_bytes >= BUDGET_BYTES_MIN,
            "mesh.budget: at least {} MiB are needed",
            BUDGET_BYTES_MIN >> 20
        );
        Ok(MeshOptions {
            listen: self.listen.unwrap_or_else(|| vec![listen.to_owned()]),
            advertise: self.advertise,
            bootstrap: self.bootstrap,
            discovery: self.discovery.unwrap_or(true),
            security: match self.security {
                SecurityName::Auto => Security::Auto,
                SecurityName::Tls => Security::Tls,
                SecurityName::Noise => Security::Noise,
            },
            budget_bytes,
        })
    }
}
