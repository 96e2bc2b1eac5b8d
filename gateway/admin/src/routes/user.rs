//! `/users`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        self, Path, Query,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
};
use gateway_iam::{Account, canonical_id};
use serde::Deserialize;

use super::{rfc3339, wire};
use crate::{error::ApiError, server::State};

/// Users per page.
const PAGE_LEN_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    after: Option<String>,
}

fn user(account: Account) -> wire::User {
    wire::User {
        canonical_id: canonical_id(account.id),
        account: account.id.0,
        created: rfc3339(account.created),
        name: account.name,
    }
}

pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<wire::UserPage>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    let mut accounts =
        state.directory.list_accounts(query.after.as_deref(), PAGE_LEN_MAX + 1).await?;
    let truncated = accounts.len() > PAGE_LEN_MAX;
    accounts.truncate(PAGE_LEN_MAX);
    let users: Vec<_> = accounts.into_iter().map(user).collect();
    let next = if truncated { users.last().map(|user| user.name.clone()) } else { None };
    Ok(Json(wire::UserPage { users, next }))
}

pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    body: Result<Json<wire::CreateUser>, JsonRejection>,
) -> Result<(StatusCode, Json<wire::User>), ApiError> {
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let account = state.directory.create_account(&request.name).await?;
    tracing::info!(user = %account.name, account = account.id.0, "user created");
    Ok((StatusCode::CREATED, Json(user(account))))
}

pub(crate) async fn delete(
    extract::State(state): extract::State<Arc<State>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(name) = name?;
    state.directory.delete_account(&name).await?;
    tracing::info!(user = %name, "user deleted");
    Ok(StatusCode::NO_CONTENT)
}
