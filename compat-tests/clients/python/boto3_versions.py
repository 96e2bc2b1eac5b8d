"""Versioning: enabled, suspended, null versions, delete markers and their listing."""

import datetime

from harness import MIB, equal, etag, payload, scenario
from s3 import client, fails, new_bucket, read


def versioned_bucket(s3):
    """Creates a bucket with versioning enabled."""
    bucket = new_bucket(s3)
    set_versioning(s3, bucket, "Enabled")
    return bucket


def set_versioning(s3, bucket, status):
    """Enables or suspends versioning."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def listed(s3, bucket, **arguments):
    """Everything a listing of versions has, as (kind, key, version id, is latest), page by page."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **arguments):
        entries = [("version", v) for v in page.get("Versions", [])]
        entries += [("marker", m) for m in page.get("DeleteMarkers", [])]
        found += [(kind, e["Key"], e["VersionId"], e["IsLatest"]) for kind, e in entries]
    return found


@scenario
def versioning_is_enabled_and_suspended():
    s3 = client()
    bucket = new_bucket(s3)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended", "Enabled"):
        set_versioning(s3, bucket, status)
        equal(s3.get_bucket_versioning(Bucket=bucket)["Status"], status)
    for refused in ("Disabled", ""):
        codes = ("IllegalVersioningConfigurationException", "MalformedXML")
        configuration = {"Status": refused}
        fails(codes, 400, s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=configuration)
    equal(s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
    missing = f"{bucket}-none"
    fails("NoSuchBucket", 404, s3.get_bucket_versioning, Bucket=missing)


@scenario
def every_put_makes_a_version():
    s3 = client()
    bucket = versioned_bucket(s3)
    bodies = {}
    for n, length in enumerate((0, 10, 5000, 9 * MIB)):
        body = payload(n, length)
        put = s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"n": str(n)})
        bodies[put["VersionId"]] = (n, body)
    equal(len(bodies), 4, "different version ids")
    for version, (n, body) in bodies.items():
        got = s3.get_object(Bucket=bucket, Key="k", VersionId=version)
        equal(got["Body"].read(), body)
        equal(got["VersionId"], version)
        equal(got["Metadata"], {"n": str(n)})
        head = s3.head_object(Bucket=bucket, Key="k", VersionId=version)
        equal((head["ETag"], head["VersionId"]), (etag(body), version))
        if body:
            part = s3.get_object(Bucket=bucket, Key="k", VersionId=version, Range="bytes=-3")
            equal(part["Body"].read(), body[-3:])
    latest = list(bodies)[-1]
    equal(s3.get_object(Bucket=bucket, Key="k")["VersionId"], latest)
    entries = listed(s3, bucket)
    equal([e[2] for e in entries], list(reversed(bodies)), "newest first")
    equal([e[3] for e in entries], [True, False, False, False])
    equal(len(s3.list_objects_v2(Bucket=bucket)["Contents"]), 1)


@scenario
def a_delete_leaves_a_marker_and_removing_it_restores():
    s3 = client()
    bucket = versioned_bucket(s3)
    kept = s3.put_object(Bucket=bucket, Key="k", Body=b"kept")["VersionId"]
    deleted = s3.delete_object(Bucket=bucket, Key="k")
    equal(deleted["DeleteMarker"], True)
    marker = deleted["VersionId"]
    answer = fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    equal(headers.get("x-amz-delete-marker"), "true")
    equal(headers.get("x-amz-version-id"), marker)
    fails("404", 404, s3.head_object, Bucket=bucket, Key="k")
    answer = fails("MethodNotAllowed", 405, s3.get_object, Bucket=bucket, Key="k", VersionId=marker)
    equal(answer["ResponseMetadata"]["HTTPHeaders"].get("allow"), "DELETE")
    assert "last-modified" in answer["ResponseMetadata"]["HTTPHeaders"]
    fails("405", 405, s3.head_object, Bucket=bucket, Key="k", VersionId=marker)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    equal(
        listed(s3, bucket),
        [("version", "k", kept, False), ("marker", "k", marker, True)],
    )
    equal(s3.get_object(Bucket=bucket, Key="k", VersionId=kept)["Body"].read(), b"kept")
    gone = s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    equal((gone["DeleteMarker"], gone["VersionId"]), (True, marker))
    equal(read(s3, bucket, "k"), b"kept")
    equal(listed(s3, bucket), [("version", "k", kept, True)])


