"""Conditional reads, writes, copies and deletes."""

import concurrent.futures
import datetime

from botocore.exceptions import ClientError

from harness import equal, etag, scenario
from s3 import client, fails, new_bucket, read


@scenario
def put_if_none_match_creates_only_once():
    s3 = client()
    bucket = new_bucket(s3)
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**where, Body=b"first", IfNoneMatch="*")
    fails("PreconditionFailed", 412, s3.put_object, **where, Body=b"second", IfNoneMatch="*")
    equal(read(s3, bucket, "k"), b"first")
    s3.delete_object(**where)
    s3.put_object(**where, Body=b"third", IfNoneMatch="*")
    equal(read(s3, bucket, "k"), b"third")


@scenario
def put_if_match_replaces_only_what_it_names():
    s3 = client()
    bucket = new_bucket(s3)
    where = {"Bucket": bucket, "Key": "k"}
    fails("NoSuchKey", 404, s3.put_object, **where, Body=b"x", IfMatch=etag(b"one"))
    s3.put_object(**where, Body=b"one")
    fails("PreconditionFailed", 412, s3.put_object, **where, Body=b"x", IfMatch=etag(b"zero"))
    equal(read(s3, bucket, "k"), b"one")
    s3.put_object(**where, Body=b"two", IfMatch=etag(b"one"))
    equal(read(s3, bucket, "k"), b"two")


@scenario
def concurrent_creates_have_one_winner():
    s3 = client()
    bucket = new_bucket(s3)
    bodies = [b"writer %d" % n for n in range(16)]

    def create(body):
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=body, IfNoneMatch="*")
            return body
        except ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in ("PreconditionFailed", "ConditionalRequestConflict"), code
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        winners = [body for body in pool.map(create, bodies) if body]
    equal(len(winners), 1, "winners")
    equal(read(s3, bucket, "k"), winners[0])


@scenario
def complete_multipart_upload_honours_conditions():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    def upload(body, **condition):
        where = {"Bucket": bucket, "Key": "k"}
        upload_id = s3.create_multipart_upload(**where)["UploadId"]
        part = s3.upload_part(**where, UploadId=upload_id, PartNumber=1, Body=body)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        arguments = {**where, "UploadId": upload_id, "MultipartUpload": parts, **condition}
        return s3.complete_multipart_upload, arguments

    operation, arguments = upload(b"new", IfNoneMatch="*")
    fails("PreconditionFailed", 412, operation, **arguments)
    equal(read(s3, bucket, "k"), b"old")
    operation, arguments = upload(b"new", IfMatch=etag(b"other"))
    fails("PreconditionFailed", 412, operation, **arguments)
    equal(read(s3, bucket, "k"), b"old")
    operation, arguments = upload(b"new", IfMatch=etag(b"old"))
    operation(**arguments)
    equal(read(s3, bucket, "k"), b"new")
    s3.delete_object(Bucket=bucket, Key="k")
    operation, arguments = upload(b"again", IfNoneMatch="*")
    operation(**arguments)
    equal(read(s3, bucket, "k"), b"again")


@scenario
def reads_honour_conditions():
    s3 = client()
    bucket = new_bucket(s3)
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - datetime.timedelta(hours=1), modified + datetime.timedelta(seconds=1)
    other = etag(b"other")
    succeed = [
        {"IfMatch": tag},
        {"IfMatch": "*"},
        {"IfNoneMatch": other},
        {"IfModifiedSince": before},
        {"IfUnmodifiedSince": after},
        # An entity tag that matches outranks a date that does not.
        {"IfMatch": tag, "IfUnmodifiedSince": before},
        {"IfNoneMatch": other, "IfModifiedSince": after - datetime.timedelta(seconds=1)},
    ]
    not_modified = [
        {"IfNoneMatch": tag},
        {"IfNoneMatch": "*"},
        {"IfModifiedSince": modified},
        {"IfNoneMatch": tag, "IfModifiedSince": before},
    ]
    failed = [{"IfMatch": other}, {"IfUnmodifiedSince": before}]
    where = {"Bucket": bucket, "Key": "k"}
    for condition in succeed:
        equal(s3.get_object(**where, **condition)["Body"].read(), b"x", str(condition))
        s3.head_object(**where, **condition)
    for condition in not_modified:
        fails("304", 304, s3.get_object, **where, **condition)
        fails("304", 304, s3.head_object, **where, **condition)
    for condition in failed:
        fails("PreconditionFailed", 412, s3.get_object, **where, **condition)
        fails("412", 412, s3.head_object, **where, **condition)


@scenario
def copies_honour_source_conditions():
    s3 = client()
    bucket = new_bucket(s3)
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - datetime.timedelta(hours=1), modified + datetime.timedelta(seconds=1)
    other = etag(b"other")
    copy = {"Bucket": bucket, "Key": "c", "CopySource": {"Bucket": bucket, "Key": "k"}}
    for condition in (
        {"CopySourceIfMatch": tag},
        {"CopySourceIfNoneMatch": other},
        {"CopySourceIfModifiedSince": before},
        {"CopySourceIfUnmodifiedSince": after},
        {"CopySourceIfMatch": tag, "CopySourceIfUnmodifiedSince": before},
    ):
        s3.copy_object(**copy, **condition)
    for condition in (
        {"CopySourceIfMatch": other},
        {"CopySourceIfNoneMatch": tag},
        {"CopySourceIfModifiedSince": modified},
        {"CopySourceIfUnmodifiedSince": before},
        {"CopySourceIfNoneMatch": tag, "CopySourceIfModifiedSince": before},
    ):
        fails("PreconditionFailed", 412, s3.copy_object, **copy, **condition)


@scenario
def copies_honour_destination_conditions():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"source")
    s3.put_object(Bucket=bucket, Key="c", Body=b"there")
    copy = {"Bucket": bucket, "Key": "c", "CopySource": {"Bucket": bucket, "Key": "k"}}
    fails("PreconditionFailed", 412, s3.copy_object, **copy, IfNoneMatch="*")
    fails("PreconditionFailed", 412, s3.copy_object, **copy, IfMatch=etag(b"other"))
    equal(read(s3, bucket, "c"), b"there")
    s3.copy_object(**copy, IfMatch=etag(b"there"))
    equal(read(s3, bucket, "c"), b"source")


@scenario
def delete_if_match_removes_only_what_it_names():
    s3 = client()
    bucket = new_bucket(s3)
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**where, Body=b"x")
    fails("PreconditionFailed", 412, s3.delete_object, **where, IfMatch=etag(b"other"))
    equal(read(s3, bucket, "k"), b"x")
    s3.delete_object(**where, IfMatch=etag(b"x"))
    fails("NoSuchKey", 404, s3.get_object, **where)
