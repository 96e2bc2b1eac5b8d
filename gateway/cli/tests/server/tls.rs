//! S3 over TLS.

use std::fs;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer};

use crate::process::{Machine, Server};
use crate::s3::{S3, payload};

/// A client configuration that trusts only the given certificates.
fn trusting(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).expect("the certificate is well-formed");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A server with a new certificate for `names`, and the certificate.
fn start_with_tls(machine: &Machine, names: &[&str]) -> (Server, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
    let paths = ["cert.pem", "key.pem"].map(|name| machine.path().join(name));
    fs::write(&paths[0], made.cert.pem()).expect("the test's directory is writable");
    fs::write(&paths[1], made.signing_key.serialize_pem()).expect("the directory is writable");
    let [certificate, key] = paths.map(|path| path.to_str().expect("UTF-8").to_owned());
    let server = machine.server().args(&["--tls-cert", &certificate, "--tls-key", &key]).start();
    (server, made.cert.der().clone())
}

#[test]
fn s3_works_over_tls() {
    let machine = Machine::new();
    let (server, certificate) = start_with_tls(&machine, &["127.0.0.1", "localhost"]);
    assert!(server.s3_url().starts_with("https://"), "{}", server.s3_url());
    let s3 = S3::with_tls(server.s3_url(), server.root(), trusting([certificate]));
    s3.make_bucket("bkt");
    let body = payload(1, 9 << 20);
    s3.put("/bkt/object", &body);
    s3.expect_object("/bkt/object", &body);
    server.stop();
}

#[test]
fn client_that_trusts_another_certificate_is_not_served() {
    let machine = Machine::new();
    let (server, _) = start_with_tls(&machine, &["127.0.0.1"]);
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let other = other.expect("a certificate can be made").cert.der().clone();
    let s3 = S3::with_tls(server.s3_url(), server.root(), trusting([other]));
    let error = s3.try_send("GET", "/", bytes::Bytes::new()).expect_err("not trusted");
    assert!(error.contains("certificate"), "{error}");
    server.stop();
}

#[test]
fn plain_request_to_the_tls_port_fails_and_harms_nobody() {
    let machine = Machine::new();
    let (server, certificate) = start_with_tls(&machine, &["127.0.0.1"]);
    let plain = S3::new(&server.s3_url().replace("https", "http"), server.root());
    if let Ok(answer) = plain.try_send("GET", "/", bytes::Bytes::new()) {
        assert!((400..500).contains(&answer.status), "{}", answer.describe());
    }
    let s3 = S3::with_tls(server.s3_url(), server.root(), trusting([certificate]));
    s3.get("/").expect_status(200);
    server.stop();
}

#[test]
fn certificate_and_key_that_do_not_belong_together_are_refused() {
    let machine = Machine::new();
    let path = |name: &str| machine.path().join(name).to_str().expect("UTF-8").to_owned();
    let made = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    fs::write(path("cert.pem"), made().cert.pem()).expect("the directory is writable");
    fs::write(path("key.pem"), made().signing_key.serialize_pem()).expect("writable");
    let with = |certificate: &str, key: &str| {
        machine.server().args(&["--tls-cert", certificate, "--tls-key", key]).refused()
    };
    with(&path("cert.pem"), &path("key.pem")).failed_with(1, "--tls-cert");
    with(&path("key.pem"), &path("key.pem")).failed_with(1, "--tls-cert");
    with(&path("cert.pem"), &path("cert.pem")).failed_with(1, "--tls-cert");
}
