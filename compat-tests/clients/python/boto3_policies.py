"""Bucket policies: who they let in, whom they keep out, and what they ask of requests."""

import datetime
import json

from botocore import UNSIGNED
from botocore.config import Config

from harness import equal, http_request, scenario, second_account
from s3 import bucket_name, client, fails, new_bucket, read


def policy(*statements):
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(bucket, actions, principal="*", resource="/*", **more):
    """A statement that allows `actions`."""
    return {
        "Effect": "Allow",
        "Principal": principal,
        "Action": actions,
        "Resource": f"arn:aws:s3:::{bucket}{resource}",
        **more,
    }


def anonymous():
    """A client without credentials."""
    return client(config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}))


def other():
    """A client of another account."""
    access_key, secret_key = second_account()
    return client(aws_access_key_id=access_key, aws_secret_access_key=secret_key)


@scenario
def policies_come_back_as_they_were_given():
    s3 = client()
    bucket = new_bucket(s3)
    fails("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=bucket)
    text = policy(allow(bucket, "s3:GetObject"))
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    equal(json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]), json.loads(text))
    equal(s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"], True)
    for wrong in (
        "no policy",
        "{}",
        policy({"Effect": "Allow", "Action": "s3:GetObject"}),
        policy(allow(f"{bucket}-other", "s3:GetObject")),
        policy(allow(bucket, "s3:NoSuchAction")),
        policy({**allow(bucket, "s3:GetObject"), "Effect": "Perhaps"}),
        policy({**allow(bucket, "s3:GetObject"), "Condition": {"NoOperator": {"a": "b"}}}),
    ):
        fails("MalformedPolicy", 400, s3.put_bucket_policy, Bucket=bucket, Policy=wrong)
    equal(json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]), json.loads(text))
    s3.delete_bucket_policy(Bucket=bucket)
    fails("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)


@scenario
def a_public_bucket_is_read_without_credentials():
    s3, nobody = client(), anonymous()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="public/k", Body=b"data")
    s3.put_object(Bucket=bucket, Key="private/k", Body=b"data")
    fails("AccessDenied", 403, nobody.get_object, Bucket=bucket, Key="public/k")
    s3.put_bucket_policy(
        Bucket=bucket, Policy=policy(allow(bucket, "s3:GetObject", resource="/public/*"))
    )
    equal(read(nobody, bucket, "public/k"), b"data")
    equal(http_request("GET", f"{s3.meta.endpoint_url}/{bucket}/public/k")[0], 200)
    fails("AccessDenied", 403, nobody.get_object, Bucket=bucket, Key="private/k")
    fails("AccessDenied", 403, nobody.put_object, Bucket=bucket, Key="public/k", Body=b"x")
    fails("AccessDenied", 403, nobody.list_objects_v2, Bucket=bucket)
    # Who may not list does not learn which keys there are.
    fails("AccessDenied", 403, nobody.get_object, Bucket=bucket, Key="public/none")
    where = {"Bucket": bucket, "Key": "public/k"}
    fails("InvalidRequest", 400, nobody.get_object, **where, ResponseContentType="text/html")
    s3.delete_bucket_policy(Bucket=bucket)
    fails("AccessDenied", 403, nobody.get_object, Bucket=bucket, Key="public/k")


@scenario
def a_public_listing_and_upload():
    s3, nobody = client(), anonymous()
    bucket = new_bucket(s3)
    statements = [
        allow(bucket, "s3:ListBucket", resource="", Condition={"StringEquals": {"s3:prefix": "in/"}}),
        allow(bucket, ["s3:PutObject", "s3:GetObject"], resource="/in/*"),
    ]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(*statements))
    nobody.put_object(Bucket=bucket, Key="in/k", Body=b"from nobody")
    keys = [e["Key"] for e in nobody.list_objects_v2(Bucket=bucket, Prefix="in/")["Contents"]]
    equal(keys, ["in/k"])
    fails("AccessDenied", 403, nobody.list_objects_v2, Bucket=bucket)
    fails("AccessDenied", 403, nobody.delete_object, Bucket=bucket, Key="in/k")
    equal(read(s3, bucket, "in/k"), b"from nobody")
    s3.delete_object(Bucket=bucket, Key="in/k")


