//! Tokens that nodes join with.

use std::time::Duration;

use gateway_meta::{Op, key::ctl, record::TokenRecord};
use node_proto::{JoinToken, PeerKey, TokenId, UnixMillis, join::proof_key};

use crate::{
    cluster::Cluster,
    error::{CreateTokenError, RevokeTokenError, StoreError},
    limits::{TOKEN_TTL_DEFAULT, TOKEN_TTL_MAX, TOKENS_MAX},
    names::{validate_node_name, validate_zone},
    rows::{delete, put, unchanged},
};

/// What a token is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewToken {
    /// The zone of the node; none makes the node a zone of its own.
    pub zone: Option<String>,
    /// What the node will be called; none leaves it to the node.
    pub name: Option<String>,
    /// How long it is good, from a second to [`TOKEN_TTL_MAX`]; none means [`TOKEN_TTL_DEFAULT`].
    pub ttl: Option<Duration>,
    /// The node needs no approval.
    pub is_approved: bool,
}

/// A new token. Its secret is shown this once: in the text of `token`.
#[derive(Clone, Debug)]
pub struct CreatedToken {
    /// What an operator carries to the node.
    pub token: JoinToken,
    /// What is remembered of it.
    pub report: TokenReport,
}

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Good for one node.
    Open,
    /// A node came with it.
    Used {
        /// Which one.
        by: PeerKey,
    },
    /// An operator took it back.
    Revoked,
    /// Nobody came in time.
    Expired,
}

/// A token as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenReport {
    /// Its id; not secret.
    pub id: TokenId,
    /// The zone of the node that comes with it.
    pub zone: Option<String>,
    /// What the node will be called.
    pub name: Option<String>,
    /// The node needs no approval.
    pub is_approved: bool,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
    /// What became of it.
    pub state: TokenState,
}

impl TokenReport {
    fn new(id: TokenId, record: TokenRecord, now: UnixMillis) -> Self {
        let state = match record {
            TokenRecord { is_revoked: true, .. } => TokenState::Revoked,
            TokenRecord { used_by: Some(by), .. } => TokenState::Used { by },
            TokenRecord { expires, .. } if expires <= now => TokenState::Expired,
            _ => TokenState::Open,
        };
        let TokenRecord { zone, name, is_approved, created, expires, .. } = record;
        Self { id, zone, name, is_approved, created, expires, state }
    }
}

impl Cluster {
    /// Makes a token, and forgets those that have ended.
    ///
    /// # Errors
    /// [`CreateTokenError`]; there is no token then.
    pub async fn create_token(&self, new: NewToken) -> Result<CreatedToken, CreateTokenError> {
        let gateway = self.deps().gateway.ok_or(CreateTokenError::NoMesh)?;
        let addresses = self.own_addresses();
        if addresses.is_empty() {
            return Err(CreateTokenError::NoAddress);
        }
        new.zone.as_deref().map_or(Ok(()), validate_zone)?;
        new.name.as_deref().map_or(Ok(()), validate_node_name)?;
        let ttl = new.ttl.unwrap_or(TOKEN_TTL_DEFAULT);
        if ttl < Duration::from_secs(1) || ttl > TOKEN_TTL_MAX {
            return Err(CreateTokenError::InvalidTtl { max_seconds: TOKEN_TTL_MAX.as_secs() });
        }
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        (self.deps().random)(&mut id);
        (self.deps().random)(&mut secret);
        let id = TokenId(id);
        let now = self.now();
        let ttl_ms = u64::try_from(ttl.as_millis()).expect("at most TOKEN_TTL_MAX");
        let record = TokenRecord {
            proof_key: proof_key(&secret),
            zone: new.zone,
            name: new.name,
            is_approved: new.is_approved,
            is_revoked: false,
            created: now,
            expires: UnixMillis(now.0.saturating_add(ttl_ms)),
            used_by: None,
        };
        self.keep_token(id, &record, now).await?;
        let token = JoinToken {
            id,
            secret,
            cluster: self.id(),
            cluster_key: self.public_key(),
            gateway,
            addresses,
        };
        Ok(CreatedToken { token, report: TokenReport::new(id, record, now) })
    }

    async fn keep_token(
        &self,
        id: TokenId,
        record: &TokenRecord,
        now: UnixMillis,
    ) -> Result<(), CreateTokenError> {
        let _exclusive = self.exclusive().await;
        let known = self.token_records().await?;
        let (ended, good): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|(_, record)| record.expires <= now);
        if good.len() >= TOKENS_MAX {
            return Err(CreateTokenError::TooMany { limit: TOKENS_MAX });
        }
        let key = ctl::join_token(id);
        let mut ops: Vec<Op> = ended.iter().map(|(id, _)| delete(ctl::join_token(*id))).collect();
        ops.push(put(key.clone(), record));
        if !self.commit(vec![unchanged(key, None)], ops).await? {
            let reason = format!("the random generator repeats itself: token {id} exists");
            return Err(StoreError::Corrupt { reason }.into());
        }
        tracing::info!(token = %id, zone = record.zone, approved = record.is_approved, "made a join token");
        Ok(())
    }

    /// Every token that was not forgotten yet, by age.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens(&self) -> Result<Vec<TokenReport>, StoreError> {
        let now = self.now();
        let known = self.token_records().await?.into_iter();
        let mut tokens: Vec<TokenReport> =
            known.map(|(id, record)| TokenReport::new(id, record, now)).collect();
        tokens.sort_by_key(|token| (token.created, token.id));
        Ok(tokens)
    }

    /// Takes a token back; `id` as [`TokenId`] is shown. A node that came with it before keeps
    /// waiting for approval, or stays a member.
    ///
    /// # Errors
    /// [`RevokeTokenError`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), RevokeTokenError> {
        let no_such_token = || RevokeTokenError::NoSuchToken { id: id.to_owned() };
        let key = ctl::join_token(parse_token_id(id).ok_or_else(no_such_token)?);
        loop {
            let stored = self.read::<TokenRecord>(&key)?.ok_or_else(no_such_token)?;
            let guard = unchanged(key.clone(), Some(&stored.row));
            let revoked = TokenRecord { is_revoked: true, ..stored.record };
            // Another attempt is needed only when a node used the token meanwhile, which it can
            // do once.
            if self.commit(vec![guard], vec![put(key.clone(), &revoked)]).await? {
                tracing::info!(token = id, "revoked a join token");
                return Ok(());
            }
        }
    }
}

fn parse_token_id(text: &str) -> Option<TokenId> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()?;
    Some(TokenId(number.to_be_bytes()))
}
