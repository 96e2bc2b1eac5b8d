//! S3 on the wire: HTTP, signatures, authorization, XML and the error table.
//!
//! Owns [`S3Edge`]. Requests pass through these layers, outermost first:
//!
//! | layer | does |
//! | --- | --- |
//! | `port`, `tls`, `stall` | connections, TLS, HTTP/1.1 and HTTP/2, limits, draining |
//! | `exchange`, `telemetry` | request ids, size limits, metrics, access log |
//! | `front`, `claim`, `cors` | scopes, error documents, pages of other origins |
//! | `s3s` | signatures: header, query, signed chunks, forms and their policies |
//! | `adapter` | who asks, what for (`operation`), and whether it is allowed |
//! | `ops` | one file per family of operations |
//! | `website` | buckets as websites, on a port beside all of this |
//! | `error_table` | failures of the domain as codes of S3 |
//!
//! Invariants:
//! - deny by default: no operation runs before its action was authorized;
//! - an operation, sub-resource or header that is not there answers `NotImplemented` (501), never
//!   something else's result;
//! - no type of the S3 adapter leaves this crate;
//! - what the service is asked to store is what the client signed, or its digests say so.
//!
//! Deliberately absent: what S3 means (`gateway-object`), who may do what (`gateway-iam`), bytes at
//! rest.

mod access_line;
mod adapter;
mod answer;
mod asked;
mod authorization;
mod body;
mod call;
mod claim;
mod config;
mod convert;
mod cors;
mod edge;
mod error;
mod error_table;
mod exchange;
mod explain;
mod front;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod header;
mod lock_header;
mod operation;
mod ops;
mod percent;
mod port;
mod query;
mod range;
mod request_id;
mod sig_v2;
mod sse;
mod stall;
mod target;
mod telemetry;
mod tls;
mod token;
mod unparsed;
mod website;
mod xml;

pub use config::S3EdgeConfig;
pub use edge::S3Edge;
pub use port::ServeError;
pub use tls::{LoadTlsError, TlsConfig};
pub use website::WebsiteEdge;
