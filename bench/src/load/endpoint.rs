//! Where requests go, and one HTTP/1.1 connection to it.
//!
//! Invariants:
//! - a connection serves one request at a time and belongs to one worker, so that concurrency is
//!   what was asked for and no pool is measured along;
//! - dropping a connection closes it.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsConnector;

use super::pattern::ContentBody;

/// What requests carry: generated content, or a short document.
pub(crate) type RequestBody = Either<ContentBody, Full<Bytes>>;

/// An S3 endpoint.
pub(crate) struct Endpoint {
    /// `http://HOST:PORT`, without a slash at the end.
    base: String,
    /// What the `Host` header says.
    authority: String,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// One connection.
pub(crate) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// Moves the bytes; aborted with the connection.
    _driver: JoinSet<()>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody listens, or the TLS handshake failed.
    #[error("cannot connect: {0}")]
    Io(#[from] std::io::Error),
    /// Not HTTP.
    #[error("cannot speak HTTP: {0}")]
    Http(#[from] hyper::Error),
}

impl Endpoint {
    /// Reads the URL and, for https, the certificates to trust.
    ///
    /// # Errors
    /// When the URL is not `http[s]://HOST[:PORT]` or the certificates are unusable.
    pub(crate) fn new(url: &str, ca_file: &Path) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("endpoint {url:?} is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("endpoint {url:?} is not http://HOST:PORT or https://HOST:PORT");
        };
        ensure!(uri.path() == "/" && uri.query().is_none(), "endpoint {url:?} must have no path");
        ensure!(!authority.as_str().contains('@'), "credentials do not belong into the endpoint");
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let (default_port, tls) = match scheme {
            "http" => (80, None),
            "https" => (443, Some((connector(ca_file)?, ServerName::try_from(host.clone())?))),
            _ => bail!("endpoint {url:?} must start with http:// or https://"),
        };
        Ok(Self {
            base: format!("{scheme}://{authority}"),
            authority: authority.to_string(),
            host,
            port: authority.port_u16().unwrap_or(default_port),
            tls,
        })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Connection::over(stream).await,
            Some((connector, name)) => {
                Connection::over(connector.connect(name.clone(), stream).await?).await
            }
        }
    }
}

fn connector(ca_file: &Path) -> Result<TlsConnector> {
    let context = || format!("cannot read certificates from {}", ca_file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).with_context(context)? {
        roots.add(certificate.with_context(context)?).with_context(context)?;
    }
    ensure!(!roots.is_empty(), "{} has no certificates", ca_file.display());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Connection {
    async fn over<S>(stream: S) -> Result<Self, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whoever sent the request hears of the failure.
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: driver })
    }

    /// Whether the next request can go out.
    pub(crate) async fn is_usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.send_request(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint> {
        Endpoint::new(url, Path::new("/nonexistent"))
    }

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        let plain = endpoint("http://localhost:9000/").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("localhost", 9000));
        assert_eq!(plain.base(), "http://localhost:9000");
        let six = endpoint("http://[::1]").unwrap();
        assert_eq!((six.host.as_str(), six.port, six.authority()), ("::1", 80, "[::1]"));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_its_reason() {
        let cases = [
            ("localhost:9000", "not http"),
            ("ftp://localhost", "must start with"),
            ("http://localhost/path", "no path"),
            ("http://key@localhost", "credentials"),
            ("https://localhost", "certificates"),
        ];
        for (url, reason) in cases {
            let error = format!("{:#}", endpoint(url).err().unwrap());
            assert!(error.contains(reason), "{url}: {error}");
        }
    }
}
