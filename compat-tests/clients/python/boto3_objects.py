"""Objects: write, read, ranges, metadata, copy, delete, tags."""

import datetime
import io

from harness import MIB, equal, etag, payload, scenario
from s3 import client, fails, new_bucket, read

SYSTEM_HEADERS = {
    "CacheControl": "max-age=60, private",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de-CH",
    "ContentType": "text/x-compat; charset=utf-8",
}


@scenario
def put_get_head_delete_roundtrip():
    s3 = client()
    bucket = new_bucket(s3)
    for length in (0, 1, 4096, 4097, 65536, 65537, MIB + 1, 9 * MIB + 7):
        data, key = payload(length, length), f"o/{length}"
        put = s3.put_object(Bucket=bucket, Key=key, Body=data)
        equal(put["ETag"], etag(data), "ETag of PUT")
        head = s3.head_object(Bucket=bucket, Key=key)
        equal(head["ContentLength"], length, "length")
        equal(head["ETag"], etag(data), "ETag of HEAD")
        equal(head["ContentType"], "binary/octet-stream", "default content type")
        equal(head["AcceptRanges"], "bytes")
        age = datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]
        assert abs(age.total_seconds()) < 60, head["LastModified"]
        equal(read(s3, bucket, key), data, key)
        equal(s3.delete_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPStatusCode"], 204)
        fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key=key)
        fails("404", 404, s3.head_object, Bucket=bucket, Key=key)
        # Deleting what is not there succeeds.
        equal(s3.delete_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPStatusCode"], 204)


@scenario
def overwrite_replaces_body_and_metadata():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"one", Metadata={"a": "1"}, ContentType="text/a")
    s3.put_object(Bucket=bucket, Key="k", Body=b"second", Metadata={"b": "2"})
    got = s3.get_object(Bucket=bucket, Key="k")
    equal(got["Body"].read(), b"second")
    equal(got["Metadata"], {"b": "2"})
    equal(got["ContentType"], "binary/octet-stream")
    equal(len(s3.list_objects_v2(Bucket=bucket)["Contents"]), 1)


@scenario
def system_headers_and_user_metadata_come_back():
    s3 = client()
    bucket = new_bucket(s3)
    expires = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    metadata = {"plain": "value", "with-dash": "a  b", "number": "42"}
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        Metadata=metadata,
        Expires=expires,
        WebsiteRedirectLocation="/elsewhere",
        **SYSTEM_HEADERS,
    )
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        for name, value in SYSTEM_HEADERS.items():
            equal(answer[name], value, name)
        equal(answer["ExpiresString"], "Tue, 06 May 2031 07:08:09 GMT")
        equal(answer["Metadata"], {**metadata, "with-dash": answer["Metadata"]["with-dash"]})
        assert answer["Metadata"]["with-dash"].split() == ["a", "b"]
        equal(answer["WebsiteRedirectLocation"], "/elsewhere")


@scenario
def user_metadata_over_two_kib_is_refused():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "v" * 2000})
    fails(
        "MetadataTooLarge", 400, s3.put_object, Bucket=bucket, Key="k", Metadata={"a": "v" * 2100}
    )


