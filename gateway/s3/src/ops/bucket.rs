//! Buckets.

use gateway_iam::canonical_id;
use gateway_meta::record::Versioning;
use gateway_object::{BucketError, CreateBucket, ListBuckets};
use http::StatusCode;

use super::bucket_tagging;
use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    header as request_header, token,
    xml::Writer,
};

/// The region that S3 writes as no location at all.
const DEFAULT_REGION: &str = "us-east-1";
/// Most buckets of one page, which is S3's limit.
const BUCKETS_PER_PAGE_MAX: usize = 10_000;

pub(super) async fn list_buckets(call: Call<'_>) -> Outcome<Answer> {
    let limit = call.query.count("max-buckets", BUCKETS_PER_PAGE_MAX)?;
    if limit == 0 {
        let message = "Argument max-buckets must be an integer between 1 and 10000";
        return Err(Failure::invalid_argument("max-buckets", "0", message));
    }
    let after = call.query.get_nonempty("continuation-token");
    let after = after
        .map(|text| {
            token::decode(text).ok_or_else(|| {
                let message = "The continuation token provided is incorrect";
                Failure::invalid_argument("continuation-token", text, message)
            })
        })
        .transpose()?;
    let prefix = call.query.get_nonempty("prefix");
    let request = ListBuckets {
        owner: call.account,
        prefix: prefix.unwrap_or_default().to_owned(),
        after,
        limit,
    };
    let page = call.gateway.service.list_buckets(request).await?;
    let wanted_region = call.query.get_nonempty("bucket-region");
    let mut xml = Writer::rooted("ListAllMyBucketsResult");
    xml.open("Owner");
    xml.text("ID", &canonical_id(call.account));
    xml.close("Owner");
    xml.open("Buckets");
    for bucket in &page.buckets {
        let region = shown_region(&bucket.region);
        if wanted_region.is_some_and(|wanted| wanted != region) {
            continue;
        }
        xml.open("Bucket");
        xml.text("Name", &bucket.name);
        xml.text("CreationDate", &crate::convert::iso_8601(bucket.created));
        xml.text("BucketRegion", region);
        xml.close("Bucket");
    }
    xml.close("Buckets");
    xml.text_if("Prefix", prefix);
    let last = page.buckets.last().filter(|_| page.truncated);
    xml.text_if("ContinuationToken", last.map(|last| token::encode(&last.name)).as_deref());
    xml.close("ListAllMyBucketsResult");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn create_bucket(call: Call<'_>) -> Outcome<Answer> {
    request_header::refuse_unsupported(&call.headers)?;
    let ownership = request_header::text(&call.headers, "x-amz-object-ownership")?;
    if ownership.is_some_and(|ownership| ownership != "BucketOwnerEnforced") {
        return Err(Failure::not_implemented("Object ownership other than BucketOwnerEnforced"));
    }
    let document = call.document().await?;
    let asked = document.root.map(|root| {
        if root.name != "CreateBucketConfiguration" {
            return Err(Failure::new(Code::MalformedXml));
        }
        for element in ["Location", "Bucket"] {
            if root.child(element).is_some_and(|child| !child.children.is_empty()) {
                let what = format!("The bucket configuration element {element}");
                return Err(Failure::not_implemented(&what));
            }
        }
        let tags = root.child("Tags").map(bucket_tagging::parse).transpose()?.unwrap_or_default();
        Ok((root.child_text("LocationConstraint").unwrap_or_default().trim().to_owned(), tags))
    });
    let (region, tags) = asked.transpose()?.unwrap_or_default();
    let here = &call.gateway.config.region;
    if !region.is_empty() && region != *here {
        let message = format!(
            "The {region} location constraint is incompatible for the region specific endpoint \
             this request was sent to, which is {here}."
        );
        return Err(Failure::with_message(Code::IllegalLocationConstraint, message));
    }
    let request = CreateBucket {
        name: call.target.bucket().to_owned(),
        owner: call.account,
        region: if here == DEFAULT_REGION { String::new() } else { here.clone() },
        object_lock: request_header::text(&call.headers, "x-amz-bucket-object-lock-enabled")?
            .is_some_and(|enabled| enabled.eq_ignore_ascii_case("true")),
        tags,
    };
    call.gateway.service.create_bucket(request).await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set("location", &format!("/{}", call.target.bucket()))?;
    Ok(answer)
}

pub(super) fn head_bucket(call: Call<'_>) -> Outcome<Answer> {
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set("x-amz-bucket-region", shown_region(region_of(&call)))?;
    answer.set("x-amz-access-point-alias", "false")?;
    Ok(answer)
}

pub(super) async fn delete_bucket(call: Call<'_>) -> Outcome<Answer> {
    let deleted = call.gateway.service.delete_bucket(call.target.bucket()).await;
    let versioning = call.bucket.as_ref().map(|bucket| bucket.versioning).unwrap_or_default();
    deleted.map_err(|error| match error {
        BucketError::NotEmpty if versioning != Versioning::Never => Failure::with_message(
            Code::BucketNotEmpty,
            "The bucket you tried to delete is not empty. You must delete all versions in the \
             bucket.",
        ),
        error => error.into(),
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) fn get_bucket_location(call: Call<'_>) -> Outcome<Answer> {
    let region = Some(region_of(&call)).filter(|region| *region != DEFAULT_REGION);
    let mut xml = Writer::document();
    let name = "LocationConstraint";
    xml.open_with(name, "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"");
    xml.escaped(region.unwrap_or_default());
    xml.close(name);
    Ok(Answer::document(xml.finish()))
}

fn region_of<'a>(call: &'a Call<'_>) -> &'a str {
    call.bucket.as_ref().map_or("", |bucket| bucket.region.as_str())
}

fn shown_region(region: &str) -> &str {
    if region.is_empty() { DEFAULT_REGION } else { region }
}
