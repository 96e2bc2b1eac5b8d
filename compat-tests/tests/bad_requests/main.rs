//! Bad requests: one table of what is wrong, and of the documented answer to it.
//!
//! - Expectations are what AWS documents or is known to answer, and what the HTTP RFCs say; never
//!   what the server happens to do. Where the server has to differ, the row says so.
//! - No bad request changes anything: what is visible before the table is visible after it.
//! - The table is also a load: it costs little, leaks nothing, and others are served meanwhile.

mod bodies;
mod checksums;
mod conditions;
mod configurations;
mod documents;
mod encryption;
mod exchange;
mod forms;
mod framing;
mod gauges;
mod http2;
mod load;
mod metadata;
mod multipart;
mod mutations;
mod names;
mod neighbour;
mod parameters;
mod presigned;
mod row;
mod signatures;
mod slow;
mod stage;
mod table;
mod versions;
