"""Buckets: make, find, list, remove."""

import socket

from botocore.config import Config

from harness import endpoint, equal, http_request, scenario
from s3 import client, fails, new_bucket, read


@scenario
def buckets_are_made_found_and_removed():
    s3 = client()
    bucket = new_bucket(s3)
    equal(s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"], 200)
    location = s3.get_bucket_location(Bucket=bucket)
    equal(location.get("LocationConstraint"), None, "us-east-1 is the absent constraint")
    assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.delete_bucket(Bucket=bucket)
    fails("404", 404, s3.head_bucket, Bucket=bucket)
    fails("NoSuchBucket", 404, s3.delete_bucket, Bucket=bucket)
    assert bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.create_bucket(Bucket=bucket)


@scenario
def operations_on_a_missing_bucket_say_so():
    s3 = client()
    bucket = new_bucket(s3) + "-missing"
    for operation, arguments in (
        (s3.put_object, {"Key": "k", "Body": b"x"}),
        (s3.get_object, {"Key": "k"}),
        (s3.delete_object, {"Key": "k"}),
        (s3.list_objects, {}),
        (s3.list_objects_v2, {}),
        (s3.create_multipart_upload, {"Key": "k"}),
        (s3.list_multipart_uploads, {}),
        (s3.get_bucket_location, {}),
        (s3.delete_objects, {"Delete": {"Objects": [{"Key": "k"}]}}),
    ):
        fails("NoSuchBucket", 404, operation, Bucket=bucket, **arguments)


@scenario
def a_bucket_with_objects_is_not_removed():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    fails("BucketNotEmpty", 409, s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


@scenario
def making_a_bucket_twice_keeps_its_objects():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    # AWS answers 200 in us-east-1 and 409 elsewhere; both leave the bucket alone.
    try:
        s3.create_bucket(Bucket=bucket)
    except s3.exceptions.BucketAlreadyOwnedByYou as error:
        equal(error.response["ResponseMetadata"]["HTTPStatusCode"], 409)
    equal(s3.list_objects_v2(Bucket=bucket)["KeyCount"], 1)


@scenario
def list_buckets_filters_and_pages():
    s3 = client()
    first = new_bucket(s3)
    names = sorted([first] + [new_bucket(s3) for _ in range(4)])
    prefix = first.rsplit("-", 1)[0]
    answer = s3.list_buckets(Prefix=prefix)
    equal([b["Name"] for b in answer["Buckets"]], names)
    equal(answer["Prefix"], prefix)
    assert answer["Owner"]["ID"]
    pages, token = [], {}
    while True:
        page = s3.list_buckets(Prefix=prefix, MaxBuckets=2, **token)
        pages.append([b["Name"] for b in page["Buckets"]])
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    equal([len(page) for page in pages], [2, 2, 1])
    equal(sum(pages, []), names)


@scenario
def virtual_host_style():
    # Not every resolver knows that names under localhost are loopback (RFC 6761).
    lookup = socket.getaddrinfo

    def resolve(host, *arguments, **named):
        is_local = isinstance(host, str) and host.endswith(".localhost")
        return lookup("127.0.0.1" if is_local else host, *arguments, **named)

    socket.getaddrinfo = resolve
    port = endpoint().rsplit(":", 1)[1]
    # boto3 still presigns with version 2 in us-east-1 unless told otherwise.
    config = Config(s3={"addressing_style": "virtual"}, signature_version="s3v4")
    virtual = client(endpoint_url=f"http://localhost:{port}", config=config)
    sent_to = []
    virtual.meta.events.register(
        "before-send.s3", lambda request, **_: sent_to.append(request.url)
    )
    bucket = new_bucket(virtual)
    keys = ["k", "dir/a b+ü", bucket, "a//b"]
    for key in keys:
        virtual.put_object(Bucket=bucket, Key=key, Body=key.encode())
        equal(read(virtual, bucket, key), key.encode(), key)
        equal(read(client(), bucket, key), key.encode(), "both styles name the same object")
    for url in sent_to:
        assert url.startswith(f"http://{bucket}.localhost:{port}/"), url
    equal(virtual.list_objects_v2(Bucket=bucket)["KeyCount"], len(keys))
    url = virtual.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    status, _, body = http_request("GET", url)
    equal((status, body), (200, b"k"))
