//! Chromium, driven by playwright-core: `clients/browser`.

use std::path::Path;

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;

use crate::scenario::scenarios;

fn chromium(home: &Path) -> Program {
    let modules =
        [installed("node", "node/node_modules"), installed("browser", "browser/node_modules")];
    let modules = std::env::join_paths(modules).expect("paths without colons");
    let website = crate::shared().website_url();
    let port = website.rsplit(':').next().unwrap_or_default();
    let program = Program::new("node", home)
        .env("NODE_PATH", modules)
        .env("COMPAT_WEBSITE", port)
        .arg(source_dir().join("browser/browser.cjs"));
    match std::env::var_os("COMPAT_SCREENSHOTS") {
        Some(folder) => program.env("COMPAT_SCREENSHOTS", folder),
        None => program,
    }
}

scenarios! {
    chromium;

    #[test]
    fn pages_of_an_allowed_origin_read_and_write() {}

    #[test]
    fn pages_of_other_origins_get_nothing() {}

    #[test]
    fn form_with_a_policy_uploads_a_file() {}

    #[test]
    fn website_shows_pages_links_and_errors() {}
}
