//! The `noun verb` commands: one file per noun. Each asks the admin API and prints the answer, as
//! a table for people or as JSON.

pub(crate) mod device;
pub(crate) mod key;
mod print;
pub(crate) mod repair;
pub(crate) mod scrub;
pub(crate) mod user;
