"""Checksums in headers and trailers, of whole objects and of parts."""

import hashlib
import zlib

from awscrt import checksums
from botocore.config import Config

from harness import MIB, b64, equal, etag, payload, scenario
from s3 import client, fails, new_bucket, read

ALGORITHMS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
COMPOSITE = ("CRC32", "CRC32C", "SHA1", "SHA256")
FULL_OBJECT = ("CRC32", "CRC32C", "CRC64NVME")


def _value(algorithm, data):
    return b64(ALGORITHMS[algorithm](data))


@scenario
def every_algorithm_is_verified_stored_and_returned():
    s3 = client()
    bucket = new_bucket(s3)
    for length in (0, 100, 2 * MIB + 5):
        data = payload(length, length)
        for algorithm in ALGORITHMS:
            field, wanted = f"Checksum{algorithm}", _value(algorithm, data)
            where = {"Bucket": bucket, "Key": f"{algorithm}/{length}"}
            put = s3.put_object(**where, Body=data, ChecksumAlgorithm=algorithm)
            equal(put[field], wanted, f"PUT {algorithm}")
            got = s3.get_object(**where, ChecksumMode="ENABLED")
            equal((got[field], got["ChecksumType"]), (wanted, "FULL_OBJECT"), f"GET {algorithm}")
            equal(got["Body"].read(), data)
            head = s3.head_object(**where, ChecksumMode="ENABLED")
            equal(head[field], wanted, f"HEAD {algorithm}")
            assert field not in s3.head_object(**where), "only ChecksumMode shows checksums"
    for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        equal(entry["ChecksumAlgorithm"], [entry["Key"].split("/")[0]])


@scenario
def the_default_checksum_is_crc32():
    s3 = client()
    bucket = new_bucket(s3)
    equal(s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ChecksumCRC32"], _value("CRC32", b"x"))


@scenario
def an_object_sent_without_checksum_gets_one():
    s3 = client(config=Config(request_checksum_calculation="when_required"))
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"no checksum sent")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    equal(head["ChecksumCRC64NVME"], _value("CRC64NVME", b"no checksum sent"))
    equal(head["ChecksumType"], "FULL_OBJECT")


@scenario
def wrong_checksums_are_refused():
    s3 = client()
    bucket = new_bucket(s3)
    where = {"Bucket": bucket, "Key": "k"}
    for algorithm in ALGORITHMS:
        wrong = {f"Checksum{algorithm}": _value(algorithm, b"other")}
        fails("BadDigest", 400, s3.put_object, **where, Body=b"x", **wrong)
        malformed = {f"Checksum{algorithm}": "bm90IGEgY2hlY2tzdW0="}
        fails("InvalidRequest", 400, s3.put_object, **where, Body=b"x", **malformed)
    fails("BadDigest", 400, s3.put_object, **where, Body=b"x", ContentMD5=b64(b"\0" * 16))
    fails("InvalidDigest", 400, s3.put_object, **where, Body=b"x", ContentMD5="short")
    fails("NoSuchKey", 404, s3.get_object, **where)


