"""Encryption headers: customer's keys, the key service, and a bucket's default."""

import base64
import hashlib
import io
import os

from botocore.config import Config

from harness import MIB, equal, etag, http_request, payload, scenario
from s3 import client, fails, new_bucket, read

KEY = bytes(range(32))
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
OTHER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(32)}
SOURCE = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}


def kms_key():
    """A key that an administrator has made."""
    return os.environ["COMPAT_KMS_KEY"]


@scenario
def a_customer_key_is_needed_to_read():
    s3 = client()
    bucket = new_bucket(s3)
    for length in (0, 100, 70_000, 9 * MIB + 1):
        where = {"Bucket": bucket, "Key": f"k{length}"}
        body = payload(length, length)
        put = s3.put_object(**where, Body=body, **CUSTOMER)
        md5 = base64.b64encode(hashlib.md5(KEY).digest()).decode()
        equal((put["SSECustomerAlgorithm"], put["SSECustomerKeyMD5"]), ("AES256", md5))
        got = s3.get_object(**where, **CUSTOMER)
        equal(got["Body"].read(), body)
        equal((got["SSECustomerAlgorithm"], got["SSECustomerKeyMD5"]), ("AES256", md5))
        if length:
            part = s3.get_object(**where, **CUSTOMER, Range=f"bytes={length // 2}-")
            equal(part["Body"].read(), body[length // 2 :])
        equal(s3.head_object(**where, **CUSTOMER)["ContentLength"], length)
        fails("InvalidRequest", 400, s3.get_object, **where)
        fails("400", 400, s3.head_object, **where)
        fails("AccessDenied", 403, s3.get_object, **where, **OTHER)
        fails("403", 403, s3.head_object, **where, **OTHER)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    fails("InvalidRequest", 400, s3.get_object, Bucket=bucket, Key="plain", **CUSTOMER)
    s3.delete_object(Bucket=bucket, Key="k100")


@scenario
def parts_and_copies_take_customer_keys():
    s3 = client()
    bucket = new_bucket(s3)
    where = {"Bucket": bucket, "Key": "parts"}
    upload = {**where, "UploadId": s3.create_multipart_upload(**where, **CUSTOMER)["UploadId"]}
    bodies = [payload(1, 5 * MIB), payload(2, 1234)]
    fails("InvalidRequest", 400, s3.upload_part, **upload, PartNumber=1, Body=bodies[0])
    fails(
        ("InvalidRequest", "AccessDenied"),
        400,
        s3.upload_part,
        **upload,
        PartNumber=1,
        Body=bodies[0],
        **OTHER,
    )
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(**upload, PartNumber=number, Body=body, **CUSTOMER)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **CUSTOMER)
    equal(read(s3, bucket, "parts", **CUSTOMER), b"".join(bodies))
    equal(read(s3, bucket, "parts", PartNumber=2, **CUSTOMER), bodies[1])
    source = {"Bucket": bucket, "Key": "parts"}
    fails("InvalidRequest", 400, s3.copy_object, Bucket=bucket, Key="c", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="opened", CopySource=source, **SOURCE)
    equal(read(s3, bucket, "opened"), b"".join(bodies))
    s3.copy_object(Bucket=bucket, Key="rekeyed", CopySource=source, **SOURCE, **OTHER)
    equal(read(s3, bucket, "rekeyed", **OTHER), b"".join(bodies))
    upload = {"Bucket": bucket, "Key": "joined"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **OTHER)["UploadId"]
    copied = s3.upload_part_copy(**upload, PartNumber=1, CopySource=source, **SOURCE, **OTHER)
    parts = {"Parts": [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts, **OTHER)
    equal(read(s3, bucket, "joined", **OTHER), b"".join(bodies))


@scenario
def transfers_use_a_customer_key():
    s3 = client()
    bucket = new_bucket(s3)
    data = payload(5, 17 * MIB + 3)
    s3.upload_fileobj(io.BytesIO(data), bucket, "k", ExtraArgs=dict(CUSTOMER))
    target = io.BytesIO()
    s3.download_fileobj(bucket, "k", target, ExtraArgs=dict(CUSTOMER))
    equal(target.getvalue(), data)


@scenario
def presigned_requests_carry_a_customer_key():
    s3 = client()
    bucket = new_bucket(s3)
    headers = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": base64.b64encode(KEY).decode(),
        "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(
            hashlib.md5(KEY).digest()
        ).decode(),
    }
    signer = client(config=Config(signature_version="s3v4"))
    params = {"Bucket": bucket, "Key": "k", **CUSTOMER}
    url = signer.generate_presigned_url("put_object", Params=params)
    equal(http_request("PUT", url, b"secret", headers)[0], 200)
    url = signer.generate_presigned_url("get_object", Params=params)
    status, _, body = http_request("GET", url, headers=headers)
    equal((status, body), (200, b"secret"))


