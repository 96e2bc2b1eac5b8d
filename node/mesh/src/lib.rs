//! The peer-to-peer mesh.
