//! A browser against a server: pages of other origins, upload forms and websites in Chromium.
//!
//! - Chromium is Debian's, found by `scripts/deps`; what drives it is pinned in
//!   `compat-tests/clients/browser`.
//! - Each test starts a fresh browser with a fresh profile; all share one server, whose buckets are
//!   websites under `localhost`.

mod chromium;
#[path = "../clients/scenario.rs"]
mod scenario;

/// The server that the tests share.
fn shared() -> compat_tests::server::Server {
    compat_tests::server::Server::shared_as(|| {
        let websites = ["--website", "127.0.0.1:0", "--website-domain", "localhost"];
        compat_tests::server::Server::start(&websites)
    })
}
