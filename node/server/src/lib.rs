//! A storage node: drives behind the mesh.
//!
//! Owns the node's data directory (its key, its cluster, the layout it follows), its drives, and
//! how it joins a cluster and stays in touch with the gateways.
//!
//! Invariants:
//! - a layout is followed only when the cluster's key signed it, it is of this cluster, and its
//!   epoch is not lower than the last one; it is durable before it is acknowledged;
//! - which cluster a node belongs to is decided once, by the token of its first start;
//! - a bad drive stops no other drive and not the node;
//! - what a drive holds is told by its superblock, not by the path it is found under.
//!
//! *Crash consistency:* nothing here needs a clean stop. The layout is written before the
//! membership, so a node that knows its cluster also knows its layout.
//!
//! Deliberately absent: metadata, keys of objects, anything that knows S3; the network itself is
//! `node-mesh`'s.

mod announce;
mod config;
mod directory;
mod drives;
pub mod durable_file;
mod host;
mod membership;
mod node;

pub use config::{DriveSpec, InvalidNodeName, MeshOptions, NodeConfig, NodeDeps, NodeName};
pub use directory::{OpenDirectoryError, read_or_make_identity};
pub use membership::{GatewayAddress, Membership};
pub use node::{Node, RunNodeError, Standing, StartNodeError, mesh_config};
