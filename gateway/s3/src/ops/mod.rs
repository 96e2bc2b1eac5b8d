//! The operations, one file per family.
//!
//! Each turns a verified [`Call`] into a typed request of the object service and the typed answer
//! into an HTTP answer. What a failure is answered with is the error table's business.

mod abac;
mod accelerate;
mod acl;
mod attributes;
mod bucket;
mod bucket_tagging;
mod configuration;
mod copy;
mod cors;
mod delete;
mod encryption;
mod form;
mod lifecycle;
mod list;
mod listed_configuration;
mod lock;
mod logging;
mod multipart;
pub(crate) mod object_read;
mod object_write;
pub(crate) mod payment;
mod policy;
mod rename;
mod tagging;
mod versioning;
mod website;

pub(crate) use form::{Form, fields as form_fields, no_key as no_form_key, post_object};
pub(crate) use website::protocol_name;

use crate::{answer::Answer, call::Call, error::Outcome, operation::Operation, sse};

/// Performs an operation.
///
/// # Errors
/// Whatever the operation is refused or fails for.
pub(crate) async fn perform(operation: Operation, call: Call<'_>) -> Outcome<Answer> {
    sse::check_connection(&call)?;
    let bucket = call.bucket.clone();
    Ok(dispatch(operation, call).await?.of_bucket(bucket.as_deref()))
}

