//! Meshes of one process, over real sockets.
//!
//! Each test starts its own meshes on ports of the system's choosing.

mod hosts;
mod joining;
