//! `/users/{name}/keys` and `/keys`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        self, Path,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use gateway_iam::{ImportedKey, Secret};

use super::{rfc3339, wire};
use crate::{error::ApiError, server::State};

pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
    user: Result<Path<String>, PathRejection>,
) -> Result<Json<wire::AccessKeyList>, ApiError> {
    let Path(user) = user?;
    let keys = state.directory.list_access_keys(&user).await?;
    let shown = |key: gateway_iam::AccessKey| wire::AccessKey {
        access_key_id: key.id,
        created: rfc3339(key.created),
    };
    Ok(Json(wire::AccessKeyList { keys: keys.into_iter().map(shown).collect() }))
}

pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    user: Result<Path<String>, PathRejection>,
    body: Result<Json<wire::CreateAccessKey>, JsonRejection>,
) -> Result<(StatusCode, Json<wire::NewAccessKey>), ApiError> {
    let Path(user) = user?;
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let imported = match (request.access_key_id, request.secret_access_key) {
        (Some(id), Some(secret)) => Some(ImportedKey { id, secret: Secret::new(secret) }),
        (None, None) => None,
        _ => {
            let message = "give both access_key_id and secret_access_key, or neither";
            return Err(ApiError::invalid(message));
        }
    };
    let made = state.directory.create_access_key(&user, imported).await?;
    tracing::info!(user = %user, access_key = %made.key.id, "access key created");
    let answer = wire::NewAccessKey {
        access_key_id: made.key.id,
        secret_access_key: made.secret.expose().to_owned(),
        created: rfc3339(made.key.created),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(crate) async fn revoke(
    extract::State(state): extract::State<Arc<State>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id?;
    state.directory.revoke_access_key(&id).await?;
    tracing::info!(access_key = %id, "access key revoked");
    Ok(StatusCode::NO_CONTENT)
}