@scenario
def another_account_does_what_it_may():
    s3, theirs = client(), other()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    fails("AccessDenied", 403, theirs.get_object, Bucket=bucket, Key="k")
    # The account is named by its canonical id: the owner of what it owns.
    owner = theirs.list_buckets()["Owner"]["ID"]
    principal = {"CanonicalUser": owner}
    statements = [
        allow(bucket, ["s3:GetObject", "s3:PutObject"], principal),
        allow(bucket, "s3:ListBucket", principal, resource=""),
    ]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(*statements))
    equal(read(theirs, bucket, "k"), b"data")
    theirs.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    equal(len(theirs.list_objects_v2(Bucket=bucket)["Contents"]), 2)
    fails("NoSuchKey", 404, theirs.get_object, Bucket=bucket, Key="none")
    fails("AccessDenied", 403, theirs.delete_object, Bucket=bucket, Key="k")
    fails("AccessDenied", 403, theirs.get_bucket_policy, Bucket=bucket)
    fails("AccessDenied", 403, anonymous().get_object, Bucket=bucket, Key="k")
    equal(s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"], False)


@scenario
def uploads_must_be_encrypted_as_the_policy_says():
    s3 = client()
    bucket = new_bucket(s3)
    unencrypted = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(unencrypted))
    fails("AccessDenied", 403, s3.put_object, Bucket=bucket, Key="k", Body=b"x")
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    fails("AccessDenied", 403, s3.put_object, **put, ServerSideEncryption="AES256")
    s3.put_object(**put, ServerSideEncryption="aws:kms")
    equal(read(s3, bucket, "k"), b"x")


@scenario
def an_owner_is_not_locked_out():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    everything = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(everything))
    fails("AccessDenied", 403, s3.get_object, Bucket=bucket, Key="k")
    fails("AccessDenied", 403, s3.list_objects_v2, Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    equal(read(s3, bucket, "k"), b"x")


@scenario
def deletion_of_many_judges_each_key():
    s3 = client()
    bucket = new_bucket(s3)
    for key in ("a", "kept/b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    kept = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/kept/*",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(kept))
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "kept/b"}]}
    )
    equal([d["Key"] for d in answer["Deleted"]], ["a"])
    equal([(e["Key"], e["Code"]) for e in answer["Errors"]], [("kept/b", "AccessDenied")])
    equal(read(s3, bucket, "kept/b"), b"x")


@scenario
def requesters_pay_for_what_they_are_allowed():
    s3, theirs = client(), other()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    principal = {"CanonicalUser": theirs.list_buckets()["Owner"]["ID"]}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(allow(bucket, "s3:GetObject", principal)))
    equal(read(theirs, bucket, "k"), b"data")
    payer = {"Payer": "Requester"}
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration=payer)
    fails("AccessDenied", 403, theirs.get_object, Bucket=bucket, Key="k")
    paid = theirs.get_object(Bucket=bucket, Key="k", RequestPayer="requester")
    equal((paid["Body"].read(), paid["RequestCharged"]), (b"data", "requester"))
    # The owner is not charged.
    equal(read(s3, bucket, "k"), b"data")


@scenario
def bypassing_governance_is_a_permission():
    s3, theirs = client(), other()
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x", **lock)["VersionId"]
    principal = {"CanonicalUser": theirs.list_buckets()["Owner"]["ID"]}
    actions = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(allow(bucket, actions, principal)))
    where = {"Bucket": bucket, "Key": "k", "VersionId": version}
    fails("AccessDenied", 403, theirs.delete_object, **where)
    fails("AccessDenied", 403, theirs.delete_object, **where, BypassGovernanceRetention=True)
    actions.append("s3:BypassGovernanceRetention")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(allow(bucket, actions, principal)))
    fails("AccessDenied", 403, theirs.delete_object, **where)
    theirs.delete_object(**where, BypassGovernanceRetention=True)
    fails("NoSuchVersion", 404, s3.get_object, **where)
