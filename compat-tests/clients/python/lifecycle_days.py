"""Lifecycle rules at work, on a server whose days last two seconds."""

import time

import harness
from harness import equal, scenario
from s3 import client, new_bucket, read

# How long a rule may take. Chosen: its day, the next midnight, the worker's turn, and a busy machine.
SECONDS_MAX = 60


def rules(s3, bucket, *given):
    """Gives a bucket its rules."""
    named = [{"ID": str(n), "Status": "Enabled", **rule} for n, rule in enumerate(given)]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": named})


def until(what, holds):
    """Waits until `holds()`."""
    end = time.monotonic() + SECONDS_MAX
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {SECONDS_MAX} s: {what}")
        time.sleep(0.25)


def keys(s3, bucket):
    """The keys of a bucket."""
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def versions(s3, bucket):
    """Version ids and delete markers of a bucket."""
    page = s3.list_object_versions(Bucket=bucket)
    return (
        [entry["VersionId"] for entry in page.get("Versions", [])],
        [entry["VersionId"] for entry in page.get("DeleteMarkers", [])],
    )


def versioned_bucket(s3):
    """A bucket with versioning."""
    bucket = new_bucket(s3)
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    return bucket


@scenario
def objects_expire_by_prefix_tag_and_size():
    s3 = client()
    bucket = new_bucket(s3)
    for key, body, tagging in (
        ("old/a", b"x", ""),
        ("old/b", b"x" * 20_000, ""),
        ("kept", b"x", "temporary=no"),
        ("tagged", b"x", "temporary=yes"),
        ("large", b"x" * 20_000, ""),
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=body, Tagging=tagging)
    rules(
        s3,
        bucket,
        {"Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}},
        {"Filter": {"Tag": {"Key": "temporary", "Value": "yes"}}, "Expiration": {"Days": 1}},
        {"Filter": {"ObjectSizeGreaterThan": 10_000}, "Expiration": {"Days": 1}},
        {"Filter": {"Prefix": "kept"}, "Expiration": {"Days": 100_000}},
    )
    until("four objects expire", lambda: keys(s3, bucket) == ["kept"])
    equal(read(s3, bucket, "kept"), b"x")


@scenario
def versions_expire_and_lone_markers_go():
    s3 = client()
    bucket = versioned_bucket(s3)
    for n in range(5):
        s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % n)
    newest = versions(s3, bucket)[0][:3]
    rules(
        s3,
        bucket,
        {
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2},
        },
    )
    until("the newest three are left", lambda: versions(s3, bucket) == (newest, []))
    s3.delete_object(Bucket=bucket, Key="lonely")
    until("the lone marker is gone", lambda: versions(s3, bucket)[1] == [])
    equal(read(s3, bucket, "k"), b"4")


@scenario
def current_versions_expire_into_markers():
    s3 = client()
    bucket = versioned_bucket(s3)
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    rules(s3, bucket, {"Filter": {"Prefix": ""}, "Expiration": {"Days": 1}})
    until("a marker is made", lambda: len(versions(s3, bucket)[1]) == 1)
    equal(versions(s3, bucket)[0], [version])
    equal(read(s3, bucket, "k", VersionId=version), b"x")


@scenario
def uploads_left_behind_are_aborted():
    s3 = client()
    bucket = new_bucket(s3)
    s3.create_multipart_upload(Bucket=bucket, Key="left/behind")
    other = s3.create_multipart_upload(Bucket=bucket, Key="other")["UploadId"]
    abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    rules(s3, bucket, {"Filter": {"Prefix": "left/"}, **abort})

    def uploads():
        listed = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [upload["UploadId"] for upload in listed]

    until("one upload is left", lambda: uploads() == [other])


@scenario
def locked_versions_do_not_expire():
    s3 = client()
    bucket = harness.bucket_name()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    held = s3.put_object(Bucket=bucket, Key="k", Body=b"held", ObjectLockLegalHoldStatus="ON")
    s3.put_object(Bucket=bucket, Key="k", Body=b"free")
    s3.put_object(Bucket=bucket, Key="k", Body=b"newest")
    rules(
        s3,
        bucket,
        {"Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
    )
    until("the free version is gone", lambda: len(versions(s3, bucket)[0]) == 2)
    version = {"VersionId": held["VersionId"]}
    equal(read(s3, bucket, "k", **version), b"held")
    off = {"Status": "OFF"}
    s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold=off, **version)
    until("the other follows", lambda: len(versions(s3, bucket)[0]) == 1)


if __name__ == "__main__":
    harness.main()
