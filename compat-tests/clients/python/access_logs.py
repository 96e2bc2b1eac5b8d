"""Access logs of a bucket, on a server that delivers them every second."""

import re
import time

import harness
from harness import equal, scenario
from s3 import client, fails, new_bucket, read

# How long delivery may take. Chosen: many times the interval, for a busy machine.
SECONDS_MAX = 60

# One field: a time, a text in quotes, or a word.
FIELD = re.compile(r'\[[^]]*\]|"[^"]*"|\S+')


def delivered(s3, bucket, wanted):
    """The fields of `wanted` lines or more, with the keys of the objects they came in."""
    end = time.monotonic() + SECONDS_MAX
    while True:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="logs/").get("Contents", [])
        keys = [entry["Key"] for entry in listed]
        lines = [line for key in keys for line in read(s3, bucket, key).decode().splitlines()]
        if len(lines) >= wanted:
            return keys, [FIELD.findall(line) for line in lines]
        if time.monotonic() > end:
            raise AssertionError(f"not within {SECONDS_MAX} s: {wanted} lines, only {lines}")
        time.sleep(0.5)


@scenario
def requests_are_logged_in_the_target_bucket():
    s3 = client()
    bucket, target = new_bucket(s3), new_bucket(s3)
    enabled = {"TargetBucket": target, "TargetPrefix": "logs/"}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    s3.put_object(Bucket=bucket, Key="dir/a b", Body=b"twelve bytes")
    read(s3, bucket, "dir/a b")
    fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="missing")
    keys, lines = delivered(s3, target, 3)
    for key in keys:
        assert re.fullmatch(r"logs/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]+", key), key
    found = {(line[6], line[9], line[10]) for line in lines}
    equal(("REST.PUT.OBJECT", "200", "-") in found, True, str(lines))
    equal(("REST.GET.OBJECT", "200", "-") in found, True, str(lines))
    equal(("REST.GET.OBJECT", "404", "NoSuchKey") in found, True, str(lines))
    for line in lines:
        equal(line[1], bucket, "the bucket")
    got = [line for line in lines if line[6] == "REST.GET.OBJECT" and line[9] == "200"]
    equal([(line[11], line[12]) for line in got], [("12", "12")], "bytes sent and size")


if __name__ == "__main__":
    harness.main()
