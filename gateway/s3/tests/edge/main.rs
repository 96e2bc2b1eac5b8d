//! The S3 edge over a real object service, on a loopback port.
//!
//! The modules are marked as tests so that their helpers may `unwrap`, too.

#[cfg(test)]
mod access;
#[cfg(test)]
mod access_log;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod configurations;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod encryption;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod lock;
#[cfg(test)]
mod memory_device;
#[cfg(test)]
mod multipart;
#[cfg(test)]
mod policy;
mod policy_facts;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod rename;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod website;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod writes;
