"""minio-py: path style, signed payloads, its own multipart and compose."""

import datetime
import io
import os
import pathlib
import tempfile

from minio import Minio
from minio.commonconfig import REPLACE, ComposeSource, CopySource, Tags
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

import harness
from harness import MIB, bucket_name, endpoint, equal, http_request, md5_hex, payload, scenario
from harness import second_account


def _client(access_key=None, secret_key=None):
    return Minio(
        endpoint(),
        access_key=access_key or os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=secret_key or os.environ["AWS_SECRET_ACCESS_KEY"],
        secure=False,
    )


def _new_bucket(s3):
    bucket = bucket_name()
    s3.make_bucket(bucket)
    return bucket


def _read(s3, bucket, key, **arguments):
    response = s3.get_object(bucket, key, **arguments)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


def _fails(code, operation, *arguments, **named):
    try:
        operation(*arguments, **named)
    except S3Error as error:
        equal(error.code, code)
        return
    raise AssertionError(f"succeeded, wanted {code}")


@scenario
def put_get_stat_remove_roundtrip():
    s3 = _client()
    bucket = _new_bucket(s3)
    assert s3.bucket_exists(bucket)
    for length in (0, 1, 65537, 6 * MIB):
        data, key = payload(length, length), f"dir/a b+ü/{length}"
        put = s3.put_object(
            bucket, key, io.BytesIO(data), length, content_type="text/x", metadata={"a": "1"}
        )
        stat = s3.stat_object(bucket, key)
        equal((stat.size, stat.etag), (length, put.etag))
        equal(stat.content_type, "text/x")
        equal(stat.metadata["x-amz-meta-a"], "1")
        equal(_read(s3, bucket, key), data)
        if length > 20:
            equal(_read(s3, bucket, key, offset=10, length=7), data[10:17])
        s3.remove_object(bucket, key)
        _fails("NoSuchKey", s3.get_object, bucket, key)
        _fails("NoSuchKey", s3.stat_object, bucket, key)
    s3.remove_bucket(bucket)
    assert not s3.bucket_exists(bucket)


@scenario
def fput_uploads_in_parts():
    s3 = _client()
    bucket = _new_bucket(s3)
    data = payload(5, 17 * MIB + 3)
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory, "source")
        source.write_bytes(data)
        put = s3.fput_object(bucket, "k", str(source), part_size=5 * MIB)
        assert put.etag.endswith("-4"), put.etag
        target = pathlib.Path(directory, "target")
        s3.fget_object(bucket, "k", str(target))
        equal(target.read_bytes(), data)
    # A stream of unknown length.
    s3.put_object(bucket, "stream", io.BytesIO(data), -1, part_size=6 * MIB)
    equal(_read(s3, bucket, "stream"), data)


@scenario
def lists_with_and_without_recursion():
    s3 = _client()
    bucket = _new_bucket(s3)
    keys = sorted([f"a/{n}" for n in range(5)] + ["b", "c d/+ü", "e//f"])
    for key in keys:
        s3.put_object(bucket, key, io.BytesIO(b"x"), 1)
    equal([o.object_name for o in s3.list_objects(bucket, recursive=True)], keys)
    equal(
        sorted(o.object_name for o in s3.list_objects(bucket)), ["a/", "b", "c d/", "e/"]
    )
    equal([o.object_name for o in s3.list_objects(bucket, prefix="a/")], keys[:5])
    equal(
        [o.object_name for o in s3.list_objects(bucket, recursive=True, start_after="a/3")],
        keys[4:],
    )
    equal(
        [o.object_name for o in s3.list_objects(bucket, recursive=True, use_api_v1=True)], keys
    )
    assert bucket in [b.name for b in s3.list_buckets()]


@scenario
def copies_and_composes():
    s3 = _client()
    bucket = _new_bucket(s3)
    one, two = payload(1, 5 * MIB), payload(2, 6 * MIB + 1)
    s3.put_object(bucket, "one", io.BytesIO(one), len(one), metadata={"a": "1"})
    s3.put_object(bucket, "two", io.BytesIO(two), len(two))
    s3.copy_object(bucket, "copy", CopySource(bucket, "one"))
    equal(_read(s3, bucket, "copy"), one)
    equal(s3.stat_object(bucket, "copy").metadata["x-amz-meta-a"], "1")
    s3.copy_object(
        bucket, "copy", CopySource(bucket, "one"), metadata={"b": "2"}, metadata_directive=REPLACE
    )
    equal(s3.stat_object(bucket, "copy").metadata["x-amz-meta-b"], "2")
    s3.compose_object(bucket, "both", [ComposeSource(bucket, "one"), ComposeSource(bucket, "two")])
    equal(_read(s3, bucket, "both"), one + two)
    slices = [
        ComposeSource(bucket, "two", offset=100, length=5 * MIB),
        ComposeSource(bucket, "one", offset=0, length=10),
    ]
    s3.compose_object(bucket, "slices", slices)
    equal(_read(s3, bucket, "slices"), two[100 : 100 + 5 * MIB] + one[:10])


@scenario
def presigned_urls_work_without_the_client():
    s3 = _client()
    bucket = _new_bucket(s3)
    data = payload(3, 50_000)
    status, _, _ = http_request("PUT", s3.presigned_put_object(bucket, "a b"), data)
    equal(status, 200)
    status, _, body = http_request("GET", s3.presigned_get_object(bucket, "a b"))
    equal((status, body), (200, data))
    policy = PostPolicy(
        bucket, datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
    )
    policy.add_starts_with_condition("key", "form/")
    policy.add_content_length_range_condition(1, MIB)
    fields = {**s3.presigned_post_policy(policy), "key": "form/k"}
    boundary = "compat-boundary"
    form = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    form += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = form.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}"
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    equal(http_request("POST", url, body, kind)[0], 204)
    equal(_read(s3, bucket, "form/k"), data)


@scenario
def removes_many_and_tags():
    s3 = _client()
    bucket = _new_bucket(s3)
    keys = [f"k{n}" for n in range(25)]
    for key in keys:
        s3.put_object(bucket, key, io.BytesIO(b"x"), 1)
    tags = Tags.new_object_tags()
    tags["project"] = "compat tests"
    s3.set_object_tags(bucket, "k0", tags)
    equal(dict(s3.get_object_tags(bucket, "k0")), {"project": "compat tests"})
    s3.delete_object_tags(bucket, "k0")
    assert not s3.get_object_tags(bucket, "k0")
    equal(list(s3.remove_objects(bucket, [DeleteObject(key) for key in keys])), [])
    equal(list(s3.list_objects(bucket)), [])


@scenario
def errors_carry_their_codes():
    s3 = _client()
    bucket = _new_bucket(s3)
    s3.put_object(bucket, "k", io.BytesIO(b"x"), 1)
    _fails("NoSuchBucket", lambda: list(s3.list_objects(f"{bucket}-none")))
    _fails("NoSuchBucket", s3.put_object, f"{bucket}-none", "k", io.BytesIO(b"x"), 1)
    _fails("NoSuchKey", s3.get_object, bucket, "missing")
    _fails("BucketNotEmpty", s3.remove_bucket, bucket)
    other = _client(*second_account())
    _fails("AccessDenied", other.get_object, bucket, "k")
    _fails("AccessDenied", other.put_object, bucket, "k", io.BytesIO(b"y"), 1)
    _fails("AccessDenied", lambda: list(other.list_objects(bucket)))
    equal(md5_hex(_read(s3, bucket, "k")), md5_hex(b"x"))


if __name__ == "__main__":
    harness.main()