def _upload(s3, bucket, key, algorithm, kind, bodies):
    """Uploads `bodies` as parts; returns the arguments that complete the upload."""
    where = {"Bucket": bucket, "Key": key}
    begun = s3.create_multipart_upload(**where, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    equal((begun["ChecksumAlgorithm"], begun["ChecksumType"]), (algorithm, kind))
    where["UploadId"] = begun["UploadId"]
    field, parts = f"Checksum{algorithm}", []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(**where, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        equal(part[field], _value(algorithm, body), f"part {number}")
        parts.append({"PartNumber": number, "ETag": part["ETag"], field: part[field]})
    listed = s3.list_parts(**where)
    equal((listed["ChecksumAlgorithm"], listed["ChecksumType"]), (algorithm, kind))
    equal([part[field] for part in listed["Parts"]], [part[field] for part in parts])
    return {**where, "MultipartUpload": {"Parts": parts}}


@scenario
def composite_checksums_of_multipart_uploads():
    s3 = client()
    bucket = new_bucket(s3)
    bodies = [payload(1, 5 * MIB), payload(2, 100_001)]
    for algorithm in COMPOSITE:
        field = f"Checksum{algorithm}"
        digests = b"".join(ALGORITHMS[algorithm](body) for body in bodies)
        wanted = f"{_value(algorithm, digests)}-2"
        arguments = _upload(s3, bucket, algorithm, algorithm, "COMPOSITE", bodies)
        done = s3.complete_multipart_upload(**arguments)
        equal((done[field], done["ChecksumType"]), (wanted, "COMPOSITE"), algorithm)
        head = s3.head_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        equal((head[field], head["ChecksumType"]), (wanted, "COMPOSITE"), algorithm)
        equal(read(s3, bucket, algorithm), b"".join(bodies))
        part = s3.head_object(Bucket=bucket, Key=algorithm, PartNumber=2, ChecksumMode="ENABLED")
        equal(part[field], _value(algorithm, bodies[1]), "the checksum of one part")


@scenario
def full_object_checksums_of_multipart_uploads():
    s3 = client()
    bucket = new_bucket(s3)
    bodies = [payload(3, 5 * MIB), payload(4, 5 * MIB + 1), payload(5, 1)]
    for algorithm in FULL_OBJECT:
        field = f"Checksum{algorithm}"
        wanted = _value(algorithm, b"".join(bodies))
        arguments = _upload(s3, bucket, algorithm, algorithm, "FULL_OBJECT", bodies)
        wrong = {field: _value(algorithm, b"other"), "ChecksumType": "FULL_OBJECT"}
        fails("BadDigest", 400, s3.complete_multipart_upload, **arguments, **wrong)
        right = {field: wanted, "ChecksumType": "FULL_OBJECT"}
        done = s3.complete_multipart_upload(**arguments, **right)
        equal((done[field], done["ChecksumType"]), (wanted, "FULL_OBJECT"), algorithm)
        head = s3.head_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        equal((head[field], head["ChecksumType"]), (wanted, "FULL_OBJECT"), algorithm)
        equal(read(s3, bucket, algorithm), b"".join(bodies))


@scenario
def checksum_kinds_that_do_not_exist_are_refused():
    s3 = client()
    bucket = new_bucket(s3)
    for algorithm, kind in (
        ("SHA1", "FULL_OBJECT"),
        ("SHA256", "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE"),
    ):
        fails(
            "InvalidRequest",
            400,
            s3.create_multipart_upload,
            Bucket=bucket,
            Key="k",
            ChecksumAlgorithm=algorithm,
            ChecksumType=kind,
        )


@scenario
def parts_with_wrong_checksums_are_refused():
    s3 = client()
    bucket = new_bucket(s3)
    arguments = _upload(s3, bucket, "k", "SHA256", "COMPOSITE", [payload(1, 1000)])
    where = {name: arguments[name] for name in ("Bucket", "Key", "UploadId")}
    wrong = {"ChecksumSHA256": _value("SHA256", b"other")}
    fails("BadDigest", 400, s3.upload_part, **where, PartNumber=1, Body=b"x", **wrong)
    part = {**arguments["MultipartUpload"]["Parts"][0], **wrong}
    fails(
        "InvalidPart",
        400,
        s3.complete_multipart_upload,
        **where,
        MultipartUpload={"Parts": [part]},
    )
    s3.complete_multipart_upload(**arguments)
    equal(read(s3, bucket, "k"), payload(1, 1000))


@scenario
def attributes_describe_objects_and_parts():
    s3 = client()
    bucket = new_bucket(s3)
    everything = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    s3.put_object(Bucket=bucket, Key="one", Body=b"x", ChecksumAlgorithm="SHA256")
    one = s3.get_object_attributes(Bucket=bucket, Key="one", ObjectAttributes=everything)
    equal(one["ETag"], etag(b"x").strip('"'))
    equal(one["Checksum"]["ChecksumSHA256"], _value("SHA256", b"x"))
    equal((one["ObjectSize"], one["StorageClass"]), (1, "STANDARD"))
    assert "ObjectParts" not in one, "an object of one PUT has no parts"
    assert one["LastModified"]
    bodies = [payload(1, 5 * MIB), payload(2, 5 * MIB), payload(3, 10)]
    s3.complete_multipart_upload(**_upload(s3, bucket, "m", "CRC32C", "COMPOSITE", bodies))
    parts = s3.get_object_attributes(
        Bucket=bucket, Key="m", ObjectAttributes=everything, MaxParts=2
    )["ObjectParts"]
    equal((parts["TotalPartsCount"], parts["IsTruncated"], parts["MaxParts"]), (3, True, 2))
    equal([part["Size"] for part in parts["Parts"]], [5 * MIB, 5 * MIB])
    equal(parts["Parts"][1]["ChecksumCRC32C"], _value("CRC32C", bodies[1]))
    rest = s3.get_object_attributes(
        Bucket=bucket, Key="m", ObjectAttributes=["ObjectParts"], PartNumberMarker=2
    )
    equal([part["PartNumber"] for part in rest["ObjectParts"]["Parts"]], [3])
    assert "ETag" not in rest, "only what was asked for"
    missing = {"Bucket": bucket, "Key": "missing", "ObjectAttributes": ["ETag"]}
    fails("NoSuchKey", 404, s3.get_object_attributes, **missing)


@scenario
def copies_keep_or_change_their_checksum():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA1")
    copy = {"Bucket": bucket, "Key": "c", "CopySource": {"Bucket": bucket, "Key": "k"}}
    kept = s3.copy_object(**copy)["CopyObjectResult"]
    equal(kept["ChecksumSHA1"], _value("SHA1", b"data"))
    changed = s3.copy_object(**copy, ChecksumAlgorithm="CRC32C")["CopyObjectResult"]
    equal(changed["ChecksumCRC32C"], _value("CRC32C", b"data"))
    head = s3.head_object(Bucket=bucket, Key="c", ChecksumMode="ENABLED")
    equal(head["ChecksumCRC32C"], _value("CRC32C", b"data"))
    assert "ChecksumSHA1" not in head
