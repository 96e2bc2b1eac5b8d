//! From a TCP connection to one that is encrypted, proved and multiplexed.
//!
//! Layers, from the wire up: TCP without Nagle's delay · a read-ahead buffer · TLS 1.3 or Noise · a
//! write buffer that joins frames · Yamux.
//!
//! Invariants:
//! - no byte of a stream passes before the peer proved its key;
//! - what a stranger can make a connection hold is bounded by [`mux::Bounds::STRANGER`].

mod buffer;
mod mux;
mod secure;
mod tls;

use std::{io, sync::Arc, time::Duration};

use libp2p::{
    PeerId, Transport,
    core::{
        ConnectedPoint,
        muxing::StreamMuxerBox,
        transport::{Boxed, upgrade::Version},
    },
    dns, identity, tcp,
};

pub use self::secure::SetupError;

pub(crate) use self::mux::Bounds;
use crate::Security;

/// How long a connection may take from the first packet to the multiplexer. Chosen: a handful of
/// round trips around the globe.
const SETUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections the kernel may hold for us. Chosen: every class of some hundred nodes at once.
const LISTEN_BACKLOG: u32 = 1024;

/// Answers what a peer's connections may hold, and is told how they are encrypted.
pub(crate) trait Judge: Send + Sync + 'static {
    /// What the multiplexer of a connection may hold.
    fn bounds(&self, peer: &PeerId, is_inbound: bool) -> Bounds;

    /// A connection with `peer` is encrypted by `protocol`.
    fn secured(&self, peer: &PeerId, protocol: &'static str);
}

/// The transport of a mesh.
///
/// # Errors
/// [`SetupError`] when no keys can be made.
pub(crate) fn build(
    keypair: &identity::Keypair,
    security: Security,
    judge: Arc<dyn Judge>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, SetupError> {
    let secure = secure::Secure::new(keypair, security, Arc::clone(&judge))?;
    let mux = move |peer: &PeerId, point: &ConnectedPoint| {
        mux::Upgrade::new(judge.bounds(peer, point.is_listener()))
    };
    Ok(resolving_tcp()
        .map(|stream, _| buffer::ReadAhead::new(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(secure)
        .multiplex_ext(mux)
        .timeout(SETUP_TIMEOUT)
        .boxed())
}

/// TCP that also dials names, as the system's DNS configuration says. A machine without one can do
/// without names.
fn resolving_tcp() -> dns::tokio::Transport<tcp::tokio::Transport> {
    let tcp = || {
        let config = tcp::Config::new().nodelay(true).listen_backlog(LISTEN_BACKLOG);
        tcp::tokio::Transport::new(config)
    };
    dns::tokio::Transport::system(tcp()).unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS configuration: only addresses can be dialled, not names");
        let nobody = dns::ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        dns::tokio::Transport::custom(tcp(), nobody, dns::ResolverOpts::default())
    })
}

/// An error that says `text`.
fn broken(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
