//! `/buckets/{name}/acknowledge`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        self, Path,
        rejection::{JsonRejection, PathRejection},
    },
};
use gateway_meta::record::{Acknowledge, BucketRecord};

use super::wire;
use crate::{error::ApiError, server::State};

fn document(bucket: &BucketRecord) -> Json<wire::Acknowledge> {
    let acknowledge = match bucket.acknowledge {
        Acknowledge::All => "all",
        Acknowledge::DataPlusOne => "data-plus-one",
    };
    Json(wire::Acknowledge { acknowledge: acknowledge.to_owned() })
}

pub(crate) async fn acknowledge(
    extract::State(state): extract::State<Arc<State>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<wire::Acknowledge>, ApiError> {
    let Path(name) = name?;
    Ok(document(&state.objects.bucket(&name).await?.record))
}

pub(crate) async fn set_acknowledge(
    extract::State(state): extract::State<Arc<State>>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Json<wire::Acknowledge>, JsonRejection>,
) -> Result<Json<wire::Acknowledge>, ApiError> {
    let Path(name) = name?;
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let wanted = match request.acknowledge.as_str() {
        "all" => Acknowledge::All,
        "data-plus-one" => Acknowledge::DataPlusOne,
        _ => return Err(ApiError::invalid("acknowledge is \"all\" or \"data-plus-one\"")),
    };
    let bucket = state.objects.set_acknowledge(&name, wanted).await?;
    tracing::info!(bucket = %name, acknowledge = request.acknowledge, "bucket changed");
    Ok(document(&bucket))
}