@scenario
def storage_class_is_echoed():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="standard", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="standard")
    assert "StorageClass" not in head, "STANDARD is not sent as a header"
    s3.put_object(Bucket=bucket, Key="ia", Body=b"x", StorageClass="STANDARD_IA")
    equal(s3.head_object(Bucket=bucket, Key="ia")["StorageClass"], "STANDARD_IA")
    classes = {o["Key"]: o["StorageClass"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    equal(classes, {"standard": "STANDARD", "ia": "STANDARD_IA"})
    fails(
        "InvalidStorageClass", 400, s3.put_object, Bucket=bucket, Key="x", StorageClass="NO_CLASS"
    )


@scenario
def ranges_read_exactly_what_they_name():
    s3 = client()
    bucket = new_bucket(s3)
    data = payload(7, 9 * MIB + 123)
    size = len(data)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    cases = [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=65530-65545", 65530, 65545),
        (f"bytes={2 * MIB - 3}-{2 * MIB + 3}", 2 * MIB - 3, 2 * MIB + 3),
        (f"bytes={8 * MIB - 100}-{8 * MIB + 100}", 8 * MIB - 100, 8 * MIB + 100),
        (f"bytes={size - 5}-", size - 5, size - 1),
        (f"bytes={size - 1}-{size + 1000}", size - 1, size - 1),
        ("bytes=-7", size - 7, size - 1),
        (f"bytes=-{size + 5}", 0, size - 1),
    ]
    for header, first, last in cases:
        answer = s3.get_object(Bucket=bucket, Key="k", Range=header)
        equal(answer["ResponseMetadata"]["HTTPStatusCode"], 206, header)
        equal(answer["ContentRange"], f"bytes {first}-{last}/{size}", header)
        equal(answer["ContentLength"], last - first + 1, header)
        equal(answer["Body"].read(), data[first : last + 1], header)
        equal(answer["ETag"], etag(data), header)
        head = s3.head_object(Bucket=bucket, Key="k", Range=header)
        equal(head["ContentLength"], last - first + 1, f"HEAD {header}")
    for header in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        fails("InvalidRange", 416, s3.get_object, Bucket=bucket, Key="k", Range=header)


@scenario
def response_headers_can_be_overridden():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **SYSTEM_HEADERS)
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    answer = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseCacheControl="no-store",
        ResponseContentDisposition="inline",
        ResponseContentEncoding="identity",
        ResponseContentLanguage="fr",
        ResponseContentType="text/other",
        ResponseExpires=expires,
    )
    equal(answer["CacheControl"], "no-store")
    equal(answer["ContentDisposition"], "inline")
    equal(answer["ContentEncoding"], "identity")
    equal(answer["ContentLanguage"], "fr")
    equal(answer["ContentType"], "text/other")
    equal(answer["ExpiresString"], "Wed, 02 Jan 2030 03:04:05 GMT")
    equal(s3.head_object(Bucket=bucket, Key="k")["ContentType"], SYSTEM_HEADERS["ContentType"])


@scenario
def copy_keeps_or_replaces_metadata():
    s3 = client()
    bucket = new_bucket(s3)
    data = payload(3, 3 * MIB)
    source = {"Bucket": bucket, "Key": "source dir/ä+b"}
    s3.put_object(Body=data, Metadata={"a": "1"}, Tagging="t=1", **source, **SYSTEM_HEADERS)
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    equal(copied["CopyObjectResult"]["ETag"], etag(data))
    kept = s3.get_object(Bucket=bucket, Key="copy")
    equal(kept["Body"].read(), data)
    equal(kept["Metadata"], {"a": "1"})
    equal(kept["ContentType"], SYSTEM_HEADERS["ContentType"])
    equal(kept["TagCount"], 1)
    s3.copy_object(
        Bucket=bucket,
        Key="replaced",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        ContentType="text/new",
        TaggingDirective="REPLACE",
        Tagging="u=2&v=3",
    )
    replaced = s3.get_object(Bucket=bucket, Key="replaced")
    equal(replaced["Body"].read(), data)
    equal(replaced["Metadata"], {"b": "2"})
    equal(replaced["ContentType"], "text/new")
    assert "CacheControl" not in replaced
    tags = s3.get_object_tagging(Bucket=bucket, Key="replaced")["TagSet"]
    equal(sorted(t["Key"] for t in tags), ["u", "v"])


@scenario
def copy_refuses_what_s3_refuses():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    same = {"Bucket": bucket, "Key": "k", "CopySource": {"Bucket": bucket, "Key": "k"}}
    fails("InvalidRequest", 400, s3.copy_object, **same)
    s3.copy_object(**same, MetadataDirective="REPLACE", Metadata={"new": "yes"})
    equal(s3.head_object(Bucket=bucket, Key="k")["Metadata"], {"new": "yes"})
    equal(read(s3, bucket, "k"), b"x")
    missing = {"Bucket": bucket, "Key": "missing"}
    fails("NoSuchKey", 404, s3.copy_object, Bucket=bucket, Key="c", CopySource=missing)
    nowhere = {"Bucket": f"{bucket}-none", "Key": "k"}
    fails("NoSuchBucket", 404, s3.copy_object, Bucket=bucket, Key="c", CopySource=nowhere)