async fn dispatch(operation: Operation, call: Call<'_>) -> Outcome<Answer> {
    use Operation as O;
    match operation {
        O::ListBuckets => bucket::list_buckets(call).await,
        O::CreateBucket => bucket::create_bucket(call).await,
        O::HeadBucket => bucket::head_bucket(call),
        O::DeleteBucket => bucket::delete_bucket(call).await,
        O::GetBucketLocation => bucket::get_bucket_location(call),
        O::GetBucketVersioning => versioning::get_bucket_versioning(call),
        O::GetBucketAcl => acl::get_bucket_acl(call),
        O::ListObjects => list::list_objects(call).await,
        O::ListObjectsV2 => list::list_objects_v2(call).await,
        O::ListMultipartUploads => list::list_multipart_uploads(call).await,
        O::DeleteObjects => delete::delete_objects(call).await,
        // Forms come through the adapter, which has parsed them.
        O::PostObject => Err(crate::error::Code::MethodNotAllowed.into()),
        O::GetObject => object_read::get_object(call).await,
        O::HeadObject => object_read::head_object(call).await,
        O::GetObjectAttributes => attributes::get_object_attributes(call).await,
        O::GetObjectAcl => acl::get_object_acl(call).await,
        O::PutObject => object_write::put_object(call).await,
        O::CopyObject => copy::copy_object(call).await,
        O::DeleteObject => delete::delete_object(call).await,
        O::GetObjectTagging => tagging::get_object_tagging(call).await,
        O::PutObjectTagging => tagging::put_object_tagging(call).await,
        O::DeleteObjectTagging => tagging::delete_object_tagging(call).await,
        O::CreateMultipartUpload => multipart::create_multipart_upload(call).await,
        O::UploadPart => multipart::upload_part(call).await,
        O::UploadPartCopy => copy::upload_part_copy(call).await,
        O::CompleteMultipartUpload => multipart::complete_multipart_upload(call).await,
        O::AbortMultipartUpload => multipart::abort_multipart_upload(call).await,
        O::ListParts => multipart::list_parts(call).await,
        O::PutBucketVersioning => versioning::put_bucket_versioning(call).await,
        O::ListObjectVersions => versioning::list_object_versions(call).await,
        O::GetObjectLockConfiguration => lock::get_object_lock_configuration(call).await,
        O::PutObjectLockConfiguration => lock::put_object_lock_configuration(call).await,
        O::GetObjectRetention => lock::get_object_retention(call).await,
        O::PutObjectRetention => lock::put_object_retention(call).await,
        O::GetObjectLegalHold => lock::get_object_legal_hold(call).await,
        O::PutObjectLegalHold => lock::put_object_legal_hold(call).await,
        O::GetBucketLifecycleConfiguration => {
            lifecycle::get_bucket_lifecycle_configuration(call).await
        }
        O::PutBucketLifecycleConfiguration => {
            lifecycle::put_bucket_lifecycle_configuration(call).await
        }
        O::DeleteBucketLifecycle => lifecycle::delete_bucket_lifecycle(call).await,
        O::GetBucketEncryption => encryption::get_bucket_encryption(call).await,
        O::PutBucketEncryption => encryption::put_bucket_encryption(call).await,
        O::DeleteBucketEncryption => encryption::delete_bucket_encryption(call).await,
        O::GetBucketCors => cors::get_bucket_cors(call).await,
        O::PutBucketCors => cors::put_bucket_cors(call).await,
        O::DeleteBucketCors => cors::delete_bucket_cors(call).await,
        O::GetBucketWebsite => website::get_bucket_website(call).await,
        O::PutBucketWebsite => website::put_bucket_website(call).await,
        O::DeleteBucketWebsite => website::delete_bucket_website(call).await,
        O::GetBucketTagging => bucket_tagging::get_bucket_tagging(call).await,
        O::PutBucketTagging => bucket_tagging::put_bucket_tagging(call).await,
        O::DeleteBucketTagging => bucket_tagging::delete_bucket_tagging(call).await,
        O::GetBucketRequestPayment => payment::get_bucket_request_payment(call).await,
        O::PutBucketRequestPayment => payment::put_bucket_request_payment(call).await,
        O::GetBucketLogging => logging::get_bucket_logging(call).await,
        O::PutBucketLogging => logging::put_bucket_logging(call).await,
        O::GetBucketAccelerateConfiguration => {
            accelerate::get_bucket_accelerate_configuration(call).await
        }
        O::PutBucketAccelerateConfiguration => {
            accelerate::put_bucket_accelerate_configuration(call).await
        }
        O::GetBucketAbac => abac::get_bucket_abac(call).await,
        O::PutBucketAbac => abac::put_bucket_abac(call).await,
        O::GetBucketPolicy => policy::get_bucket_policy(call).await,
        O::PutBucketPolicy => policy::put_bucket_policy(call).await,
        O::DeleteBucketPolicy => policy::delete_bucket_policy(call).await,
        O::GetBucketPolicyStatus => policy::get_bucket_policy_status(call).await,
        O::RenameObject => rename::rename_object(call).await,
        O::GetBucketAnalyticsConfiguration => {
            listed_configuration::get_bucket_analytics_configuration(call).await
        }
        O::PutBucketAnalyticsConfiguration => {
            listed_configuration::put_bucket_analytics_configuration(call).await
        }
        O::DeleteBucketAnalyticsConfiguration => {
            listed_configuration::delete_bucket_analytics_configuration(call).await
        }
        O::ListBucketAnalyticsConfigurations => {
            listed_configuration::list_bucket_analytics_configurations(call).await
        }
        O::GetBucketMetricsConfiguration => {
            listed_configuration::get_bucket_metrics_configuration(call).await
        }
        O::PutBucketMetricsConfiguration => {
            listed_configuration::put_bucket_metrics_configuration(call).await
        }
        O::DeleteBucketMetricsConfiguration => {
            listed_configuration::delete_bucket_metrics_configuration(call).await
        }
        O::ListBucketMetricsConfigurations => {
            listed_configuration::list_bucket_metrics_configurations(call).await
        }
        O::GetBucketIntelligentTieringConfiguration => {
            listed_configuration::get_bucket_intelligent_tiering_configuration(call).await
        }
        O::PutBucketIntelligentTieringConfiguration => {
            listed_configuration::put_bucket_intelligent_tiering_configuration(call).await
        }
        O::DeleteBucketIntelligentTieringConfiguration => {
            listed_configuration::delete_bucket_intelligent_tiering_configuration(call).await
        }
        O::ListBucketIntelligentTieringConfigurations => {
            listed_configuration::list_bucket_intelligent_tiering_configurations(call).await
        }
    }
}