@scenario
def kms_encrypts_under_the_default_and_named_keys():
    s3 = client()
    bucket = new_bucket(s3)
    body = payload(6, 100_000)
    where = {"Bucket": bucket, "Key": "default"}
    put = s3.put_object(**where, Body=body, ServerSideEncryption="aws:kms")
    equal(put["ServerSideEncryption"], "aws:kms")
    default = put["SSEKMSKeyId"]
    got = s3.get_object(**where)
    equal((got["ServerSideEncryption"], got["SSEKMSKeyId"]), ("aws:kms", default))
    equal(got["Body"].read(), body)
    where = {"Bucket": bucket, "Key": "named"}
    put = s3.put_object(
        **where,
        Body=body,
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=kms_key(),
        BucketKeyEnabled=True,
        SSEKMSEncryptionContext=base64.b64encode(b'{"a":"b"}').decode(),
    )
    assert put["SSEKMSKeyId"].endswith(kms_key()), put["SSEKMSKeyId"]
    equal(put["BucketKeyEnabled"], True)
    head = s3.head_object(**where)
    equal(head["SSEKMSKeyId"], put["SSEKMSKeyId"])
    equal(read(s3, bucket, "named"), body)
    # What a key is called in an answer is a name that a request may use.
    s3.put_object(
        Bucket=bucket,
        Key="arn",
        Body=body,
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=put["SSEKMSKeyId"],
    )
    equal(read(s3, bucket, "arn"), body)
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="parts", ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key()
    )
    part = {"Bucket": bucket, "Key": "parts", "UploadId": upload["UploadId"]}
    sent = s3.upload_part(**part, PartNumber=1, Body=body)
    equal(sent["ServerSideEncryption"], "aws:kms")
    parts = {"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]}
    done = s3.complete_multipart_upload(**part, MultipartUpload=parts)
    equal(done["ServerSideEncryption"], "aws:kms")
    equal(read(s3, bucket, "parts"), body)
    fails(
        "KMS.NotFoundException",
        400,
        s3.put_object,
        Bucket=bucket,
        Key="x",
        Body=b"x",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="no-such-key",
    )


@scenario
def wrong_encryption_is_refused():
    s3 = client()
    bucket = new_bucket(s3)
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    for wrong in (
        {"SSECustomerAlgorithm": "AES256"},
        {"SSECustomerAlgorithm": "AES128", "SSECustomerKey": KEY},
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"short"},
        {**CUSTOMER, "ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "rot13"},
        {"ServerSideEncryption": "AES256", "SSEKMSKeyId": "k"},
    ):
        codes = ("InvalidArgument", "InvalidRequest", "InvalidEncryptionAlgorithmError")
        fails(codes, 400, s3.put_object, **put, **wrong)
    wrong_context = {"SSEKMSEncryptionContext": "not base64!"}
    fails("InvalidArgument", 400, s3.put_object, **put, ServerSideEncryption="aws:kms", **wrong_context)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@scenario
def a_bucket_has_default_encryption():
    s3 = client()
    bucket = new_bucket(s3)

    def rule():
        got = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        return got["Rules"][0]

    equal(rule()["ApplyServerSideEncryptionByDefault"], {"SSEAlgorithm": "AES256"})
    equal(s3.put_object(Bucket=bucket, Key="before", Body=b"1")["ServerSideEncryption"], "AES256")
    wanted = {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": kms_key(),
        },
        "BucketKeyEnabled": True,
    }
    configuration = {"Rules": [wanted]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=configuration)
    got = rule()
    for name, value in wanted.items():
        equal(got[name], value)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    equal((put["ServerSideEncryption"], put["BucketKeyEnabled"]), ("aws:kms", True))
    assert put["SSEKMSKeyId"].endswith(kms_key())
    own = s3.put_object(Bucket=bucket, Key="own", Body=b"3", ServerSideEncryption="AES256")
    equal(own["ServerSideEncryption"], "AES256")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "before"})
    equal(s3.head_object(Bucket=bucket, Key="copy")["ServerSideEncryption"], "aws:kms")
    equal([read(s3, bucket, k) for k in ("before", "k", "own", "copy")], [b"1", b"2", b"3", b"1"])
    nonsense = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "rot13"}}]}
    fails(
        "MalformedXML",
        400,
        s3.put_bucket_encryption,
        Bucket=bucket,
        ServerSideEncryptionConfiguration=nonsense,
    )
    equal(rule()["BucketKeyEnabled"], True)
    s3.delete_bucket_encryption(Bucket=bucket)
    equal(rule()["ApplyServerSideEncryptionByDefault"], {"SSEAlgorithm": "AES256"})


@scenario
def s3_encrypts_when_asked():
    s3 = client()
    bucket = new_bucket(s3)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    equal((put["ServerSideEncryption"], put["ETag"]), ("AES256", etag(b"x")))
    equal(s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"], "AES256")
