//! The installed clients: where `compat-tests/clients/install` put them, and whether they are
//! the ones this checkout pins.
//!
//! - A client is used only if its stamp names every file that defines it with the hash the file
//!   has now, so an edited pin or program cannot be tested with yesterday's build.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use crate::program::Program;
use crate::server::{Credentials, Server};

/// The region every client signs for; the server's default.
pub const REGION: &str = "us-east-1";

/// The directory of the clients' pins and programs in this checkout.
#[must_use]
pub fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn installed_dir() -> PathBuf {
    match std::env::var_os("DATAMESH_CLIENTS_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients"),
    }
}

/// The path of `file` below the directory of installed clients, once `client` is known to be
/// installed from this checkout's pins.
///
/// # Panics
/// With the command to run when `client` is missing or stale.
#[must_use]
pub fn installed(client: &str, file: &str) -> PathBuf {
    let dir = installed_dir();
    let stamp_path = dir.join(format!("{client}.stamp"));
    let advice = format!("run `compat-tests/clients/install {client}`");
    let stamp = std::fs::read_to_string(&stamp_path).unwrap_or_else(|error| {
        panic!("client {client} is not installed ({}: {error}); {advice}", stamp_path.display())
    });
    for line in stamp.lines() {
        let (hash, name) = line.split_once("  ").unwrap_or_else(|| {
            panic!("{} is not a list of hashes; {advice}", stamp_path.display())
        });
        let current = std::fs::read(source_dir().join(name))
            .map(|content| hex::encode(digest::digest(&digest::SHA256, &content)))
            .unwrap_or_default();
        assert!(hash == current, "client {client} was installed before {name} changed; {advice}");
    }
    dir.join(file)
}

/// `program` set up the way every AWS SDK and tool reads its configuration: endpoint, region and
/// credentials in the environment, and no other configuration in reach.
pub fn aws_environment(program: Program, server: &Server, credentials: &Credentials) -> Program {
    program
        .env("AWS_ACCESS_KEY_ID", &credentials.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &credentials.secret_key)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ENDPOINT_URL", server.s3_url())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}
