//! What a node that asks to join is answered.
//!
//! Invariants:
//! - nothing is remembered of a stranger before its proof was found right;
//! - what is wrong with a token is told only to those who have its secret;
//! - a token is bound to its node and the node remembered in one guarded commit.

use std::{
    collections::{BTreeSet, HashSet},
    net::{Ipv4Addr, Ipv6Addr},
};

use gateway_meta::{
    key::ctl,
    record::{Membership, NodeRecord, TokenRecord},
};
use node_proto::{
    JoinAnswer, JoinRequest, PeerKey, TokenId,
    join::{ADDRESSES_MAX, DRIVES_MAX, OfferedDrive, proof},
};

use crate::{
    cluster::Cluster,
    error::{ApproveError, StoreError},
    limits::{
        ADDRESS_LEN_BYTES_MAX, CAPACITY_BYTES_MAX, NODES_MAX, PATH_LEN_BYTES_MAX,
        PENDING_NODES_MAX, VERSION_LEN_BYTES_MAX,
    },
    local::LOCAL_NAME,
    membership::{Approval, is_pending},
    names::{InvalidName, free_name, validate_node_name},
    rows::{Stored, put, unchanged},
};

/// Attempts to answer while others change what the answer depends on. Chosen: a token changes
/// twice at most, a node by its own requests and one operator.
const ATTEMPTS_MAX: usize = 8;

/// A request breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedRequest {
    /// The name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The version.
    #[error("a version is at most {VERSION_LEN_BYTES_MAX} printable characters")]
    Version,
    /// The number of addresses.
    #[error("{count} addresses are told, and one to {ADDRESSES_MAX} are possible")]
    AddressCount {
        /// How many.
        count: usize,
    },
    /// One of the addresses.
    #[error("{address:?} is no address such as /ip4/10.0.0.7/tcp/9100 or /dns/node-7/tcp/9100")]
    Address {
        /// As told, cut.
        address: String,
    },
    /// The number of drives.
    #[error("{count} drives are offered, and one to {DRIVES_MAX} are possible")]
    DriveCount {
        /// How many.
        count: usize,
    },
    /// One of the drives.
    #[error("drive {path:?} {problem}")]
    Drive {
        /// Its directory as told, cut.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Checks everything that a request claims.
fn validate(request: &JoinRequest) -> Result<(), RefusedRequest> {
    validate_node_name(&request.name)?;
    let is_printable = request.version.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if request.version.len() > VERSION_LEN_BYTES_MAX || !is_printable {
        return Err(RefusedRequest::Version);
    }
    let count = request.addresses.len();
    if !(1..=ADDRESSES_MAX).contains(&count) {
        return Err(RefusedRequest::AddressCount { count });
    }
    if let Some(address) = request.addresses.iter().find(|address| !is_address(address)) {
        return Err(RefusedRequest::Address { address: cut(address) });
    }
    let count = request.drives.len();
    if !(1..=DRIVES_MAX).contains(&count) {
        return Err(RefusedRequest::DriveCount { count });
    }
    let mut paths = BTreeSet::new();
    for drive in &request.drives {
        let refused = |problem| RefusedRequest::Drive { path: cut(&drive.path), problem };
        validate_drive(drive).map_err(refused)?;
        if !paths.insert(&drive.path) {
            return Err(refused("is offered twice"));
        }
    }
    Ok(())
}

fn validate_drive(drive: &OfferedDrive) -> Result<(), &'static str> {
    if !(1..=PATH_LEN_BYTES_MAX).contains(&drive.path.len()) {
        return Err("has no path, or one that is too long");
    }
    if drive.path.chars().any(char::is_control) {
        return Err("has a path with control characters");
    }
    if drive.capacity_bytes > CAPACITY_BYTES_MAX {
        return Err("claims more space than any drive has");
    }
    Ok(())
}

