"""Multipart uploads part by part, and what refuses them."""

from harness import MIB, equal, etag, multipart_etag, payload, scenario
from s3 import client, fails, new_bucket, read

PART = 5 * MIB


def _begin(s3, bucket, key="k", **arguments):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **arguments)["UploadId"]


def _put(s3, bucket, upload, number, body, key="k"):
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
    return _named(part, number)


def _named(part, number):
    """A part as CompleteMultipartUpload names it."""
    return {"PartNumber": number, "ETag": part["ETag"]}


def _complete(s3, bucket, upload, parts, key="k"):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )


@scenario
def parts_join_in_order_of_their_numbers():
    s3 = client()
    bucket = new_bucket(s3)
    bodies = {1: payload(1, PART), 7: payload(7, PART + 3), 10000: payload(10000, 12345)}
    upload = _begin(s3, bucket, Metadata={"a": "1"}, ContentType="text/x", Tagging="t=1")
    parts = {number: _put(s3, bucket, upload, number, bodies[number]) for number in (10000, 1, 7)}
    fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
    done = _complete(s3, bucket, upload, [parts[number] for number in (1, 7, 10000)])
    equal(done["ETag"], multipart_etag(bodies.values()))
    assert done["Key"] == "k" and done["Bucket"] == bucket and done["Location"]
    got = s3.get_object(Bucket=bucket, Key="k")
    whole = b"".join(bodies.values())
    equal(got["Body"].read(), whole)
    equal((got["ETag"], got["Metadata"]), (done["ETag"], {"a": "1"}))
    equal((got["ContentType"], got["TagCount"]), ("text/x", 1))
    across = f"bytes={PART - 10}-{PART + 9}"
    equal(read(s3, bucket, "k", Range=across), whole[PART - 10 : PART + 10], "over a part's edge")
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    equal((entry["ETag"], entry["Size"]), (done["ETag"], len(whole)))
    equal(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []), [])


@scenario
def a_part_number_reads_one_part():
    s3 = client()
    bucket = new_bucket(s3)
    bodies = [payload(1, PART), payload(2, PART), payload(3, 99)]
    upload = _begin(s3, bucket)
    _complete(s3, bucket, upload, [_put(s3, bucket, upload, n + 1, b) for n, b in enumerate(bodies)])
    for number, body in enumerate(bodies, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        equal(got["ResponseMetadata"]["HTTPStatusCode"], 206)
        equal(got["PartsCount"], 3)
        equal(got["Body"].read(), body, f"part {number}")
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        equal((head["ContentLength"], head["PartsCount"]), (len(body), 3))
    fails("InvalidPartNumber", 416, s3.get_object, Bucket=bucket, Key="k", PartNumber=4)
    s3.put_object(Bucket=bucket, Key="one", Body=b"whole")
    equal(read(s3, bucket, "one", PartNumber=1), b"whole", "an object of one PUT is its part 1")


@scenario
def a_part_sent_again_replaces_the_first():
    s3 = client()
    bucket = new_bucket(s3)
    upload = _begin(s3, bucket)
    first = _put(s3, bucket, upload, 1, payload(1, PART))
    second = _put(s3, bucket, upload, 1, payload(2, PART + 1))
    (listed,) = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    equal((listed["ETag"], listed["Size"]), (second["ETag"], PART + 1))
    with_first = {"Parts": [first]}
    fails(
        "InvalidPart",
        400,
        s3.complete_multipart_upload,
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload=with_first,
    )
    _complete(s3, bucket, upload, [second])
    equal(read(s3, bucket, "k"), payload(2, PART + 1))


@scenario
def parts_left_out_are_left_out():
    s3 = client()
    bucket = new_bucket(s3)
    upload = _begin(s3, bucket)
    parts = [_put(s3, bucket, upload, n, payload(n, PART)) for n in (1, 2, 3)]
    _complete(s3, bucket, upload, [parts[0], parts[2]])
    equal(read(s3, bucket, "k"), payload(1, PART) + payload(3, PART))


@scenario
def uploads_that_cannot_be_completed():
    s3 = client()
    bucket = new_bucket(s3)
    upload = _begin(s3, bucket)
    lengths = {1: PART, 2: PART, 3: MIB, 4: MIB}
    one, two, three, four = (
        _put(s3, bucket, upload, number, payload(number, length))
        for number, length in lengths.items()
    )
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}

    def refused(code, parts):
        listed = {"Parts": parts}
        fails(code, 400, s3.complete_multipart_upload, **where, MultipartUpload=listed)

    refused("EntityTooSmall", [three, four])
    refused("InvalidPartOrder", [two, one])
    refused("InvalidPart", [{**one, "ETag": etag(b"other")}])
    refused("InvalidPart", [one, {**two, "PartNumber": 5}])
    refused("MalformedXML", [])
    fails("NoSuchUpload", 404, s3.list_parts, **{**where, "UploadId": "unknown"})
    fails("NoSuchUpload", 404, s3.list_parts, **{**where, "Key": "another key"})
    for number in (0, 10001):
        fails("InvalidArgument", 400, s3.upload_part, **where, PartNumber=number, Body=b"x")
    _complete(s3, bucket, upload, [one])
    equal(read(s3, bucket, "k"), payload(1, PART), "a refused call leaves the upload usable")


