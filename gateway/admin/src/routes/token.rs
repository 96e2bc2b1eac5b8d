//! `/tokens`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{
        self, Path,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use gateway_layout::{NewToken, TokenReport, TokenState};

use super::{rfc3339, wire};
use crate::{error::ApiError, server::State};

fn token(report: TokenReport) -> wire::Token {
    let (state, used_by) = match report.state {
        TokenState::Open => ("open", None),
        TokenState::Used { by } => ("used", Some(by.to_string())),
        TokenState::Revoked => ("revoked", None),
        TokenState::Expired => ("expired", None),
    };
    wire::Token {
        id: report.id.to_string(),
        zone: report.zone,
        name: report.name,
        approved: report.is_approved,
        state: state.to_owned(),
        created: rfc3339(report.created),
        expires: rfc3339(report.expires),
        used_by,
    }
}

pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::TokenList>, ApiError> {
    let tokens = state.cluster.tokens().await?.into_iter().map(token).collect();
    Ok(Json(wire::TokenList { tokens }))
}

pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    body: Result<Json<wire::CreateToken>, JsonRejection>,
) -> Result<(StatusCode, Json<wire::NewToken>), ApiError> {
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let new = NewToken {
        zone: request.zone,
        name: request.name,
        ttl: request.expires_seconds.map(Duration::from_secs),
        is_approved: request.approved,
    };
    let made = state.cluster.create_token(new).await?;
    let answer = wire::NewToken { token: made.token.to_string(), report: token(made.report) };
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(crate) async fn revoke(
    extract::State(state): extract::State<Arc<State>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id?;
    state.cluster.revoke_token(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