@scenario
def deleting_the_newest_version_promotes_the_next():
    s3 = client()
    bucket = versioned_bucket(s3)
    versions = [
        s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % n)["VersionId"] for n in range(4)
    ]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[1])
    equal(read(s3, bucket, "k"), b"3")
    gone = s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[3])
    equal(gone["VersionId"], versions[3])
    assert not gone.get("DeleteMarker")
    equal(read(s3, bucket, "k"), b"2")
    equal([e[2] for e in listed(s3, bucket)], [versions[2], versions[0]])
    fails("NoSuchVersion", 404, s3.get_object, Bucket=bucket, Key="k", VersionId=versions[3])
    # Deleting what is not there succeeds.
    s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[3])
    for version in (versions[2], versions[0]):
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


@scenario
def suspended_buckets_write_null_versions():
    s3 = client()
    bucket = new_bucket(s3)
    before = s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    assert "VersionId" not in before
    set_versioning(s3, bucket, "Enabled")
    equal(s3.head_object(Bucket=bucket, Key="k")["VersionId"], "null")
    one = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["VersionId"]
    assert one != "null"
    equal(s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read(), b"before")
    set_versioning(s3, bucket, "Suspended")
    s3.put_object(Bucket=bucket, Key="k", Body=b"suspended")
    equal(s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read(), b"suspended")
    equal(listed(s3, bucket), [("version", "k", "null", True), ("version", "k", one, False)])
    deleted = s3.delete_object(Bucket=bucket, Key="k")
    equal((deleted["DeleteMarker"], deleted["VersionId"]), (True, "null"))
    equal(
        sorted(listed(s3, bucket)),
        [("marker", "k", "null", True), ("version", "k", one, False)],
    )
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    equal(read(s3, bucket, "k"), b"one")


@scenario
def versions_are_listed_in_pages():
    s3 = client()
    bucket = versioned_bucket(s3)
    wanted = []
    for key in ("a/1", "a/2", "b", "c/x ü", "d+&"):
        versions = []
        for n in range(3):
            versions.insert(0, s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % n)["VersionId"])
        if key in ("a/2", "d+&"):
            versions.insert(0, s3.delete_object(Bucket=bucket, Key=key)["VersionId"])
        wanted += [(key, version) for version in versions]

    def pairs(entries):
        return sorted((key, version) for _, key, version, _ in entries)

    for size in (1, 2, 3, 7, 1000):
        entries = listed(s3, bucket, PaginationConfig={"PageSize": size})
        equal(pairs(entries), sorted(wanted), f"pages of {size}")
        equal(sum(latest for *_, latest in entries), 5, "one latest for each key")
    # In order, as one page has them: versions and markers are lists of their own.
    page = s3.list_object_versions(Bucket=bucket, Prefix="c/")
    equal([(v["Key"], v["VersionId"]) for v in page["Versions"]], [w for w in wanted if w[0] == "c/x ü"])
    page = s3.list_object_versions(Bucket=bucket, MaxKeys=4)
    equal(page["IsTruncated"], True)
    equal((page["NextKeyMarker"], page["NextVersionIdMarker"]), wanted[3])
    rest = s3.list_object_versions(
        Bucket=bucket, KeyMarker=wanted[3][0], VersionIdMarker=wanted[3][1]
    )
    entries = rest["Versions"] + rest["DeleteMarkers"]
    equal(sorted((e["Key"], e["VersionId"]) for e in entries), sorted(wanted[4:]))
    after = s3.list_object_versions(Bucket=bucket, KeyMarker="a/2")
    equal({e["Key"] for e in after["Versions"]}, {"b", "c/x ü", "d+&"})
    rolled = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    equal([p["Prefix"] for p in rolled["CommonPrefixes"]], ["a/", "c/"])
    equal({e["Key"] for e in rolled["Versions"]}, {"b", "d+&"})
    rolled = s3.list_object_versions(Bucket=bucket, Delimiter="/", MaxKeys=1)
    equal(rolled["NextKeyMarker"], "a/")
    following = s3.list_object_versions(Bucket=bucket, Delimiter="/", KeyMarker="a/", MaxKeys=1)
    equal(following["Versions"][0]["Key"], "b")
    fails("InvalidArgument", 400, s3.list_object_versions, Bucket=bucket, VersionIdMarker=wanted[0][1])


