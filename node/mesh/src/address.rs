//! Addresses as operators write them and as libp2p dials them.
//!
//! Invariants:
//! - what comes out names a host and a TCP port, and nothing else: no relays, no other transports;
//! - a peer id at the end is kept apart from the address.

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use node_proto::PeerKey;

use crate::identity::{peer_id, peer_key};

/// Longest text of an address. Chosen: a DNS name has at most 253 bytes.
const ADDRESS_LEN_MAX: usize = 512;

/// The text is not an address that the mesh can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Neither a multiaddress nor HOST:PORT.
    #[error(
        "{text:?} is no address; write HOST:PORT, [IPV6]:PORT or a multiaddress such as \
         /dns/node.example/tcp/9002"
    )]
    Unreadable {
        /// The text, or its beginning.
        text: String,
    },
    /// A multiaddress of something else than TCP.
    #[error("{text:?} is not TCP; only /ip4, /ip6 and /dns addresses with /tcp can be used")]
    NotTcp {
        /// The text, or its beginning.
        text: String,
    },
    /// A bootstrap node without the key that it must prove.
    #[error("{text:?} names nobody; it must end in /p2p/ and the peer id")]
    NoPeer {
        /// The text, or its beginning.
        text: String,
    },
}

/// Reads a multiaddress or `HOST:PORT`; a peer id at its end is dropped.
///
/// # Errors
/// [`InvalidAddress`].
pub(crate) fn parse(text: &str) -> Result<Multiaddr, InvalidAddress> {
    split(text).map(|(address, _)| address)
}

/// Reads a multiaddress that ends in `/p2p/PEERID`.
///
/// # Errors
/// [`InvalidAddress`].
pub(crate) fn parse_with_peer(text: &str) -> Result<(PeerId, Multiaddr), InvalidAddress> {
    match split(text)? {
        (address, Some(peer)) => Ok((peer_id(peer), address)),
        (_, None) => Err(InvalidAddress::NoPeer { text: shown(text) }),
    }
}

fn split(text: &str) -> Result<(Multiaddr, Option<PeerKey>), InvalidAddress> {
    let unreadable = || InvalidAddress::Unreadable { text: shown(text) };
    let trimmed = text.trim();
    if trimmed.len() > ADDRESS_LEN_MAX {
        return Err(unreadable());
    }
    if !trimmed.starts_with('/') {
        return Ok((host_and_port(trimmed).ok_or_else(unreadable)?, None));
    }
    let address: Multiaddr = trimmed.parse().map_err(|_| unreadable())?;
    normalize(&address).ok_or_else(|| InvalidAddress::NotTcp { text: shown(text) })
}

fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}

fn host_and_port(text: &str) -> Option<Multiaddr> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(host) => Protocol::Ip6(host.parse().ok()?),
        None => match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => Protocol::Ip4(ip),
            // `::1:80` could be read in two ways.
            Ok(IpAddr::V6(_)) => return None,
            Err(_) if is_host_name(host) => Protocol::Dns(host.to_owned().into()),
            Err(_) => return None,
        },
    };
    Some(Multiaddr::empty().with(host).with(Protocol::Tcp(port)))
}

fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    // A name whose last label is a number would be a mistyped IPv4 address.
    let is_number = name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253 && name.split('.').all(is_label) && !is_number
}

/// The host and port of an address, and the peer it ends in; `None` when it is not plain TCP.
pub(crate) fn normalize(address: &Multiaddr) -> Option<(Multiaddr, Option<PeerKey>)> {
    let mut parts = address.iter();
    let host = parts.next()?;
    let is_host = matches!(
        host,
        Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_)
    );
    let port = parts.next().filter(|port| is_host && matches!(port, Protocol::Tcp(_)))?;
    let peer = match parts.next() {
        None => None,
        Some(Protocol::P2p(id)) => Some(peer_key(&id)?),
        Some(_) => return None,
    };
    let plain = Multiaddr::empty().with(host).with(port);
    parts.next().is_none().then_some((plain, peer))
}

/// Whether others can dial an address as it stands: no wildcard, no port 0.
pub(crate) fn is_dialable(address: &Multiaddr) -> bool {
    is_specified(address) && !address.iter().any(|part| part == Protocol::Tcp(0))
}

/// Whether an address names one interface and not all of them.
pub(crate) fn is_specified(address: &Multiaddr) -> bool {
    address.iter().all(|part| match part {
        Protocol::Ip4(ip) => !ip.is_unspecified(),
        Protocol::Ip6(ip) => !ip.is_unspecified(),
        _ => true,
    })
}

/// Without the addresses that lead back to the machine they are used on, if there are others.
pub(crate) fn without_loopback(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let others: Vec<_> = addresses.iter().filter(|a| !is_loopback(a)).cloned().collect();
    if others.is_empty() { addresses } else { others }
}

/// Whether an address leads back to the machine it is used on.
fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        parse(text).unwrap().to_string()
    }

    #[test]
    fn hosts_and_ports_become_multiaddresses() {
        assert_eq!(read("10.0.0.1:9002"), "/ip4/10.0.0.1/tcp/9002");
        assert_eq!(read("[::1]:80"), "/ip6/::1/tcp/80");
        assert_eq!(read("node-1.example.org:9002"), "/dns/node-1.example.org/tcp/9002");
        assert_eq!(read("localhost:0"), "/dns/localhost/tcp/0");
        assert_eq!(read(" 0.0.0.0:9002 "), "/ip4/0.0.0.0/tcp/9002");
    }

    #[test]
    fn multiaddresses_lose_the_peer_at_their_end() {
        let peer = crate::Identity::from_seed([1; 32]).peer();
        let text = format!("/dns4/a.example/tcp/9002/p2p/{peer}");
        assert_eq!(read(&text), "/dns4/a.example/tcp/9002");
        let (id, address) = parse_with_peer(&text).unwrap();
        assert_eq!(peer_key(&id), Some(peer));
        assert_eq!(address.to_string(), "/dns4/a.example/tcp/9002");
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for text in
            ["", ":", ":80", "host", "host:", "host:99999", "::1:80", "10.0.0:80", "a b:80", "/tcp"]
        {
            assert!(matches!(parse(text), Err(InvalidAddress::Unreadable { .. })), "{text}");
        }
        let long = format!("{}:80", "a.".repeat(400));
        assert!(matches!(parse(&long), Err(InvalidAddress::Unreadable { .. })));
        for text in ["/ip4/10.0.0.1/udp/9002/quic-v1", "/tcp/80", "/ip4/10.0.0.1/tcp/80/ws"] {
            assert!(matches!(parse(text), Err(InvalidAddress::NotTcp { .. })), "{text}");
        }
        let nobody = parse_with_peer("/ip4/10.0.0.1/tcp/80");
        assert!(matches!(nobody, Err(InvalidAddress::NoPeer { .. })));
    }

    #[test]
    fn wildcards_and_port_zero_cannot_be_dialled() {
        for (text, dialable) in
            [("0.0.0.0:80", false), ("[::]:80", false), ("10.0.0.1:0", false), ("h:80", true)]
        {
            assert_eq!(is_dialable(&parse(text).unwrap()), dialable, "{text}");
        }
    }

    #[test]
    fn loopback_is_told_only_where_there_is_nothing_else() {
        let [near, far] = ["127.0.0.1:80", "10.0.0.1:80"].map(|text| parse(text).unwrap());
        assert_eq!(without_loopback(vec![near.clone(), far.clone()]), [far]);
        assert_eq!(without_loopback(vec![near.clone()]), [near]);
    }
}
