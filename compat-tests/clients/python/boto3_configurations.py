"""Configurations of buckets: stored, returned as they were given, replaced, removed."""

from botocore.config import Config

from harness import equal, http_request, scenario
from s3 import bucket_name, client, fails, new_bucket


def roundtrip(s3, bucket, kind, argument, values, absent):
    """Puts each of `values`, reads it back, deletes it, and finds it gone: `absent` is the code."""
    get, put = getattr(s3, f"get_bucket_{kind}"), getattr(s3, f"put_bucket_{kind}")
    fails(absent, 404, get, Bucket=bucket)
    for value in values:
        put(Bucket=bucket, **{argument: value})
        got = get(Bucket=bucket)
        got.pop("ResponseMetadata")
        equal(got, value if argument != "Tagging" else {"TagSet": value["TagSet"]}, kind)
    delete = getattr(s3, f"delete_bucket_{kind}")
    equal(delete(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"], 204)
    fails(absent, 404, get, Bucket=bucket)
    equal(delete(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"], 204)


@scenario
def cors_rules_come_back_and_answer_preflights():
    s3 = client()
    bucket = new_bucket(s3)
    rule = {
        "ID": "pages",
        "AllowedOrigins": ["https://*.example.com"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["x-amz-*", "content-type"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
    }
    plain = {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]}
    values = [{"CORSRules": [plain]}, {"CORSRules": [rule, plain]}]
    roundtrip(s3, bucket, "cors", "CORSConfiguration", values, "NoSuchCORSConfiguration")
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    url = f"{s3.meta.endpoint_url}/{bucket}/k"
    ask = {
        "Origin": "https://www.example.com",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,x-amz-meta-a",
    }
    status, headers, _ = http_request("OPTIONS", url, headers=ask)
    headers = {name.lower(): value for name, value in headers.items()}
    equal(status, 200)
    equal(headers["access-control-allow-origin"], "https://www.example.com")
    equal(headers["access-control-max-age"], "600")
    ask["Origin"] = "https://www.example.org"
    equal(http_request("OPTIONS", url, headers=ask)[0], 403)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    signer = client(config=Config(signature_version="s3v4"))
    url = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    status, headers, _ = http_request("GET", url, headers={"Origin": "https://a.example.com"})
    headers = {name.lower(): value for name, value in headers.items()}
    equal((status, headers["access-control-expose-headers"]), (200, "ETag"))
    wrong = {"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["PATCH"]}]}
    fails("InvalidRequest", 400, s3.put_bucket_cors, Bucket=bucket, CORSConfiguration=wrong)


@scenario
def websites_come_back():
    s3 = client()
    bucket = new_bucket(s3)
    routed = {
        "IndexDocument": {"Suffix": "index.html"},
        "ErrorDocument": {"Key": "errors/404.html"},
        "RoutingRules": [
            {
                "Condition": {"KeyPrefixEquals": "old/", "HttpErrorCodeReturnedEquals": "404"},
                "Redirect": {
                    "HostName": "example.com",
                    "Protocol": "https",
                    "HttpRedirectCode": "302",
                    "ReplaceKeyPrefixWith": "new/",
                },
            }
        ],
    }
    redirected = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
    values = [routed, redirected, {"IndexDocument": {"Suffix": "i"}}]
    absent = "NoSuchWebsiteConfiguration"
    roundtrip(s3, bucket, "website", "WebsiteConfiguration", values, absent)
    wrong = {"IndexDocument": {"Suffix": "a/b"}}
    fails("InvalidArgument", 400, s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration=wrong)


@scenario
def bucket_tags_come_back():
    s3 = client()
    bucket = new_bucket(s3)
    one = {"TagSet": [{"Key": "team", "Value": "a b"}]}
    fifty = {"TagSet": [{"Key": f"k{n:02}", "Value": f"ü{n}"} for n in range(50)]}
    roundtrip(s3, bucket, "tagging", "Tagging", [one, fifty], "NoSuchTagSet")
    for wrong in (
        [{"Key": "same", "Value": "1"}, {"Key": "same", "Value": "2"}],
        [{"Key": "aws:mine", "Value": "1"}],
        [{"Key": "k" * 129, "Value": "1"}],
        [{"Key": f"k{n}", "Value": ""} for n in range(51)],
    ):
        codes = ("InvalidTag", "BadRequest", "MalformedXML")
        fails(codes, 400, s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": wrong})
    tagged = bucket_name()
    s3.create_bucket(Bucket=tagged, CreateBucketConfiguration={"Tags": one["TagSet"]})
    equal(s3.get_bucket_tagging(Bucket=tagged)["TagSet"], one["TagSet"])


@scenario
def single_settings_come_back():
    s3 = client()
    bucket = new_bucket(s3)
    equal(s3.get_bucket_request_payment(Bucket=bucket)["Payer"], "BucketOwner")
    for payer in ("Requester", "BucketOwner"):
        s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": payer})
        equal(s3.get_bucket_request_payment(Bucket=bucket)["Payer"], payer)
    wrong = {"Payer": "Somebody"}
    fails(
        "MalformedXML",
        400,
        s3.put_bucket_request_payment,
        Bucket=bucket,
        RequestPaymentConfiguration=wrong,
    )
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_accelerate_configuration(
            Bucket=bucket, AccelerateConfiguration={"Status": status}
        )
        equal(s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"], status)
    wrong = {"Status": "Fast"}
    put = s3.put_bucket_accelerate_configuration
    fails("MalformedXML", 400, put, Bucket=bucket, AccelerateConfiguration=wrong)
    equal(s3.get_bucket_abac(Bucket=bucket)["AbacStatus"]["Status"], "Disabled")
    s3.put_bucket_abac(Bucket=bucket, AbacStatus={"Status": "Enabled"})
    equal(s3.get_bucket_abac(Bucket=bucket)["AbacStatus"]["Status"], "Enabled")


@scenario
def requesters_pay_with_their_word():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_bucket_request_payment(
        Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"}
    )
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", RequestPayer="requester")
    equal(put["ResponseMetadata"]["HTTPStatusCode"], 200)
    got = s3.get_object(Bucket=bucket, Key="k", RequestPayer="requester")
    equal(got["Body"].read(), b"x")


@scenario
def logging_goes_to_a_bucket_that_exists():
    s3 = client()
    bucket, target = new_bucket(s3), new_bucket(s3)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    enabled = {"TargetBucket": target, "TargetPrefix": "logs/"}
    status = {"LoggingEnabled": enabled}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=status)
    got = s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    equal({name: got[name] for name in enabled}, enabled)
    nowhere = {"LoggingEnabled": {**enabled, "TargetBucket": f"{target}-none"}}
    put = s3.put_bucket_logging
    fails("InvalidTargetBucketForLogging", 400, put, Bucket=bucket, BucketLoggingStatus=nowhere)
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def listed_kind(s3, kind, argument, made):
    """Puts, gets, lists in pages and deletes configurations of a kind; `made(id)` is one."""
    bucket = new_bucket(s3)
    put = getattr(s3, f"put_bucket_{kind}_configuration")
    get = getattr(s3, f"get_bucket_{kind}_configuration")
    delete = getattr(s3, f"delete_bucket_{kind}_configuration")
    lists = getattr(s3, f"list_bucket_{kind}_configurations")
    fails("NoSuchConfiguration", 404, get, Bucket=bucket, Id="none")
    ids = [f"id-{n:03}" for n in range(103)]
    for name in ids:
        put(Bucket=bucket, Id=name, **{argument: made(name)})
    got = get(Bucket=bucket, Id="id-007")[argument]
    equal(got, made("id-007"), kind)
    found, more = [], {}
    while True:
        page = lists(Bucket=bucket, **more)
        found += page[f"{argument}List"]
        if not page["IsTruncated"]:
            break
        more = {"ContinuationToken": page["NextContinuationToken"]}
    equal([f["Id"] for f in found], ids)
    equal(found[7], got)
    fails("IdMismatch", 400, put, Bucket=bucket, Id="a", **{argument: made("b")})
    delete(Bucket=bucket, Id="id-007")
    fails("NoSuchConfiguration", 404, get, Bucket=bucket, Id="id-007")


@scenario
def analytics_configurations_come_back():
    s3 = client()
    export = {
        "OutputSchemaVersion": "V_1",
        "Destination": {
            "S3BucketDestination": {
                "Format": "CSV",
                "BucketAccountId": "123456789012",
                "Bucket": "arn:aws:s3:::somewhere",
                "Prefix": "p/",
            }
        },
    }
    listed_kind(
        s3,
        "analytics",
        "AnalyticsConfiguration",
        lambda name: {
            "Id": name,
            "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}},
            "StorageClassAnalysis": {"DataExport": export},
        },
    )


@scenario
def metrics_configurations_come_back():
    s3 = client()
    listed_kind(
        s3, "metrics", "MetricsConfiguration", lambda name: {"Id": name, "Filter": {"Prefix": name}}
    )


@scenario
def tiering_configurations_come_back():
    s3 = client()
    listed_kind(
        s3,
        "intelligent_tiering",
        "IntelligentTieringConfiguration",
        lambda name: {
            "Id": name,
            "Filter": {"Tag": {"Key": "k", "Value": name}},
            "Status": "Enabled",
            "Tierings": [
                {"Days": 90, "AccessTier": "ARCHIVE_ACCESS"},
                {"Days": 180, "AccessTier": "DEEP_ARCHIVE_ACCESS"},
            ],
        },
    )


@scenario
def what_comes_later_says_so():
    s3 = client()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"a,b\n")
    for operation, arguments in (
        (s3.get_bucket_notification_configuration, {}),
        (s3.get_bucket_replication, {}),
        (s3.list_bucket_inventory_configurations, {}),
        (s3.get_public_access_block, {}),
        (s3.get_bucket_ownership_controls, {}),
        (s3.restore_object, {"Key": "k", "RestoreRequest": {"Days": 1}}),
        (
            s3.select_object_content,
            {
                "Key": "k",
                "Expression": "select * from s3object",
                "ExpressionType": "SQL",
                "InputSerialization": {"CSV": {}},
                "OutputSerialization": {"CSV": {}},
            },
        ),
    ):
        fails("NotImplemented", 501, operation, Bucket=bucket, **arguments)


@scenario
def objects_are_renamed_in_place():
    s3 = client()
    bucket = new_bucket(s3)
    etag = s3.put_object(Bucket=bucket, Key="a/one ü", Body=b"data", Metadata={"m": "1"})["ETag"]
    s3.put_object(Bucket=bucket, Key="taken", Body=b"taken")
    source = {"RenameSource": f"{bucket}/a/one%20%C3%BC"}
    fails(
        "PreconditionFailed",
        412,
        s3.rename_object,
        Bucket=bucket,
        Key="taken",
        DestinationIfNoneMatch="*",
        **source,
    )
    s3.rename_object(Bucket=bucket, Key="b/two", SourceIfMatch=etag, **source)
    got = s3.get_object(Bucket=bucket, Key="b/two")
    equal((got["Body"].read(), got["ETag"], got["Metadata"]), (b"data", etag, {"m": "1"}))
    fails("404", 404, s3.head_object, Bucket=bucket, Key="a/one ü")
    equal(s3.get_object(Bucket=bucket, Key="taken")["Body"].read(), b"taken")
    fails("NoSuchKey", 404, s3.rename_object, Bucket=bucket, Key="x", **source)
    # The source may be named by its key alone.
    s3.rename_object(Bucket=bucket, Key="a/one ü", RenameSource="b/two")
    equal(s3.get_object(Bucket=bucket, Key="a/one ü")["Body"].read(), b"data")
