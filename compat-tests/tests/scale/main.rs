//! Many objects and one very large one: restart, listing, scrub, deletion and reclamation stay
//! within the bounds stated here, and memory stays flat.
//!
//! - Bounded by default; `DATAMESH_SCALE_OBJECTS=1000000` and `DATAMESH_SCALE_LARGE_GIB=10` are the
//!   sizes that `make scale` asks for.
//! - Load, verified reads and deletes are `bench`'s; this file judges.
//! - Bounds that depend on the machine are wide; what must not grow with the number of objects is
//!   compared with the same figure of the same server when it held few.

mod large;
mod lifecycle;
mod load;
mod observed;
mod small;

/// A number from the environment, or `default`.
fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}
