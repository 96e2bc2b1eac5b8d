"""Keys: any UTF-8 up to 1,024 bytes, taken literally."""

from harness import equal, payload, scenario
from s3 import client, fails, new_bucket, read

PRINTABLE = [
    "a//b",
    "//two leading",
    "/one leading",
    "trailing/",
    "trailing//",
    "/",
    ".hidden",
    "a/./b",
    "a/../b",
    "../up",
    "..",
    ".",
    "%",
    "%2F",
    "a%20b",
    "%E4",
    "100%25",
    "+",
    "a+b c",
    " lead",
    "trail ",
    "a&b=c?d#e;f,g:h@i$j!k*l'm(n)o",
    "back\\slash",
    "<tag> & \"quote\"",
    "[brackets] {braces} |pipe| ~tilde^caret`tick",
    "?list-type=2",
    "?uploads",
    "é",
    "e\u0301",
    "日本語/キー",
    "emoji 😀/👩‍👩‍👧",
    "\ufeffbom",
    "\u202ertl",
    "a" * 1024,
    "ü" * 512,
    "/".join(["d"] * 512) + "x",
]
CONTROL = ["tab\there", "line\nbreak", "return\rhere", "one\x01two", "esc\x1b[0m", "del\x7f", "\x80\x9f"]


def _roundtrip(keys):
    s3 = client()
    bucket = new_bucket(s3)
    for number, key in enumerate(keys):
        s3.put_object(Bucket=bucket, Key=key, Body=payload(number, 50 + number))
    for number, key in enumerate(keys):
        body = payload(number, 50 + number)
        equal(read(s3, bucket, key), body, repr(key))
        equal(s3.head_object(Bucket=bucket, Key=key)["ContentLength"], len(body), repr(key))
    wanted = sorted(keys, key=lambda key: key.encode())
    for operation in ("list_objects_v2", "list_objects"):
        listed = []
        for page in s3.get_paginator(operation).paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 5}
        ):
            listed += [entry["Key"] for entry in page["Contents"]]
        equal(listed, wanted, operation)
    for key in keys:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
        equal(found[0]["Key"], key, "a key is its own prefix")
    return s3, bucket


@scenario
def printable_keys_are_literal():
    s3, bucket = _roundtrip(PRINTABLE)
    for key in PRINTABLE:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
        equal(read(s3, bucket, "copy"), read(s3, bucket, key), repr(key))
    s3.delete_object(Bucket=bucket, Key="copy")
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in PRINTABLE]}
    )
    equal(sorted(d["Key"] for d in answer["Deleted"]), sorted(PRINTABLE))
    equal(s3.list_objects_v2(Bucket=bucket)["KeyCount"], 0)


@scenario
def control_characters_in_keys_are_literal():
    s3, bucket = _roundtrip(CONTROL)
    for key in CONTROL:
        s3.delete_object(Bucket=bucket, Key=key)
        fails("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key=key)
    equal(s3.list_objects_v2(Bucket=bucket)["KeyCount"], 0)


@scenario
def a_key_of_1025_bytes_is_refused():
    s3 = client()
    bucket = new_bucket(s3)
    for key in ("a" * 1025, "ü" * 512 + "x"):
        fails("KeyTooLongError", 400, s3.put_object, Bucket=bucket, Key=key, Body=b"x")
        fails("KeyTooLongError", 400, s3.create_multipart_upload, Bucket=bucket, Key=key)


@scenario
def keys_that_look_alike_are_different_objects():
    s3 = client()
    bucket = new_bucket(s3)
    keys = ["a/b", "a//b", "a/./b", "a/b/", "A/b", "a%2Fb", "a/b ", "é", "e\u0301"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in keys:
        equal(read(s3, bucket, key), key.encode(), repr(key))
    s3.delete_object(Bucket=bucket, Key="a/b")
    for key in keys[1:]:
        equal(read(s3, bucket, key), key.encode(), repr(key))