@scenario
def listed_versions_describe_their_objects():
    s3 = client()
    bucket = versioned_bucket(s3)
    body = payload(3, 777)
    s3.put_object(Bucket=bucket, Key="k", Body=body, StorageClass="STANDARD_IA")
    s3.delete_object(Bucket=bucket, Key="k")
    page = s3.list_object_versions(Bucket=bucket)
    (version,), (marker,) = page["Versions"], page["DeleteMarkers"]
    equal((version["Size"], version["ETag"]), (777, etag(body)))
    equal(version["StorageClass"], "STANDARD_IA")
    equal(version["ChecksumAlgorithm"], ["CRC32"])
    for entry in (version, marker):
        age = datetime.datetime.now(datetime.timezone.utc) - entry["LastModified"]
        assert abs(age.total_seconds()) < 60, entry["LastModified"]
        assert entry["Owner"]["ID"]


@scenario
def many_versions_are_deleted_at_once():
    s3 = client()
    bucket = versioned_bucket(s3)
    one = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    two = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    s3.put_object(Bucket=bucket, Key="plain", Body=b"3")
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={
            "Objects": [
                {"Key": "k", "VersionId": one},
                {"Key": "k", "VersionId": two},
                {"Key": "plain"},
                {"Key": "never"},
            ]
        },
    )
    assert "Errors" not in answer, answer["Errors"]
    deleted = {(d["Key"], d.get("VersionId")): d for d in answer["Deleted"]}
    equal(set(deleted), {("k", one), ("k", two), ("plain", None), ("never", None)})
    for key in ("plain", "never"):
        assert deleted[(key, None)]["DeleteMarker"] is True
        assert deleted[(key, None)]["DeleteMarkerVersionId"]
    assert "DeleteMarker" not in deleted[("k", one)]
    marker = deleted[("never", None)]["DeleteMarkerVersionId"]
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "never", "VersionId": marker}]}
    )
    (gone,) = answer["Deleted"]
    equal(gone["VersionId"], marker)
    equal((gone["DeleteMarker"], gone["DeleteMarkerVersionId"]), (True, marker))
    rest = [{"Key": key, "VersionId": version} for _, key, version, _ in listed(s3, bucket)]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": rest})
    equal(listed(s3, bucket), [])


