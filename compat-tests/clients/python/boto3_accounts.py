"""Who may do what, as an SDK sees it."""

from harness import scenario, second_account
from s3 import client, fails, new_bucket, read


@scenario
def another_account_is_refused():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    access_key, secret_key = second_account()
    other = client(aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    where = {"Bucket": bucket, "Key": "k"}
    denied = [
        (other.get_object, where),
        (other.put_object, {**where, "Body": b"theirs"}),
        (other.delete_object, where),
        (other.get_object_tagging, where),
        (other.list_objects_v2, {"Bucket": bucket}),
        (other.list_multipart_uploads, {"Bucket": bucket}),
        (other.create_multipart_upload, where),
        (other.abort_multipart_upload, {"Bucket": bucket, "Key": "m", "UploadId": upload}),
        (other.get_bucket_location, {"Bucket": bucket}),
        (other.delete_bucket, {"Bucket": bucket}),
    ]
    for operation, arguments in denied:
        fails("AccessDenied", 403, operation, **arguments)
    fails("403", 403, other.head_object, **where)
    fails("403", 403, other.head_bucket, Bucket=bucket)
    # A missing key must look like a present one to whoever may not list.
    fails("AccessDenied", 403, other.get_object, Bucket=bucket, Key="missing")
    # DeleteObjects is refused as a whole or key by key.
    try:
        answer = other.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
        assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"], answer
        assert "Deleted" not in answer
    except other.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error.response
    assert read(s3, bucket, "k") == b"mine"


@scenario
def another_account_cannot_copy_from_a_foreign_bucket():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    access_key, secret_key = second_account()
    other = client(aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    theirs = new_bucket(other)
    fails(
        "AccessDenied",
        403,
        other.copy_object,
        Bucket=theirs,
        Key="stolen",
        CopySource={"Bucket": bucket, "Key": "k"},
    )
    assert bucket not in [b["Name"] for b in other.list_buckets()["Buckets"]]


@scenario
def a_bucket_name_is_taken_for_every_account():
    s3 = client()
    bucket = new_bucket(s3)
    access_key, secret_key = second_account()
    other = client(aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    fails("BucketAlreadyExists", 409, other.create_bucket, Bucket=bucket)


@scenario
def wrong_credentials_are_told_apart():
    s3 = client()
    bucket = new_bucket(s3)
    access_key, _ = second_account()
    wrong_secret = client(aws_access_key_id=access_key, aws_secret_access_key="wrong" * 8)
    fails("SignatureDoesNotMatch", 403, wrong_secret.list_objects_v2, Bucket=bucket)
    unknown = client(aws_access_key_id="NOSUCHKEY00000000000", aws_secret_access_key="x" * 40)
    fails("InvalidAccessKeyId", 403, unknown.list_objects_v2, Bucket=bucket)
