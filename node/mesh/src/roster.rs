//! Who is admitted, and what is known of them.
//!
//! Invariants:
//! - only members of the layout and the configured bootstrap nodes have an entry, so a stranger can
//!   add nothing here;
//! - addresses of a peer come from the layout's owner, from the peer itself over a proved
//!   connection, or from a lookup among members; each list is bounded by [`ADDRESSES_MAX`].

use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, PeerId};
use node_proto::join::ADDRESSES_MAX;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::{
    address,
    transport::{Bounds, Judge},
};

/// Longest text that is kept of what a peer says about itself. Chosen.
const TEXT_LEN_MAX: usize = 256;

/// What a peer may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In the layout.
    Member,
    /// Configured as a source of addresses and nothing else.
    Bootstrap,
    /// Unknown.
    Stranger,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    is_member: bool,
    is_bootstrap: bool,
    announced: Vec<Multiaddr>,
    learned: Vec<Multiaddr>,
    /// Connections with it, whoever dialled.
    pub(crate) connections: usize,
    /// How the last connection was encrypted.
    pub(crate) security: Option<&'static str>,
    /// The last measured round trip.
    pub(crate) round_trip: Option<Duration>,
    /// What it calls its program.
    pub(crate) version: Option<String>,
    /// Why it was last not reached.
    pub(crate) last_error: Option<String>,
}

impl Known {
    /// Where to dial it: what it announced first.
    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        let mut addresses = self.announced.clone();
        addresses.extend(self.learned.iter().filter(|a| !self.announced.contains(a)).cloned());
        addresses
    }

    fn standing(&self) -> Standing {
        match (self.is_member, self.is_bootstrap) {
            (true, _) => Standing::Member,
            (false, true) => Standing::Bootstrap,
            (false, false) => Standing::Stranger,
        }
    }
}

/// Who is admitted.
#[derive(Debug)]
pub(crate) struct Roster {
    own: PeerId,
    known: RwLock<HashMap<PeerId, Known>>,
    changes: watch::Sender<u64>,
}

impl Roster {
    pub(crate) fn new(own: PeerId, bootstrap: &[(PeerId, Multiaddr)]) -> Self {
        let mut known: HashMap<PeerId, Known> = HashMap::new();
        for (peer, address) in bootstrap.iter().filter(|(peer, _)| *peer != own) {
            let entry = known.entry(*peer).or_default();
            entry.is_bootstrap = true;
            push_bounded(&mut entry.announced, address.clone());
        }
        Self { own, known: RwLock::new(known), changes: watch::Sender::new(0) }
    }

    /// Changes whenever a peer connects or goes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes over who is in the layout; answers who left.
    pub(crate) fn set_members(&self, members: &HashMap<PeerId, Vec<Multiaddr>>) -> Vec<PeerId> {
        let mut known = self.known.write();
        for (peer, addresses) in members.iter().filter(|(peer, _)| **peer != self.own) {
            let entry = known.entry(*peer).or_default();
            entry.is_member = true;
            if !addresses.is_empty() {
                entry.announced = addresses.iter().take(ADDRESSES_MAX).cloned().collect();
            }
        }
        let mut left = Vec::new();
        known.retain(|peer, entry| {
            if entry.is_member && !members.contains_key(peer) {
                entry.is_member = false;
                left.push(*peer);
            }
            entry.standing() != Standing::Stranger
        });
        left
    }

