"""Presigned URLs and browser uploads, sent by a plain HTTP client."""

import time
import urllib.parse
import uuid

from botocore.config import Config

from harness import MIB, equal, etag, http_request, payload, scenario
from s3 import client, new_bucket, read


def _client():
    return client(config=Config(signature_version="s3v4"))


@scenario
def presigned_get_and_head():
    s3 = _client()
    bucket = new_bucket(s3)
    data = payload(1, 100_000)
    key = "dir/a b+c/ü.txt"
    s3.put_object(Bucket=bucket, Key=key, Body=data)
    where = {"Bucket": bucket, "Key": key}
    status, _, body = http_request("GET", s3.generate_presigned_url("get_object", Params=where))
    equal((status, body), (200, data))
    url = s3.generate_presigned_url(
        "get_object", Params={**where, "ResponseContentType": "text/csv"}
    )
    status, headers, body = http_request("GET", url, headers={"Range": "bytes=10-19"})
    equal((status, body), (206, data[10:20]), "a header that is not signed may be added")
    equal(headers.get("Content-Type") or headers.get("content-type"), "text/csv")
    status, _, body = http_request("HEAD", s3.generate_presigned_url("head_object", Params=where))
    equal((status, body), (200, b""))
    status, _, body = http_request("PUT", s3.generate_presigned_url("get_object", Params=where), b"x")
    equal(status, 403, "a URL for GET does not allow PUT")
    assert b"<Code>SignatureDoesNotMatch</Code>" in body, body
    equal(read(s3, bucket, key), data)


@scenario
def presigned_put():
    s3 = _client()
    bucket = new_bucket(s3)
    data = payload(2, 3 * MIB)
    where = {"Bucket": bucket, "Key": "k"}
    url = s3.generate_presigned_url(
        "put_object", Params={**where, "ContentType": "image/png", "Metadata": {"a": "1"}}
    )
    signed = {"Content-Type": "image/png", "x-amz-meta-a": "1"}
    status, headers, _ = http_request("PUT", url, data, signed)
    equal(status, 200)
    equal({k.lower(): v for k, v in headers.items()}["etag"], etag(data))
    got = s3.get_object(**where)
    equal((got["Body"].read(), got["ContentType"], got["Metadata"]), (data, "image/png", {"a": "1"}))
    status, _, body = http_request("PUT", url, data, {**signed, "Content-Type": "text/html"})
    equal(status, 403, "a signed header must have its signed value")
    assert b"<Code>SignatureDoesNotMatch</Code>" in body, body


@scenario
def presigned_urls_expire():
    s3 = _client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=1)
    time.sleep(2.5)
    status, _, body = http_request("GET", url)
    equal(status, 403)
    assert b"<Code>AccessDenied</Code>" in body and b"expired" in body, body


def _form(fields, data, filename="upload.bin"):
    """A multipart/form-data body with the file last, and its content type."""
    boundary = uuid.uuid4().hex
    lines = []
    for name, value in fields.items():
        lines.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        )
    lines.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = "".join(lines).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _post(post, data, extra=None, filename="upload.bin"):
    body, content_type = _form({**post["fields"], **(extra or {})}, data, filename)
    return http_request("POST", post["url"], body, {"Content-Type": content_type})


@scenario
def post_policy_uploads():
    s3 = _client()
    bucket = new_bucket(s3)
    data = payload(3, 2 * MIB + 17)
    post = s3.generate_presigned_post(
        bucket,
        "up/${filename}",
        Fields={"Content-Type": "text/plain", "x-amz-meta-a": "1"},
        Conditions=[
            ["starts-with", "$Content-Type", "text/"],
            {"x-amz-meta-a": "1"},
            ["content-length-range", 1, 3 * MIB],
        ],
    )
    status, _, body = _post(post, data, filename="report 1.txt")
    equal((status, body), (204, b""), "the default answer is 204 without a body")
    got = s3.get_object(Bucket=bucket, Key="up/report 1.txt")
    equal(got["Body"].read(), data)
    equal((got["ContentType"], got["Metadata"]), ("text/plain", {"a": "1"}))
    equal(got["ETag"], etag(data))


@scenario
def post_policy_answers_as_asked():
    s3 = _client()
    bucket = new_bucket(s3)
    free = [["starts-with", "$success_action_status", ""]]
    post = s3.generate_presigned_post(bucket, "k", Conditions=free)
    status, headers, body = _post(post, b"x", {"success_action_status": "201"})
    equal(status, 201)
    for element in (f"<Bucket>{bucket}</Bucket>", "<Key>k</Key>", "<PostResponse"):
        assert element.encode() in body, body
    status, _, _ = _post(post, b"x", {"success_action_status": "200"})
    equal(status, 200)
    status, _, _ = _post(post, b"x", {"success_action_status": "999"})
    equal(status, 204, "an unknown status means the default")
    redirect = "http://127.0.0.1:9/done?x=1"
    post = s3.generate_presigned_post(
        bucket,
        "k",
        Fields={"success_action_redirect": redirect},
        Conditions=[{"success_action_redirect": redirect}],
    )
    status, headers, _ = _post(post, b"y")
    equal(status, 303)
    location = {k.lower(): v for k, v in headers.items()}["location"]
    assert location.startswith("http://127.0.0.1:9/done?"), location
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
    equal(query["x"], ["1"], "the query that was there stays")
    equal((query["bucket"], query["key"], query["etag"]), ([bucket], ["k"], [etag(b"y")]))
    equal(read(s3, bucket, "k"), b"y")


@scenario
def post_policy_violations_are_refused():
    s3 = _client()
    bucket = new_bucket(s3)

    def refused(post, data, status, code, extra=None):
        got, _, body = _post(post, data, extra)
        equal(got, status, body.decode())
        assert f"<Code>{code}</Code>".encode() in body, body

    bounds = [["content-length-range", 10, 20]]
    post = s3.generate_presigned_post(bucket, "k", Conditions=bounds)
    refused(post, b"x" * 21, 400, "EntityTooLarge")
    refused(post, b"x" * 9, 400, "EntityTooSmall")
    equal(_post(post, b"x" * 20)[0], 204)
    refused(post, b"x" * 15, 403, "AccessDenied", {"key": "another"})
    refused(post, b"x" * 15, 403, "AccessDenied", {"x-amz-meta-not-in-policy": "1"})
    refused(post, b"x" * 15, 403, "SignatureDoesNotMatch", {"x-amz-signature": "0" * 64})
    expired = s3.generate_presigned_post(bucket, "k", ExpiresIn=-10)
    refused(expired, b"x", 403, "AccessDenied")
    equal(read(s3, bucket, "k"), b"x" * 20)
