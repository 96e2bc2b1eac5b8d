//! Who belongs to a cluster.
