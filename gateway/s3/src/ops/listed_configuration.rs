//! Configurations that a bucket has several of, by id.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_analytics_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketAnalyticsConfiguration"))
}

pub(super) async fn put_bucket_analytics_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketAnalyticsConfiguration"))
}

pub(super) async fn delete_bucket_analytics_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketAnalyticsConfiguration"))
}

pub(super) async fn list_bucket_analytics_configurations(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("ListBucketAnalyticsConfigurations"))
}

pub(super) async fn get_bucket_metrics_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketMetricsConfiguration"))
}

pub(super) async fn put_bucket_metrics_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketMetricsConfiguration"))
}

pub(super) async fn delete_bucket_metrics_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketMetricsConfiguration"))
}

pub(super) async fn list_bucket_metrics_configurations(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("ListBucketMetricsConfigurations"))
}

pub(super) async fn get_bucket_intelligent_tiering_configuration(
    _call: Call<'_>,
) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketIntelligentTieringConfiguration"))
}

pub(super) async fn put_bucket_intelligent_tiering_configuration(
    _call: Call<'_>,
) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketIntelligentTieringConfiguration"))
}

pub(super) async fn delete_bucket_intelligent_tiering_configuration(
    _call: Call<'_>,
) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketIntelligentTieringConfiguration"))
}

pub(super) async fn list_bucket_intelligent_tiering_configurations(
    _call: Call<'_>,
) -> Outcome<Answer> {
    Err(Failure::not_implemented("ListBucketIntelligentTieringConfigurations"))
}
