//! Copy orders: whether one is good, and that it is good once.
//!
//! Invariants:
//! - nothing of an order is looked at before its signature was verified;
//! - a nonce is remembered until its order ends, and an order that ended stays ended when the clock
//!   steps back;
//! - when no more nonces can be remembered, orders are refused.
//!
//! A restart forgets the nonces. The reader of an order that was used before may then use it again
//! until it ends: it reads the one shard that it was already given.

use std::collections::{BTreeSet, HashSet};

use node_proto::{
    CopyOrder, PeerKey, SignedCopyOrder, UnixMillis,
    wire::{PAYLOAD_LEN_BYTES_MAX, Refusal, Response},
};
use parking_lot::Mutex;

use crate::host::Host;

/// How long an order is good. Chosen: a copy's deadline, and a minute and a half between clocks.
pub(crate) const LIFETIME_MS: u64 = 120_000;

/// Longest that an order may still last, by the clock of who is asked. Chosen: twice
/// [`LIFETIME_MS`], for clocks that are behind.
const LIFETIME_MS_MAX: u64 = 2 * LIFETIME_MS;

/// Most nonces remembered. Chosen: some hundred copies a second for as long as they last.
const REMEMBERED_MAX: usize = 1 << 16;

/// Which orders were used.
#[derive(Default)]
pub(super) struct OrderLedger(Mutex<Used>);

#[derive(Default)]
struct Used {
    nonces: HashSet<[u8; 16]>,
    by_expiry: BTreeSet<(UnixMillis, [u8; 16])>,
    /// Nonces of orders that ended by then are forgotten.
    forgotten: UnixMillis,
}

/// Reads an order that the cluster signed, if this process is in a cluster and the order is of it.
pub(super) fn read(host: &dyn Host, order: &SignedCopyOrder) -> Result<CopyOrder, Refusal> {
    let (cluster, key) = host.cluster().ok_or(Refusal::NoCluster)?;
    let order = order.verify(&key).map_err(|_| Refusal::OrderAltered)?;
    if order.cluster != cluster {
        return Err(Refusal::OrderOfOtherCluster);
    }
    if order.len_bytes > PAYLOAD_LEN_BYTES_MAX as u64 {
        return Err(Refusal::Invalid { reason: "the shard is too long to be copied".to_owned() });
    }
    Ok(order)
}

/// Checks everything about an order that `reader` brought to `source`, except that it is new.
pub(super) fn check(
    host: &dyn Host,
    order: &CopyOrder,
    reader: PeerKey,
    source: PeerKey,
) -> Result<(), Refusal> {
    if order.reader != reader {
        return Err(Refusal::OrderForOtherReader);
    }
    if order.source != source {
        return Err(Refusal::OrderForOtherSource);
    }
    let epoch = host.epoch();
    // The one before is good as well: gateway and nodes take a new layout at different times.
    if order.epoch.0.saturating_add(1) < epoch.0 {
        return Err(Refusal::OrderStale { epoch });
    }
    let now = host.now().0;
    if order.expires.0 <= now || order.expires.0 > now.saturating_add(LIFETIME_MS_MAX) {
        return Err(Refusal::OrderExpired);
    }
    Ok(())
}

impl OrderLedger {
    /// Takes note that an order is used now.
    ///
    /// # Errors
    /// What to answer when it was used before, or no more can be remembered.
    pub(super) fn use_once(&self, order: &CopyOrder, now: UnixMillis) -> Result<(), Response> {
        let mut used = self.0.lock();
        while let Some(&(expires, nonce)) = used.by_expiry.first().filter(|(at, _)| *at <= now) {
            used.by_expiry.pop_first();
            used.nonces.remove(&nonce);
            used.forgotten = used.forgotten.max(expires);
        }
        if order.expires <= used.forgotten {
            return Err(Response::Refused(Refusal::OrderExpired));
        }
        if used.nonces.contains(&order.nonce) {
            return Err(Response::Refused(Refusal::OrderReplayed));
        }
        if used.nonces.len() >= REMEMBERED_MAX {
            return Err(Response::Busy);
        }
        used.nonces.insert(order.nonce);
        used.by_expiry.insert((order.expires, order.nonce));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
