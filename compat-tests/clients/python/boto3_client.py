"""boto3 as its users get it: the current release with default settings."""

import harness
import boto3_accounts
import boto3_buckets
import boto3_checksums
import boto3_conditions
import boto3_keys
import boto3_listing
import boto3_multipart
import boto3_objects
import boto3_presigned

__all__ = [
    "boto3_accounts",
    "boto3_buckets",
    "boto3_checksums",
    "boto3_conditions",
    "boto3_keys",
    "boto3_listing",
    "boto3_multipart",
    "boto3_objects",
    "boto3_presigned",
]

if __name__ == "__main__":
    harness.main()
