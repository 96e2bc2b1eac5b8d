//! The `datamesh` binary as an operator meets it: starting, stopping, commands, lost drives, full
//! drives, memory.
//!
//! Every test starts processes of its own on free ports of the loopback interface, in temporary
//! directories, and ends no other process.

mod access_logs;
mod accounts;
mod commands;
mod drain;
mod drives;
mod durability;
mod encryption;
mod limits;
mod mesh;
mod mesh_commands;
mod metrics;
mod nodes;
mod process;
mod refusals;
mod s3;
mod start;
mod tls;
