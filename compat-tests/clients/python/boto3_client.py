"""boto3 as its users get it: the current release with default settings."""

import harness
import boto3_accounts
import boto3_buckets
import boto3_checksums
import boto3_conditions
import boto3_configurations
import boto3_encryption
import boto3_keys
import boto3_lifecycle
import boto3_listing
import boto3_locks
import boto3_multipart
import boto3_objects
import boto3_policies
import boto3_presigned
import boto3_versions

__all__ = [
    "boto3_accounts",
    "boto3_buckets",
    "boto3_checksums",
    "boto3_conditions",
    "boto3_configurations",
    "boto3_encryption",
    "boto3_keys",
    "boto3_lifecycle",
    "boto3_listing",
    "boto3_locks",
    "boto3_multipart",
    "boto3_objects",
    "boto3_policies",
    "boto3_presigned",
    "boto3_versions",
]

if __name__ == "__main__":
    harness.main()
