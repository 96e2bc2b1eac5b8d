//! Meshes of one process, over real sockets.
//!
//! Each test starts its own meshes on ports of the system's choosing.

mod discovery;
mod hosts;
mod joining;
mod memory;
mod shards;
mod strangers;
