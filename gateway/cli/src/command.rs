//! The `noun verb` commands: one file per noun. Each asks the admin API and prints the answer, as
//! a table for people or as JSON.

pub(crate) mod bucket;
pub(crate) mod device;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod kms;
pub(crate) mod layout;
pub(crate) mod lifecycle;
pub(crate) mod mesh;
pub(crate) mod node;
mod print;
pub(crate) mod repair;
pub(crate) mod scrub;
pub(crate) mod user;
