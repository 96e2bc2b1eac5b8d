"""Object lock: retention in both modes, legal holds, defaults, and what they withstand."""

import datetime
import time

from harness import MIB, equal, payload, scenario
from s3 import bucket_name, client, fails, read


def locked_bucket(s3):
    """Creates a bucket with object lock."""
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return bucket


def later(**arguments):
    """A time from now, in whole seconds."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    return now + datetime.timedelta(**arguments)


@scenario
def a_bucket_with_object_lock_is_versioned():
    s3 = client()
    bucket = locked_bucket(s3)
    equal(s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
    lock = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    equal(lock, {"ObjectLockEnabled": "Enabled"})
    suspend = {"Status": "Suspended"}
    fails("InvalidBucketState", 409, s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=suspend)
    plain = bucket_name()
    s3.create_bucket(Bucket=plain)
    code = "ObjectLockConfigurationNotFoundError"
    fails(code, 404, s3.get_object_lock_configuration, Bucket=plain)
    enable = {"ObjectLockEnabled": "Enabled"}
    fails(
        "InvalidBucketState",
        409,
        s3.put_object_lock_configuration,
        Bucket=plain,
        ObjectLockConfiguration=enable,
    )
    s3.put_bucket_versioning(Bucket=plain, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=plain, ObjectLockConfiguration=enable)
    equal(s3.get_object_lock_configuration(Bucket=plain)["ObjectLockConfiguration"], enable)


@scenario
def compliance_holds_against_everybody():
    s3 = client()
    bucket = locked_bucket(s3)
    until = later(days=1)
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"kept",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
    )
    version = {"Bucket": bucket, "Key": "k", "VersionId": put["VersionId"]}
    head = s3.head_object(**version)
    equal((head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]), ("COMPLIANCE", until))
    for bypass in ({}, {"BypassGovernanceRetention": True}):
        fails("AccessDenied", 403, s3.delete_object, **version, **bypass)
        for retention in (
            {"Mode": "COMPLIANCE", "RetainUntilDate": later(hours=1)},
            {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=2)},
            {},
        ):
            fails("AccessDenied", 403, s3.put_object_retention, **version, Retention=retention, **bypass)
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "k", "VersionId": put["VersionId"]}]},
        BypassGovernanceRetention=True,
    )
    equal([e["Code"] for e in answer["Errors"]], ["AccessDenied"])
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": later(days=2)}
    s3.put_object_retention(**version, Retention=longer)
    equal(s3.get_object_retention(**version)["Retention"], longer)
    # A marker and newer versions do not touch it.
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    equal(s3.get_object(**version)["Body"].read(), b"kept")
    fails("BucketNotEmpty", 409, s3.delete_bucket, Bucket=bucket)


@scenario
def governance_is_bypassed_on_request():
    s3 = client()
    bucket = locked_bucket(s3)
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=later(days=2),
    )
    version = {"Bucket": bucket, "Key": "k", "VersionId": put["VersionId"]}
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=1)}
    fails("AccessDenied", 403, s3.delete_object, **version)
    fails("AccessDenied", 403, s3.put_object_retention, **version, Retention=shorter)
    s3.put_object_retention(**version, Retention=shorter, BypassGovernanceRetention=True)
    equal(s3.get_object_retention(**version)["Retention"], shorter)
    s3.delete_object(**version, BypassGovernanceRetention=True)
    fails("NoSuchVersion", 404, s3.get_object, **version)


@scenario
def a_legal_hold_holds_until_it_is_lifted():
    s3 = client()
    bucket = locked_bucket(s3)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON")
    version = {"Bucket": bucket, "Key": "k", "VersionId": put["VersionId"]}
    equal(s3.head_object(**version)["ObjectLockLegalHoldStatus"], "ON")
    equal(s3.get_object_legal_hold(**version)["LegalHold"], {"Status": "ON"})
    fails("AccessDenied", 403, s3.delete_object, **version, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    equal(s3.get_object_legal_hold(**version)["LegalHold"], {"Status": "OFF"})
    s3.delete_object(**version)
    other = s3.put_object(Bucket=bucket, Key="other", Body=b"x")["VersionId"]
    where = {"Bucket": bucket, "Key": "other", "VersionId": other}
    fails("NoSuchObjectLockConfiguration", 404, s3.get_object_legal_hold, **where)
    fails("NoSuchObjectLockConfiguration", 404, s3.get_object_retention, **where)


@scenario
def default_retention_applies_to_new_versions():
    s3 = client()
    bucket = locked_bucket(s3)
    before = s3.put_object(Bucket=bucket, Key="k", Body=b"before")["VersionId"]
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    got = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    equal(got, configuration)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=before)
    body = payload(1, 5 * MIB + 1)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    sent = s3.upload_part(**part, PartNumber=1, Body=body)
    parts = {"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]}
    s3.complete_multipart_upload(**part, MultipartUpload=parts)
    s3.put_object(Bucket=bucket, Key="put", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "put"})
    for key in ("parts", "put", "copy"):
        head = s3.head_object(Bucket=bucket, Key=key)
        equal(head["ObjectLockMode"], "GOVERNANCE", key)
        left = head["ObjectLockRetainUntilDate"] - later(days=3)
        assert abs(left.total_seconds()) < 120, (key, head["ObjectLockRetainUntilDate"])
        version = head["VersionId"]
        fails("AccessDenied", 403, s3.delete_object, Bucket=bucket, Key=key, VersionId=version)
    own = s3.put_object(
        Bucket=bucket,
        Key="own",
        Body=b"x",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=later(days=9),
    )
    head = s3.head_object(Bucket=bucket, Key="own", VersionId=own["VersionId"])
    equal(head["ObjectLockMode"], "COMPLIANCE")


@scenario
def wrong_locks_are_refused():
    s3 = client()
    bucket = locked_bucket(s3)
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    past = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": later(days=-1)}
    fails("InvalidArgument", 400, s3.put_object, **put, **past)
    fails("InvalidArgument", 400, s3.put_object, **put, ObjectLockMode="GOVERNANCE")
    fails(
        "InvalidArgument", 400, s3.put_object, **put, ObjectLockRetainUntilDate=later(days=1)
    )
    strange = {"ObjectLockMode": "FOREVER", "ObjectLockRetainUntilDate": later(days=1)}
    fails("InvalidArgument", 400, s3.put_object, **put, **strange)
    version = s3.put_object(**put)["VersionId"]
    where = {"Bucket": bucket, "Key": "k", "VersionId": version}
    ago = {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=-1)}
    fails("InvalidArgument", 400, s3.put_object_retention, **where, Retention=ago)
    strange = {"Mode": "FOREVER", "RetainUntilDate": later(days=1)}
    fails("MalformedXML", 400, s3.put_object_retention, **where, Retention=strange)
    fails("MalformedXML", 400, s3.put_object_legal_hold, **where, LegalHold={"Status": "MAYBE"})
    for default in (
        {"Mode": "GOVERNANCE", "Days": 1, "Years": 1},
        {"Mode": "GOVERNANCE"},
        {"Days": 1},
        {"Mode": "GOVERNANCE", "Days": 0},
    ):
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}
        fails(
            ("MalformedXML", "InvalidArgument", "InvalidRetentionPeriod"),
            400,
            s3.put_object_lock_configuration,
            Bucket=bucket,
            ObjectLockConfiguration=configuration,
        )
    plain = bucket_name()
    s3.create_bucket(Bucket=plain)
    retention = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": later(days=1)}
    fails("InvalidRequest", 400, s3.put_object, Bucket=plain, Key="k", Body=b"x", **retention)
    s3.put_object(Bucket=plain, Key="k", Body=b"x")
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=1)}
    fails("InvalidRequest", 400, s3.put_object_retention, Bucket=plain, Key="k", Retention=retention)
    fails("InvalidRequest", 400, s3.get_object_retention, Bucket=plain, Key="k")
    hold = {"Status": "ON"}
    fails("InvalidRequest", 400, s3.put_object_legal_hold, Bucket=plain, Key="k", LegalHold=hold)
    equal(read(s3, plain, "k"), b"x")


@scenario
def a_retention_that_has_ended_holds_nothing():
    s3 = client()
    bucket = locked_bucket(s3)
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=later(seconds=4),
    )
    version = {"Bucket": bucket, "Key": "k", "VersionId": put["VersionId"]}
    fails("AccessDenied", 403, s3.delete_object, **version)
    time.sleep(5)
    s3.delete_object(**version)
    fails("NoSuchVersion", 404, s3.get_object, **version)
