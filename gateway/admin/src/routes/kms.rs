//! `/kms/keys`: the keys of the built-in key service.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        self, Path,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use gateway_kms::{KeyInfo, KeyName, KeyService as _, NewKey};

use super::{rfc3339, wire};
use crate::{error::ApiError, server::State};

type Shared = extract::State<Arc<State>>;
type Named = Result<Path<String>, PathRejection>;

pub(crate) async fn list(state: Shared) -> Result<Json<wire::KmsKeyList>, ApiError> {
    let keys = state.kms.list().await?;
    Ok(Json(wire::KmsKeyList { keys: keys.into_iter().map(shown).collect() }))
}

pub(crate) async fn create(
    state: Shared,
    body: Result<Json<wire::CreateKmsKey>, JsonRejection>,
) -> Result<(StatusCode, Json<wire::KmsKey>), ApiError> {
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let wire::CreateKmsKey { id, alias, description } = request;
    let made = state.kms.create(NewKey { id, alias, description }).await?;
    Ok((StatusCode::CREATED, Json(shown(made))))
}

pub(crate) async fn show(state: Shared, key: Named) -> Result<Json<wire::KmsKey>, ApiError> {
    Ok(Json(shown(state.kms.describe(&name(key)?).await?)))
}

pub(crate) async fn rotate(state: Shared, key: Named) -> Result<Json<wire::KmsKey>, ApiError> {
    Ok(Json(shown(state.kms.rotate(&name(key)?).await?)))
}

pub(crate) async fn enable(state: Shared, key: Named) -> Result<Json<wire::KmsKey>, ApiError> {
    Ok(Json(shown(state.kms.set_enabled(&name(key)?, true).await?)))
}

pub(crate) async fn disable(state: Shared, key: Named) -> Result<Json<wire::KmsKey>, ApiError> {
    Ok(Json(shown(state.kms.set_enabled(&name(key)?, false).await?)))
}

/// An id, `alias/NAME` or the ARN of either.
fn name(key: Named) -> Result<KeyName, ApiError> {
    KeyName::parse(&key?.0).map_err(ApiError::invalid)
}

fn shown(info: KeyInfo) -> wire::KmsKey {
    wire::KmsKey {
        id: info.id,
        aliases: info.aliases,
        description: info.description,
        enabled: info.enabled,
        created: rfc3339(info.created),
        rotated: rfc3339(info.rotated),
        versions: info.version_count,
    }
}
