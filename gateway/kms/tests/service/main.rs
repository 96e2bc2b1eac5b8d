//! The built-in key service, over the metadata store in memory.

#[cfg(test)]
mod built_in;