@scenario
def copy_crosses_buckets():
    s3 = client()
    one, two = new_bucket(s3), new_bucket(s3)
    data = payload(4, 200_000)
    s3.put_object(Bucket=one, Key="k", Body=data)
    s3.copy(CopySource={"Bucket": one, "Key": "k"}, Bucket=two, Key="k")
    s3.delete_object(Bucket=one, Key="k")
    equal(read(s3, two, "k"), data, "a copy outlives its source")


@scenario
def delete_objects_reports_each_key():
    s3 = client()
    bucket = new_bucket(s3)
    keys = [f"d/{n:04}" for n in range(30)] + ["odd & <key>", "ünï/😀", " lead", "trail "]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    wanted = keys + ["never existed"]
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in wanted]}
    )
    equal(sorted(d["Key"] for d in answer["Deleted"]), sorted(wanted))
    assert "Errors" not in answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="q", Body=b"x")
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "q"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="q")


@scenario
def delete_objects_takes_a_thousand_and_not_more():
    s3 = client()
    bucket = new_bucket(s3)
    thousand = [{"Key": f"k{n}"} for n in range(1000)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": thousand})
    equal(len(answer["Deleted"]), 1000)
    fails(
        "MalformedXML",
        400,
        s3.delete_objects,
        Bucket=bucket,
        Delete={"Objects": thousand + [{"Key": "one more"}]},
    )


@scenario
def tags_are_stored_counted_and_removed():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=two%20words&c=")
    where = {"Bucket": bucket, "Key": "k"}
    equal(_tags(s3, where), {"a": "1", "b": "two words", "c": ""})
    equal(s3.get_object(**where)["TagCount"], 3)
    s3.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "ключ", "Value": "värde + = / @"}]})
    equal(_tags(s3, where), {"ключ": "värde + = / @"})
    s3.delete_object_tagging(**where)
    equal(_tags(s3, where), {})
    assert "TagCount" not in s3.get_object(**where)
    equal(read(s3, bucket, "k"), b"x", "tagging does not touch the body")
    fails("NoSuchKey", 404, s3.get_object_tagging, Bucket=bucket, Key="missing")


@scenario
def illegal_tags_are_refused():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    where = {"Bucket": bucket, "Key": "k"}

    def tag_set(pairs):
        return {"TagSet": [{"Key": key, "Value": value} for key, value in pairs]}

    ten = [(f"k{n}", "v") for n in range(10)]
    s3.put_object_tagging(**where, Tagging=tag_set(ten))
    refused = ("InvalidTag", "BadRequest")
    for pairs in (
        ten + [("k10", "v")],
        [("same", "1"), ("same", "2")],
        [("k" * 129, "v")],
        [("k", "v" * 257)],
    ):
        fails(refused, 400, s3.put_object_tagging, **where, Tagging=tag_set(pairs))
    equal(len(_tags(s3, where)), 10, "a refused call changes nothing")


@scenario
def upload_and_download_helpers_roundtrip():
    s3 = client()
    bucket = new_bucket(s3)
    for length in (0, 100_000, 20 * MIB + 1):
        data = payload(length, length)
        extra = {"Metadata": {"len": str(length)}, "ContentType": "text/x"}
        s3.upload_fileobj(io.BytesIO(data), bucket, f"u/{length}", ExtraArgs=extra)
        target = io.BytesIO()
        s3.download_fileobj(bucket, f"u/{length}", target)
        equal(target.getvalue(), data, f"{length} bytes")
        head = s3.head_object(Bucket=bucket, Key=f"u/{length}")
        equal(head["Metadata"], {"len": str(length)})
        equal(head["ContentType"], "text/x")


def _tags(s3, where):
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**where)["TagSet"]}
