//! The certificate that the S3 port shows.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::access_line::Encryption;

/// A certificate chain and its key, from two PEM files. Cheap to clone; clones share the current
/// certificate.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    certificate_path: PathBuf,
    key_path: PathBuf,
    current: Arc<Current>,
}

/// Why a certificate cannot be used. Fix the files.
#[derive(Debug, thiserror::Error)]
pub enum LoadTlsError {
    /// A file cannot be read, or holds no PEM of the kind.
    #[error("{path} holds no usable PEM")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate file is empty.
    #[error("{path} holds no certificate")]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The key is of an unknown kind, or not the certificate's.
    #[error("the certificate and its key do not work together")]
    Mismatch(#[source] rustls::Error),
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl TlsConfig {
    /// Loads a certificate chain and its key.
    ///
    /// # Errors
    /// [`LoadTlsError`].
    pub fn load(
        certificate_path: impl Into<PathBuf>,
        key_path: impl Into<PathBuf>,
    ) -> Result<Self, LoadTlsError> {
        let (certificate_path, key_path) = (certificate_path.into(), key_path.into());
        let key = read(&certificate_path, &key_path)?;
        Ok(Self {
            certificate_path,
            key_path,
            current: Arc::new(Current(ArcSwap::from_pointee(key))),
        })
    }

    /// Reads the files again. New connections get the new certificate; on an error the old one
    /// stays.
    ///
    /// # Errors
    /// [`LoadTlsError`].
    pub fn reload(&self) -> Result<(), LoadTlsError> {
        let key = read(&self.certificate_path, &self.key_path)?;
        self.current.0.store(Arc::new(key));
        Ok(())
    }

    /// The library's configuration: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub(crate) fn server_config(&self) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

/// What the encryption of a connection is called, as access logs have it.
pub(crate) fn encryption(connection: &rustls::ServerConnection) -> Encryption {
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "-",
    };
    Encryption { cipher_suite: suite.map_or("-", cipher_suite), version }
}

/// The library marks the suites of TLS 1.3; nobody else does.
fn cipher_suite(name: &'static str) -> &'static str {
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(certificate_path: &Path, key_path: &Path) -> Result<CertifiedKey, LoadTlsError> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadTlsError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate_path)
        .and_then(Iterator::collect)
        .map_err(pem(certificate_path))?;
    if chain.is_empty() {
        let path = certificate_path.to_owned();
        return Err(LoadTlsError::NoCertificate { path });
    }
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(pem(key_path))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(LoadTlsError::Mismatch)
}
