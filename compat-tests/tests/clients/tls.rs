//! S3 over TLS with a PEM pair; the SDKs send other bodies there than over plain HTTP.

use std::path::{Path, PathBuf};

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;
use compat_tests::server::Server;
use tempfile::TempDir;

use crate::scenario;

/// A server with a certificate of its own, for `127.0.0.1` and `localhost`.
struct TlsServer {
    server: Server,
    certificate: PathBuf,
    _dir: TempDir,
}

impl TlsServer {
    fn start() -> Self {
        let dir = TempDir::new().expect("the temporary directory is writable");
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let name = "subjectAltName=IP:127.0.0.1,DNS:localhost";
        let _ = Program::new("openssl", dir.path())
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=compat-tests", "-addext", name])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .succeed();
        let path = |file: &Path| file.to_str().expect("a temporary path is UTF-8").to_owned();
        let (cert_path, key_path) = (path(&certificate), path(&key));
        let server = Server::start(&["--tls-cert", &cert_path, "--tls-key", &key_path]);
        assert!(server.s3_url().starts_with("https://"), "{}", server.s3_url());
        Self { server, certificate, _dir: dir }
    }

    /// Runs one scenario with the certificate trusted, whatever way the SDK takes it.
    fn run(&self, program: Program, name: &str) {
        let program = program
            .env("AWS_CA_BUNDLE", &self.certificate)
            .env("SSL_CERT_FILE", &self.certificate)
            .env("NODE_EXTRA_CA_CERTS", &self.certificate);
        scenario::run(program, &self.server, "tls", name);
    }

    fn boto3(&self) -> Program {
        Program::new(installed("python", "python/bin/python"), &self.server.home_dir())
            .arg("-B")
            .arg(source_dir().join("python/boto3_tls_client.py"))
    }

    fn go_sdk(&self) -> Program {
        Program::new(installed("go", "bin/go-client"), &self.server.home_dir())
    }

    fn javascript_sdk(&self) -> Program {
        Program::new("node", &self.server.home_dir())
            .env("NODE_PATH", installed("node", "node/node_modules"))
            .arg(source_dir().join("node/client.cjs"))
    }
}

#[test]
fn boto3_sends_trailing_checksums() {
    let tls = TlsServer::start();
    for name in [
        "trailing_checksums_are_decoded_and_stored",
        "an_encoding_beside_aws_chunked_is_kept",
        "transfers_in_parts_roundtrip",
    ] {
        tls.run(tls.boto3(), name);
    }
}

#[test]
fn the_go_sdk_streams_with_trailing_checksums() {
    let tls = TlsServer::start();
    for name in ["every_checksum_algorithm", "uploader_streams", "put_get_head_delete_roundtrip"] {
        tls.run(tls.go_sdk(), name);
    }
}

#[test]
fn the_javascript_sdk_streams_with_trailing_checksums() {
    let tls = TlsServer::start();
    for name in ["put_streams_with_a_trailing_checksum", "upload_helper_streams"] {
        tls.run(tls.javascript_sdk(), name);
    }
}

#[test]
fn plain_http_is_refused() {
    let tls = TlsServer::start();
    let answer = tls.server.wire().get("/").try_send();
    assert!(answer.is_err(), "plain HTTP was answered: {answer:?}");
}