@scenario
def a_thousand_versions_are_deleted_at_once():
    s3 = client()
    bucket = versioned_bucket(s3)
    versions = [
        {"Key": f"k{n % 10}", "VersionId": s3.put_object(Bucket=bucket, Key=f"k{n % 10}")["VersionId"]}
        for n in range(1000)
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    assert "Errors" not in answer, answer["Errors"][:3]
    equal(listed(s3, bucket), [])
    s3.delete_bucket(Bucket=bucket)


@scenario
def versions_are_copied_tagged_and_described():
    s3 = client()
    bucket = versioned_bucket(s3)
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"newer")["VersionId"]
    source = {"Bucket": bucket, "Key": "k", "VersionId": old}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    equal(copied["CopySourceVersionId"], old)
    equal(read(s3, bucket, "copy"), b"old")
    equal(s3.head_object(Bucket=bucket, Key="copy")["VersionId"], copied["VersionId"])
    # Restores an old version by copying it over the newest.
    restored = s3.copy_object(Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE")
    assert restored["VersionId"] not in (old, new)
    equal(read(s3, bucket, "k"), b"old")
    tags = {"TagSet": [{"Key": "a", "Value": "1"}]}
    answer = s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=new, Tagging=tags)
    equal(answer["VersionId"], new)
    equal(s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=new)["TagSet"], tags["TagSet"])
    equal(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"], [])
    equal(s3.get_object(Bucket=bucket, Key="k", VersionId=new)["TagCount"], 1)
    s3.delete_object_tagging(Bucket=bucket, Key="k", VersionId=new)
    equal(s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=new)["TagSet"], [])
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="k", VersionId=new, ObjectAttributes=["ObjectSize", "ETag"]
    )
    equal((attributes["ObjectSize"], attributes["VersionId"]), (5, new))
    s3.get_object_acl(Bucket=bucket, Key="k", VersionId=new)
    equal(len(listed(s3, bucket, Prefix="k")), 3, "tagging makes no version")


@scenario
def multipart_uploads_make_versions():
    s3 = client()
    bucket = versioned_bucket(s3)
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    body = payload(1, 5 * MIB)
    sent = s3.upload_part(**where, PartNumber=1, Body=body)
    source = {"Bucket": bucket, "Key": "k", "VersionId": first}
    copied = s3.upload_part_copy(**where, PartNumber=2, CopySource=source)
    equal(copied["CopySourceVersionId"], first)
    parts = [
        {"PartNumber": 1, "ETag": sent["ETag"]},
        {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]},
    ]
    done = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    equal([e[2] for e in listed(s3, bucket)], [done["VersionId"], first])
    equal(read(s3, bucket, "k"), body + b"first")


@scenario
def conditions_judge_the_current_version():
    s3 = client()
    bucket = versioned_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"one")
    fails("PreconditionFailed", 412, s3.put_object, Bucket=bucket, Key="k", IfNoneMatch="*")
    s3.delete_object(Bucket=bucket, Key="k")
    # A delete marker counts as nothing.
    s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfNoneMatch="*")
    fails("PreconditionFailed", 412, s3.put_object, Bucket=bucket, Key="k", IfMatch=etag(b"one"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"three", IfMatch=etag(b"two"))
    equal(len(listed(s3, bucket)), 4)


@scenario
def a_bucket_with_versions_is_not_removed():
    s3 = client()
    bucket = versioned_bucket(s3)
    marker = s3.delete_object(Bucket=bucket, Key="never there")["VersionId"]
    fails("BucketNotEmpty", 409, s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="never there", VersionId=marker)
    s3.delete_bucket(Bucket=bucket)


@scenario
def version_ids_that_are_wrong_are_refused():
    s3 = client()
    bucket = versioned_bucket(s3)
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    fails("InvalidArgument", 400, s3.get_object, Bucket=bucket, Key="k", VersionId="no version id")
    fails("NoSuchVersion", 404, s3.get_object, Bucket=bucket, Key="other", VersionId=version)
    fails("NoSuchVersion", 404, s3.get_object, Bucket=bucket, Key="k", VersionId="null")
    fails("404", 404, s3.head_object, Bucket=bucket, Key="other", VersionId=version)
    source = {"Bucket": bucket, "Key": "other", "VersionId": version}
    fails("NoSuchVersion", 404, s3.copy_object, Bucket=bucket, Key="c", CopySource=source)


@scenario
def mfa_delete_is_refused():
    s3 = client()
    bucket = versioned_bucket(s3)
    configuration = {"Status": "Enabled", "MFADelete": "Enabled"}
    try:
        s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration=configuration, MFA="serial 123456"
        )
    except s3.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 501)
    else:
        raise AssertionError("MFA delete was accepted")
    assert s3.get_bucket_versioning(Bucket=bucket).get("MFADelete", "Disabled") == "Disabled"
