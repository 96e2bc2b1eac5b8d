"""Lifecycle rules as documents, and what they announce. `lifecycle_days.py` sees them act."""

import datetime

from harness import equal, scenario
from s3 import client, fails, new_bucket

RULES = [
    {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}},
    {
        "ID": "dated",
        "Status": "Disabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Date": datetime.datetime(2033, 1, 2, tzinfo=datetime.timezone.utc)},
    },
    {
        "ID": "narrow",
        "Status": "Enabled",
        "Filter": {
            "And": {
                "Prefix": "a/",
                "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": ""}],
                "ObjectSizeGreaterThan": 10,
                "ObjectSizeLessThan": 100000,
            }
        },
        "Expiration": {"Days": 5},
    },
    {
        "ID": "one tag",
        "Status": "Enabled",
        "Filter": {"Tag": {"Key": "temporary", "Value": "yes"}},
        "Expiration": {"Days": 1},
    },
    {
        "ID": "versions",
        "Status": "Enabled",
        "Filter": {"Prefix": "v/"},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 2},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
    },
    {
        "ID": "transitions",
        "Status": "Enabled",
        "Filter": {"Prefix": "t/"},
        "Transitions": [
            {"Days": 30, "StorageClass": "STANDARD_IA"},
            {"Days": 90, "StorageClass": "GLACIER"},
        ],
        "NoncurrentVersionTransitions": [{"NoncurrentDays": 30, "StorageClass": "GLACIER"}],
    },
]


@scenario
def lifecycle_rules_come_back_as_they_were_given():
    s3 = client()
    bucket = new_bucket(s3)
    code = "NoSuchLifecycleConfiguration"
    fails(code, 404, s3.get_bucket_lifecycle_configuration, Bucket=bucket)
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": RULES})
    got = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    equal(got["Rules"], RULES)
    assert got.get("TransitionDefaultMinimumObjectSize") in ("all_storage_classes_128K", None)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    fails(code, 404, s3.get_bucket_lifecycle_configuration, Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)


@scenario
def rules_of_the_older_form_and_without_ids():
    s3 = client()
    bucket = new_bucket(s3)
    rule = {"Prefix": "old/", "Status": "Enabled", "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    (got,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert got.pop("ID")
    equal(got, rule)


@scenario
def wrong_rules_are_refused_and_the_old_ones_stay():
    s3 = client()
    bucket = new_bucket(s3)
    kept = {"Rules": [RULES[0]]}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=kept)
    base = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x"}}
    midday = datetime.datetime(2033, 1, 2, 12, tzinfo=datetime.timezone.utc)
    wrong = [
        [{**base}],
        [{**base, "Expiration": {"Days": 0}}],
        [{**base, "Expiration": {"Days": -1}}],
        [{**base, "Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}],
        [{**base, "Expiration": {"Date": midday}}],
        [{**base, "Expiration": {"Days": 1}, "Status": "On"}],
        [{**base, "Expiration": {"Days": 1}}] * 2,
        [{**base, "ID": "i" * 256, "Expiration": {"Days": 1}}],
        [{**base, "NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 3}}],
        [
            {
                **base,
                "Filter": {"Tag": {"Key": "a", "Value": "b"}},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            }
        ],
        [{**base, "Expiration": {"Days": 1}, "ID": str(n)} for n in range(1001)],
    ]
    for rules in wrong:
        codes = ("MalformedXML", "InvalidArgument", "InvalidRequest")
        configuration = {"Rules": rules}
        fails(
            codes,
            400,
            s3.put_bucket_lifecycle_configuration,
            Bucket=bucket,
            LifecycleConfiguration=configuration,
        )
    equal(s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], kept["Rules"])


@scenario
def expirations_are_announced():
    s3 = client()
    bucket = new_bucket(s3)
    rules = [
        {"ID": "ten days", "Status": "Enabled", "Filter": {"Prefix": "t/"}, "Expiration": {"Days": 10}},
        {
            "ID": "uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": "t/"},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        },
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    put = s3.put_object(Bucket=bucket, Key="t/k", Body=b"x")
    for answer in (
        put,
        s3.head_object(Bucket=bucket, Key="t/k"),
        s3.get_object(Bucket=bucket, Key="t/k"),
    ):
        said = answer["Expiration"]
        assert 'rule-id="ten%20days"' in said or 'rule-id="ten days"' in said, said
        assert " 00:00:00 GMT" in said, said
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="u/k", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="t/parts")
    equal(upload["AbortRuleId"], "uploads")
    left = upload["AbortDate"] - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(days=2) <= left <= datetime.timedelta(days=3), left
    parts = s3.list_parts(Bucket=bucket, Key="t/parts", UploadId=upload["UploadId"])
    equal((parts["AbortRuleId"], parts["AbortDate"]), ("uploads", upload["AbortDate"]))
