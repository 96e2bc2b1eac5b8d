//! The peer-to-peer mesh.

mod host;
mod stream;

pub use host::{Host, LayoutRefused};
