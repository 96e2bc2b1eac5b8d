//! Sign-in and tokens.
//!
//! A client trades an access key for a short-lived JWT (HS256). The token names the access key;
//! every request resolves that key again, so revoking it ends its sessions at once.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{self, Request, rejection::JsonRejection},
    http::header,
    middleware::Next,
    response::Response,
};
use gateway_iam::{Action, Decision, Resource, authorize};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::{error::ApiError, routes::wire, server::State};

/// How long a token lasts. Chosen: the command line signs in for each command, and a console can
/// renew long before.
const TOKEN_LIFETIME_SECONDS: u64 = 15 * 60;

/// How long a refused sign-in is held back, so that guessing is slow. Chosen.
pub(crate) const REFUSAL_DELAY: Duration = Duration::from_millis(250);

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The access key id.
    sub: String,
    /// Issued, Unix seconds.
    iat: u64,
    /// Expires, Unix seconds.
    exp: u64,
}

/// Signs and verifies tokens.
pub(crate) struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl TokenKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is checked against the injected clock instead of the system's.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        }
    }

    fn issue(&self, access_key_id: &str, now: UnixMillis) -> Option<(String, u64)> {
        let iat = now.0 / 1000;
        let exp = iat + TOKEN_LIFETIME_SECONDS;
        let claims = Claims { sub: access_key_id.to_owned(), iat, exp };
        let header = Header::new(Algorithm::HS256);
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding)
            .inspect_err(|error| tracing::error!(%error, "token cannot be signed"))
            .ok()?;
        Some((token, exp))
    }

    fn verify(&self, token: &str, now: UnixMillis) -> Option<String> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?;
        (now.0 / 1000 < data.claims.exp).then_some(data.claims.sub)
    }
}

/// `POST /session`: trades an access key for a token.
pub(crate) async fn sign_in(
    extract::State(state): extract::State<Arc<State>>,
    body: Result<Json<wire::SignIn>, JsonRejection>,
) -> Result<Json<wire::Session>, ApiError> {
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let _permit = state.sign_ins.try_acquire().map_err(|_| ApiError::busy())?;
    let found = state.directory.resolve(&request.access_key_id)?;
    let accepted = found.is_some_and(|found| {
        let (stored, given) = (found.secret.expose(), &request.secret_access_key);
        aws_lc_rs::constant_time::verify_slices_are_equal(stored.as_bytes(), given.as_bytes())
            .is_ok()
    });
    if !accepted {
        tokio::time::sleep(REFUSAL_DELAY).await;
        return Err(ApiError::unauthorized("the access key or its secret is wrong"));
    }
    let (token, expires) = state
        .token_key
        .issue(&request.access_key_id, state.clock.now())
        .ok_or_else(|| ApiError::unauthorized("no token can be signed"))?;
    Ok(Json(wire::Session { token, expires_unix_seconds: expires }))
}

/// Lets only administrators through.
pub(crate) async fn require_administrator(
    extract::State(state): extract::State<Arc<State>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = bearer else {
        return Err(ApiError::unauthorized("a bearer token is needed: POST /api/v1/session"));
    };
    let stale = || ApiError::unauthorized("the token is invalid or expired");
    let access_key_id = state.token_key.verify(token, state.clock.now()).ok_or_else(stale)?;
    let found = state.directory.resolve(&access_key_id)?.ok_or_else(stale)?;
    match authorize(&found.principal, Action::Administer, &Resource::Service) {
        Decision::Allow => Ok(next.run(request).await),
        Decision::Deny => Err(ApiError::forbidden()),
    }
}