/// Whether the text is a multiaddress of a host and a TCP port. What else it may say, dialling
/// finds out.
fn is_address(text: &str) -> bool {
    let is_plain =
        text.len() <= ADDRESS_LEN_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    let mut parts = text.split('/');
    let start = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(""), Some(kind), Some(host), Some("tcp")) = start else { return false };
    let is_host = match kind {
        "ip4" => host.parse::<Ipv4Addr>().is_ok(),
        "ip6" => host.parse::<Ipv6Addr>().is_ok(),
        "dns" | "dns4" | "dns6" => !host.is_empty(),
        _ => false,
    };
    is_plain && is_host && parts.next().is_some_and(|port| port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn refused(reason: impl Into<String>) -> JoinAnswer {
    JoinAnswer::Refused { reason: reason.into() }
}

impl Cluster {
    /// Answers a node whose peer id the handshake proved. Never fails: where the store does, the
    /// node is told to ask again.
    pub async fn join(&self, peer: PeerKey, request: JoinRequest) -> JoinAnswer {
        if let Err(error) = validate(&request) {
            return refused(error.to_string());
        }
        for _ in 0..ATTEMPTS_MAX {
            match self.try_join(peer, &request).await {
                Ok(Some(answer)) => return answer,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%peer, %error, "a node that asks to join cannot be answered");
                    return JoinAnswer::Busy;
                }
            }
        }
        JoinAnswer::Busy
    }

    /// `None` when somebody else changed what the answer depends on.
    async fn try_join(
        &self,
        peer: PeerKey,
        request: &JoinRequest,
    ) -> Result<Option<JoinAnswer>, StoreError> {
        let Some(known) = self.node_record(peer)? else {
            return self.join_as_stranger(peer, request).await;
        };
        match known.record.membership {
            Membership::Retired { .. } => Ok(Some(refused(
                "this node was retired; it can come back only as a new node: with an empty data \
                 directory and another token",
            ))),
            Membership::Member { .. } => self.join_as_member(peer, known, request).await,
            Membership::Pending { .. } => self.join_as_pending(peer, known, request).await,
        }
    }

    async fn join_as_member(
        &self,
        peer: PeerKey,
        known: Stored<NodeRecord>,
        request: &JoinRequest,
    ) -> Result<Option<JoinAnswer>, StoreError> {
        let Some(record) = self.update(peer, known, request).await? else { return Ok(None) };
        if self.refresh()?.layout.node_of_peer(peer).is_none() {
            return Ok(None);
        }
        self.note_seen(peer);
        self.note_addresses(peer, &record.record);
        Ok(Some(self.admitted()))
    }

    fn admitted(&self) -> JoinAnswer {
        let signed = self.signed();
        JoinAnswer::Admitted { body: signed.body, signature: signed.signature }
    }

    /// Keeps what a node that is known says of itself now. `None` when it was changed meanwhile.
    async fn update(
        &self,
        peer: PeerKey,
        known: Stored<NodeRecord>,
        request: &JoinRequest,
    ) -> Result<Option<Stored<NodeRecord>>, StoreError> {
        let told = NodeRecord {
            version: request.version.clone(),
            addresses: request.addresses.clone(),
            drives: request.drives.clone(),
            ..known.record.clone()
        };
        if told == known.record {
            return Ok(Some(known));
        }
        let key = ctl::node(peer);
        let op = put(key.clone(), &told);
        let row = gateway_meta::record::Record::encode(&told);
        let applied = self.commit(vec![unchanged(key, Some(&known.row))], vec![op]).await?;
        Ok(applied.then_some(Stored { row, record: told }))
    }

    async fn join_as_pending(
        &self,
        peer: PeerKey,
        known: Stored<NodeRecord>,
        request: &JoinRequest,
    ) -> Result<Option<JoinAnswer>, StoreError> {
        // Another token may say another zone, or approve.
        if let Some((token, proof)) = request.proof
            && token != known.record.token
        {
            return self.use_token(peer, Some(known), request, token, proof).await;
        }
        let Some(known) = self.update(peer, known, request).await? else { return Ok(None) };
        self.note_seen(peer);
        self.pending_or_approved(peer, &known.record).await
    }

    async fn join_as_stranger(
        &self,
        peer: PeerKey,
        request: &JoinRequest,
    ) -> Result<Option<JoinAnswer>, StoreError> {
        let Some((token, proof)) = request.proof else {
            return Ok(Some(refused(
                "this node was retired, or never admitted: it needs a join token",
            )));
        };
        self.use_token(peer, None, request, token, proof).await
    }

    /// Binds the token to the peer and remembers the node.
    async fn use_token(
        &self,
        peer: PeerKey,
        known: Option<Stored<NodeRecord>>,
        request: &JoinRequest,
        id: TokenId,
        shown: [u8; 32],
    ) -> Result<Option<JoinAnswer>, StoreError> {
        let stored = match self.check_token(peer, id, shown)? {
            Ok(stored) => stored,
            Err(reason) => return Ok(Some(refused(reason))),
        };
        let exclusive = self.exclusive().await;
        let layout = self.refresh()?.layout;
        if layout.gateways.contains(&peer) {
            return Ok(Some(refused("this is a gateway of the cluster, not a node")));
        }
        let mut others = self.known().await?.records;
        others.remove(&peer);
        let ever = others.len();
        others.retain(|_, record| is_pending(record));
        if others.len() >= PENDING_NODES_MAX || ever >= NODES_MAX {
            return Ok(Some(JoinAnswer::Busy));
        }
        let token = &stored.record;
        let members = layout.nodes.iter().map(|node| &node.name);
        let mut taken: HashSet<&str> = members.map(String::as_str).collect();
        taken.extend(others.values().map(|record| record.name.as_str()));
        taken.insert(LOCAL_NAME);
        let wanted = token.name.as_ref().unwrap_or(&request.name);
        let record = NodeRecord {
            membership: Membership::Pending { is_preapproved: token.is_approved },
            name: free_name(wanted, |name| taken.contains(name)),
            zone: token.zone.clone(),
            version: request.version.clone(),
            addresses: request.addresses.clone(),
            drives: request.drives.clone(),
            token: id,
            first_seen: known.as_ref().map_or_else(|| self.now(), |known| known.record.first_seen),
        };
        let (token_key, node_key) = (ctl::join_token(id), ctl::node(peer));
        let guards = vec![
            unchanged(token_key.clone(), Some(&stored.row)),
            unchanged(node_key.clone(), known.as_ref().map(|known| &known.row)),
        ];
        let used = TokenRecord { used_by: Some(peer), ..stored.record };
        if !self.commit(guards, vec![put(token_key, &used), put(node_key, &record)]).await? {
            return Ok(None);
        }
        drop(exclusive);
        tracing::info!(%peer, token = %id, name = record.name, "a node asks to join");
        self.note_seen(peer);
        self.pending_or_approved(peer, &record).await
    }

    /// The token, if it lets this peer in, or why not.
    fn check_token(
        &self,
        peer: PeerKey,
        id: TokenId,
        shown: [u8; 32],
    ) -> Result<Result<Stored<TokenRecord>, &'static str>, StoreError> {
        let unknown = "this token is not known here (any more), or its secret is wrong";
        let Some(gateway) = self.deps().gateway else {
            return Ok(Err("the mesh is off at this gateway"));
        };
        let Some(stored) = self.read::<TokenRecord>(&ctl::join_token(id))? else {
            return Ok(Err(unknown));
        };
        let right = proof(&stored.record.proof_key, self.id(), id, peer, gateway);
        // Hashes compare in constant time.
        if blake3::Hash::from_bytes(right) != blake3::Hash::from_bytes(shown) {
            return Ok(Err(unknown));
        }
        let token = &stored.record;
        Ok(match token.used_by {
            _ if token.is_revoked => Err("this token was revoked, or its node rejected"),
            Some(other) if other != peer => Err("this token was used by another node"),
            _ if token.expires <= self.now() => Err("this token has expired"),
            _ => Ok(stored),
        })
    }

    async fn pending_or_approved(
        &self,
        peer: PeerKey,
        record: &NodeRecord,
    ) -> Result<Option<JoinAnswer>, StoreError> {
        if record.membership != (Membership::Pending { is_preapproved: true }) {
            return Ok(Some(JoinAnswer::Pending));
        }
        match self.approve(&peer.to_string(), Approval::default()).await {
            Ok(_) => Ok(Some(self.admitted())),
            // Approved by somebody else, or rejected.
            Err(ApproveError::NotPending { .. }) => Ok(None),
            Err(error) => {
                tracing::warn!(%peer, %error, "a pre-approved node cannot be admitted yet");
                Ok(Some(JoinAnswer::Pending))
            }
        }
    }
}

#[cfg(test)]
mod tests;
