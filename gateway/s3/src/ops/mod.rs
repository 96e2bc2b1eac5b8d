//! The operations, one file per family.
//!
//! Each turns a verified [`Call`] into a typed request of the object service and the typed answer
//! into an HTTP answer. What a failure is answered with is the error table's business.

mod acl;
mod attributes;
mod bucket;
mod copy;
mod delete;
mod form;
mod list;
mod multipart;
pub(crate) mod object_read;
mod object_write;
mod tagging;

pub(crate) use form::{Form, fields as form_fields, no_key as no_form_key, post_object};

use crate::{answer::Answer, call::Call, error::Outcome, operation::Operation};

/// Performs an operation.
///
/// # Errors
/// Whatever the operation is refused or fails for.
pub(crate) async fn perform(operation: Operation, call: Call<'_>) -> Outcome<Answer> {
    use Operation as O;
    match operation {
        O::ListBuckets => bucket::list_buckets(call).await,
        O::CreateBucket => bucket::create_bucket(call).await,
        O::HeadBucket => bucket::head_bucket(call),
        O::DeleteBucket => bucket::delete_bucket(call).await,
        O::GetBucketLocation => bucket::get_bucket_location(call),
        O::GetBucketVersioning => bucket::get_bucket_versioning(),
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
    }
}