@scenario
def aborted_uploads_are_gone():
    s3 = client()
    bucket = new_bucket(s3)
    upload = _begin(s3, bucket)
    part = _put(s3, bucket, upload, 1, payload(1, PART))
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    equal(s3.abort_multipart_upload(**where)["ResponseMetadata"]["HTTPStatusCode"], 204)
    fails("NoSuchUpload", 404, s3.upload_part, **where, PartNumber=2, Body=b"x")
    fails("NoSuchUpload", 404, s3.list_parts, **where)
    fails(
        "NoSuchUpload", 404, s3.complete_multipart_upload, **where, MultipartUpload={"Parts": [part]}
    )
    equal(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []), [])
    fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


@scenario
def list_parts_pages():
    s3 = client()
    bucket = new_bucket(s3)
    upload = _begin(s3, bucket)
    for number in range(1, 8):
        _put(s3, bucket, upload, number * 3, payload(number, 1000 + number))
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    answer = s3.list_parts(**where, MaxParts=3)
    equal([p["PartNumber"] for p in answer["Parts"]], [3, 6, 9])
    equal((answer["IsTruncated"], int(answer["NextPartNumberMarker"])), (True, 9))
    equal((answer["Key"], answer["UploadId"], answer["StorageClass"]), ("k", upload, "STANDARD"))
    found = []
    for page in s3.get_paginator("list_parts").paginate(**where, PaginationConfig={"PageSize": 2}):
        found += [(p["PartNumber"], p["Size"], p["ETag"]) for p in page["Parts"]]
    equal(found, [(n * 3, 1000 + n, etag(payload(n, 1000 + n))) for n in range(1, 8)])


@scenario
def list_multipart_uploads_pages_and_filters():
    s3 = client()
    bucket = new_bucket(s3)
    keys = ["a/1", "a/2", "a/2", "b/1", "c d+e", "ü"]
    started = sorted((key, _begin(s3, bucket, key)) for key in keys)
    # Uploads of one key come in the order they were begun.
    answer = s3.list_multipart_uploads(Bucket=bucket)
    found = [(u["Key"], u["UploadId"]) for u in answer["Uploads"]]
    equal(sorted(found), started)
    equal([key for key, _ in found], sorted(keys, key=lambda key: key.encode()))
    equal(answer["Uploads"][0]["StorageClass"], "STANDARD")
    assert answer["Uploads"][0]["Initiated"] and answer["Uploads"][0]["Owner"]["ID"]
    paged = []
    for page in s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    ):
        assert len(page.get("Uploads", [])) <= 1
        paged += [(u["Key"], u["UploadId"]) for u in page.get("Uploads", [])]
    equal(paged, found)
    under = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    equal([u["Key"] for u in under["Uploads"]], ["a/1", "a/2", "a/2"])
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    equal([p["Prefix"] for p in rolled["CommonPrefixes"]], ["a/", "b/"])
    equal([u["Key"] for u in rolled["Uploads"]], ["c d+e", "ü"])
    fails("404", 404, s3.head_object, Bucket=bucket, Key="a/1")


@scenario
def parts_are_copied_from_ranges():
    s3 = client()
    bucket = new_bucket(s3)
    source = {"Bucket": bucket, "Key": "source ü+"}
    data = payload(9, 12 * MIB)
    s3.put_object(**source, Body=data)
    upload = _begin(s3, bucket)
    parts = []
    ranges = [f"bytes={PART}-{2 * PART - 1}", f"bytes=100-{PART + 99}", None]
    for number, copy_range in enumerate(ranges, 1):
        extra = {"CopySourceRange": copy_range} if copy_range else {}
        where = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": number}
        copied = s3.upload_part_copy(**where, CopySource=source, **extra)
        parts.append(_named(copied["CopyPartResult"], number))
    _complete(s3, bucket, upload, parts)
    equal(read(s3, bucket, "k"), data[PART : 2 * PART] + data[100 : PART + 100] + data)


@scenario
def part_copies_that_are_refused():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="s", Body=b"0123456789")
    where = {"Bucket": bucket, "Key": "k", "UploadId": _begin(s3, bucket), "PartNumber": 1}
    source = {"Bucket": bucket, "Key": "s"}
    for wrong in ("bytes=5-10", "bytes=20-30", "bytes=-5", "bytes=5-", "0-5"):
        codes = ("InvalidRange", "InvalidArgument")
        try:
            fails(codes, 400, s3.upload_part_copy, **where, CopySource=source, CopySourceRange=wrong)
        except AssertionError as error:
            # A range past the end of the source is documented with either status.
            if "416 InvalidRange" not in str(error):
                raise
    missing = {"Bucket": bucket, "Key": "missing"}
    fails("NoSuchKey", 404, s3.upload_part_copy, **where, CopySource=missing)
    fails(
        "PreconditionFailed",
        412,
        s3.upload_part_copy,
        **where,
        CopySource=source,
        CopySourceIfMatch=etag(b"other"),
    )
    equal(s3.list_parts(Bucket=bucket, Key="k", UploadId=where["UploadId"]).get("Parts", []), [])


@scenario
def completing_replaces_the_object_at_once():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    uploads = [_begin(s3, bucket), _begin(s3, bucket)]
    parts = [_put(s3, bucket, upload, 1, b"upload %d" % n) for n, upload in enumerate(uploads)]
    equal(read(s3, bucket, "k"), b"old")
    for number, upload in enumerate(uploads):
        _complete(s3, bucket, upload, [parts[number]])
        equal(read(s3, bucket, "k"), b"upload %d" % number)
