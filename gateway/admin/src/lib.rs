//! The admin REST API and the operator's probes.
//!
//! Owns every route of the admin address: `/healthz`, `/readyz`, `/metrics`, and `/api/v1/...`,
//! which the command line (and later the console) uses and nothing else. `docs/admin-api.md`
//! describes the routes.
//!
//! Invariants:
//! - every `/api/v1` route but `POST /api/v1/session` demands a token of a live access key;
//! - only an administrator gets past the token, decided by [`gateway_iam::authorize()`];
//! - tokens are signed with a key derived from the root key and expire by the injected clock;
//! - answers are JSON; failures carry `error.code` and `error.message`;
//! - what is said of the mesh comes through [`MeshView`]: nothing here knows a transport.
//!
//! Deliberately absent: S3, s3s, roles below administrator (they come with identity).
//!
//! *Limits:* request bodies are at most 64 KiB, sign-ins under way at most eight.

mod diagnosis;
mod error;
mod mesh;
mod probe;
mod routes;
mod server;
mod session;

pub use mesh::{BootstrapReport, MeshPeer, MeshReport, MeshView};
pub use routes::wire;
pub use server::{AdminDeps, Readiness, ServeAdminError, router, serve};