    pub(crate) fn standing(&self, peer: &PeerId) -> Standing {
        self.known.read().get(peer).map_or(Standing::Stranger, Known::standing)
    }

    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.known.read().get(peer).map(Known::addresses).unwrap_or_default()
    }

    /// Everybody who is known.
    pub(crate) fn all(&self) -> Vec<(PeerId, Known)> {
        self.known.read().iter().map(|(peer, known)| (*peer, known.clone())).collect()
    }

    /// A peer said, or a lookup found, where it can be dialled; the newest replace the older.
    pub(crate) fn learn(&self, peer: &PeerId, addresses: &[Multiaddr]) {
        self.update(peer, |known| {
            let plain = addresses.iter().filter_map(address::normalize).map(|(plain, _)| plain);
            let dialable = plain.filter(address::is_dialable).collect();
            let mut learned = address::without_loopback(dialable);
            learned.truncate(ADDRESSES_MAX);
            if !learned.is_empty() {
                known.learned = learned;
            }
        });
    }

    pub(crate) fn connected(&self, peer: &PeerId) {
        let mut is_first = false;
        self.update(peer, |known| {
            known.connections += 1;
            is_first = known.connections == 1;
        });
        if is_first {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn disconnected(&self, peer: &PeerId) {
        let mut is_last = true;
        self.update(peer, |known| {
            known.connections = known.connections.saturating_sub(1);
            is_last = known.connections == 0;
            if is_last {
                known.round_trip = None;
                known.security = None;
            }
        });
        if is_last {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn failed(&self, peer: &PeerId, reason: &str) {
        self.update(peer, |known| known.last_error = Some(shortened(reason)));
    }

    pub(crate) fn reached(&self, peer: &PeerId) {
        self.update(peer, |known| known.last_error = None);
    }

    pub(crate) fn answered_in(&self, peer: &PeerId, round_trip: Duration) {
        self.update(peer, |known| known.round_trip = Some(round_trip));
    }

    pub(crate) fn runs(&self, peer: &PeerId, version: &str) {
        self.update(peer, |known| known.version = Some(shortened(version)));
    }

    fn update(&self, peer: &PeerId, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known.write().get_mut(peer) {
            change(known);
        }
    }
}

impl Judge for Roster {
    fn bounds(&self, peer: &PeerId, is_inbound: bool) -> Bounds {
        // Whom we dial, we chose; it proved to be the one we meant.
        match (is_inbound, self.standing(peer)) {
            (true, Standing::Stranger) => Bounds::STRANGER,
            _ => Bounds::MEMBER,
        }
    }

    fn secured(&self, peer: &PeerId, protocol: &'static str) {
        self.update(peer, |known| known.security = Some(protocol));
    }
}

fn push_bounded(addresses: &mut Vec<Multiaddr>, address: Multiaddr) {
    if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
        addresses.push(address);
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Multiaddr {
        address::parse(&format!("10.0.0.1:{port}")).unwrap()
    }

    #[test]
    fn members_come_and_go_with_the_layout() {
        let (own, a, b) = (PeerId::random(), PeerId::random(), PeerId::random());
        let roster = Roster::new(own, &[(b, at(9))]);
        assert_eq!(roster.standing(&a), Standing::Stranger);
        assert_eq!(roster.standing(&b), Standing::Bootstrap);
        let members = [(a, vec![at(1)]), (b, vec![]), (own, vec![])].into();
        assert_eq!(roster.set_members(&members), []);
        assert_eq!(roster.standing(&a), Standing::Member);
        assert_eq!(roster.standing(&own), Standing::Stranger);
        assert_eq!(roster.addresses(&b), [at(9)]);
        assert_eq!(roster.set_members(&[(b, vec![])].into()), [a]);
        assert_eq!(roster.standing(&a), Standing::Stranger);
        assert_eq!(roster.set_members(&HashMap::new()), [b]);
        assert_eq!(roster.standing(&b), Standing::Bootstrap);
    }

    #[test]
    fn strangers_leave_no_trace() {
        let roster = Roster::new(PeerId::random(), &[]);
        let stranger = PeerId::random();
        roster.learn(&stranger, &[at(1)]);
        roster.failed(&stranger, "no");
        roster.connected(&stranger);
        assert!(roster.all().is_empty());
        assert!(matches!(roster.bounds(&stranger, true), Bounds::STRANGER));
    }

    #[test]
    fn announced_addresses_come_before_learned_ones() {
        let peer = PeerId::random();
        let roster = Roster::new(PeerId::random(), &[]);
        roster.set_members(&[(peer, vec![at(1)])].into());
        roster.learn(&peer, &[at(2), at(1), address::parse("0.0.0.0:3").unwrap()]);
        assert_eq!(roster.addresses(&peer), [at(1), at(2)]);
        let many: Vec<_> = (1..100).map(at).collect();
        roster.learn(&peer, &many);
        assert!(roster.addresses(&peer).len() <= 2 * ADDRESSES_MAX);
    }

    #[test]
    fn only_the_first_and_last_connection_are_news() {
        let peer = PeerId::random();
        let roster = Roster::new(PeerId::random(), &[]);
        roster.set_members(&[(peer, vec![])].into());
        let mut changes = roster.changes();
        roster.connected(&peer);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        roster.connected(&peer);
        roster.disconnected(&peer);
        assert!(!changes.has_changed().unwrap());
        roster.disconnected(&peer);
        assert!(changes.has_changed().unwrap());
    }
}
