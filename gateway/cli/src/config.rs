//! What the configuration files say, parsed once into typed, checked values.
//!
//! Invariants:
//! - a field that is not known is an error that names it;
//! - sizes, rates and times carry their units;
//! - relative paths are relative to the file that names them;
//! - `docs/examples` describes every field, and a test loads those files.

pub(crate) mod gateway;
mod mesh;
pub(crate) mod node;
mod quantity;
pub(crate) mod units;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};

pub(crate) use self::mesh::MeshSection;
use self::quantity::ByteSize;
use crate::args::drive_capacity_in_range;

/// One drive of a configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DriveSection {
    path: PathBuf,
    capacity: Option<ByteSize>,
}

impl DriveSection {
    /// The drive with its path as seen from the working directory.
    fn resolve(self, base: &Path) -> Result<node_server::DriveSpec> {
        let path = base.join(self.path);
        let capacity_bytes = self.capacity.map(|size| drive_capacity_in_range(size.0));
        let capacity_bytes = capacity_bytes
            .transpose()
            .map_err(|error| anyhow::anyhow!("capacity of drive {}: {error}", path.display()))?;
        Ok(node_server::DriveSpec { path, capacity_bytes })
    }
}

/// Reads a configuration file; answers it with the directory that relative paths start from.
fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, PathBuf)> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read configuration file {}", path.display()))?;
    let parsed =
        toml::from_str(&text).with_context(|| format!("configuration file {}", path.display()))?;
    Ok((parsed, path.parent().unwrap_or(Path::new("")).to_owned()))
}
