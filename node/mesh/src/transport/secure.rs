//! Encryption of a connection: TLS 1.3 or Noise, as both sides can.
//!
//! The dialler proposes in its order of preference and the listener takes the first it has, so TLS
//! is used where both machines have AES instructions, and Noise everywhere else.

use std::{io, net::Ipv4Addr, pin::Pin, sync::Arc};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use futures_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{ClientConfig, ServerConfig, pki_types::ServerName},
};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    identity, noise,
};

use super::{Judge, broken, tls};
use crate::Security;

const TLS: &str = "/tls/1.0.0";
const NOISE: &str = "/noise";

/// Why no transport was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// No key or certificate could be made for a handshake.
    #[error("no key could be made for {protocol}: {reason}")]
    Key {
        /// `TLS` or `Noise`.
        protocol: &'static str,
        /// What happened.
        reason: String,
    },
}

fn no_key(protocol: &'static str, error: &impl ToString) -> SetupError {
    SetupError::Key { protocol, reason: error.to_string() }
}

/// Both directions of an encrypted connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// An encrypted connection.
pub(super) type Secured = Pin<Box<dyn Duplex>>;

/// Encrypts a connection and learns who the peer is.
#[derive(Clone)]
pub(super) struct Secure {
    tls: Option<(Arc<ClientConfig>, Arc<ServerConfig>)>,
    noise: Option<noise::Config>,
    judge: Arc<dyn Judge>,
}

impl Secure {
    pub(super) fn new(
        keypair: &identity::Keypair,
        security: Security,
        judge: Arc<dyn Judge>,
    ) -> Result<Self, SetupError> {
        let wants_tls = match security {
            Security::Auto => has_aes(),
            Security::Tls => true,
            Security::Noise => false,
        };
        let tls = wants_tls.then(|| tls::configure(keypair)).transpose();
        let noise = (security != Security::Tls).then(|| noise::Config::new(keypair)).transpose();
        Ok(Self {
            tls: tls.map_err(|error| no_key("TLS", &error))?,
            noise: noise.map_err(|error| no_key("Noise", &error))?,
            judge,
        })
    }

    fn finished<T: Duplex + 'static>(
        &self,
        peer: PeerId,
        stream: T,
        protocol: &'static str,
    ) -> (PeerId, Secured) {
        self.judge.secured(&peer, protocol);
        (peer, Box::pin(stream))
    }
}

/// Whether AES-GCM is done in hardware here.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

impl UpgradeInfo for Secure {
    type Info = &'static str;
    type InfoIter = std::iter::Flatten<std::array::IntoIter<Option<&'static str>, 2>>;

    fn protocol_info(&self) -> Self::InfoIter {
        let tls = self.tls.is_some().then_some(TLS);
        let noise = self.noise.is_some().then_some(NOISE);
        [tls, noise].into_iter().flatten()
    }
}

type Handshake = BoxFuture<'static, io::Result<(PeerId, Secured)>>;

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Secure {
    type Output = (PeerId, Secured);
    type Error = io::Error;
    type Future = Handshake;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        async move {
            if let (TLS, Some((_, config))) = (info, &self.tls) {
                let stream = TlsAcceptor::from(Arc::clone(config)).accept(socket).await?;
                let proved = tls::proved_peer(stream.get_ref().1.peer_certificates());
                let peer = proved.map_err(io::Error::other)?;
                return Ok(self.finished(peer, stream, "tls1.3"));
            }
            let config = self.noise.clone().ok_or_else(|| broken("protocol was not offered"))?;
            let (peer, stream) =
                config.upgrade_inbound(socket, info).await.map_err(io::Error::other)?;
            Ok(self.finished(peer, stream, "noise"))
        }
        .boxed()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Secure {
    type Output = (PeerId, Secured);
    type Error = io::Error;
    type Future = Handshake;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        async move {
            if let (TLS, Some((config, _))) = (info, &self.tls) {
                let name = ServerName::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(name, socket).await?;
                let proved = tls::proved_peer(stream.get_ref().1.peer_certificates());
                let peer = proved.map_err(io::Error::other)?;
                return Ok(self.finished(peer, stream, "tls1.3"));
            }
            let config = self.noise.clone().ok_or_else(|| broken("protocol was not offered"))?;
            let (peer, stream) =
                config.upgrade_outbound(socket, info).await.map_err(io::Error::other)?;
            Ok(self.finished(peer, stream, "noise"))
        }
        .boxed()
    }
}
