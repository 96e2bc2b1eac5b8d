//! The peer-to-peer mesh between gateways and storage nodes.
//!
//! Owns connections, admission, discovery and lanes; turns them into [`ShardService`]s of devices
//! elsewhere and serves the devices of this process to others.
//!
//! Invariants:
//! - a peer is who its key says; nobody is asked or answered before proving it;
//! - who is not in the layout can do nothing here, except ask a gateway to join;
//! - every queue, table and message is bounded.
//!
//! Deliberately absent: files, metadata, and anything that knows S3. Nothing outside this crate
//! knows libp2p.
//!
//! [`ShardService`]: node_proto::ShardService

mod address;
mod config;
mod connection;
mod driver;
mod host;
mod identity;
mod join;
mod lane;
mod lanes;
mod mesh;
mod net;
mod remote;
mod roster;
mod serve;
mod stream;
mod telemetry;
mod transport;

pub use address::InvalidAddress;
pub use config::{MeshConfig, Security};
pub use host::{Host, LayoutRefused};
pub use identity::Identity;
pub use lane::CallError;
pub use mesh::{Mesh, PeerReport, StartMeshError};
pub use transport::SetupError;
