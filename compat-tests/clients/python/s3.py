"""boto3 helpers shared by its scenarios."""

import boto3
from botocore.exceptions import ClientError

from harness import bucket_name


def client(**arguments):
    """A client with boto3's default settings; everything else is in the environment."""
    return boto3.client("s3", **arguments)


def new_bucket(s3):
    """Creates a bucket and returns its name."""
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)
    return bucket


def read(s3, bucket, key, **arguments):
    """The whole body of an object."""
    return s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()


def fails(code, status, operation, **arguments):
    """Asserts that `operation` fails with `status` and one of the codes in `code`."""
    codes = (code,) if isinstance(code, str) else code
    try:
        result = operation(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        got_status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if got not in codes or got_status != status:
            raise AssertionError(f"got {got_status} {got}, wanted {status} {codes}") from error
        return error.response
    raise AssertionError(f"succeeded, wanted {status} {codes}: {str(result)[:500]}")
