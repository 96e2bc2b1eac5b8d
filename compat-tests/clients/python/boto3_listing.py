"""Listings, compared with what sorting the keys in memory gives."""

from harness import equal, etag, scenario
from s3 import client, fails, new_bucket

KEYS = sorted(
    [f"flat-{n:03}" for n in range(40)]
    + [f"dir/{d}/file-{f}" for d in ("a", "b", "ç") for f in range(7)]
    + ["dir/", "dir", "dir0", "zz/deep/er/and/deeper", "zz/deep!", "z+plus and space"],
    key=lambda key: key.encode(),
)


def _filled():
    s3 = client()
    bucket = new_bucket(s3)
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return s3, bucket


def _model(prefix="", delimiter="", after=""):
    """What a listing holds: keys and common prefixes, in order of their bytes."""
    keys, prefixes = [], []
    for key in KEYS:
        if not key.startswith(prefix) or (after and key.encode() <= after.encode()):
            continue
        rest = key[len(prefix) :]
        if delimiter and delimiter in rest:
            common = prefix + rest.split(delimiter)[0] + delimiter
            if common not in prefixes:
                prefixes.append(common)
        else:
            keys.append(key)
    return keys, prefixes


def _paginate(s3, operation, **arguments):
    keys, prefixes, pages = [], [], 0
    page_size = arguments.pop("page_size")
    for page in s3.get_paginator(operation).paginate(
        PaginationConfig={"PageSize": page_size}, **arguments
    ):
        found = [entry["Key"] for entry in page.get("Contents", [])]
        common = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        assert len(found) + len(common) <= page_size, "a page is not longer than asked for"
        keys += found
        prefixes += common
        pages += 1
    return keys, prefixes, pages


@scenario
def pages_join_to_the_whole_listing():
    s3, bucket = _filled()
    for operation in ("list_objects_v2", "list_objects"):
        for size in (1, 7, 1000):
            if size == 1 and operation == "list_objects":
                continue
            keys, prefixes, pages = _paginate(s3, operation, Bucket=bucket, page_size=size)
            equal(keys, KEYS, f"{operation} in pages of {size}")
            equal(prefixes, [])
            equal(pages, -(-len(KEYS) // size), "pages")


@scenario
def delimiters_roll_up_common_prefixes():
    s3, bucket = _filled()
    for prefix in ("", "dir", "dir/", "dir/ç/", "zz/", "zz/deep", "none"):
        for delimiter in ("/", "-", "er"):
            wanted = _model(prefix, delimiter)
            for operation in ("list_objects_v2", "list_objects"):
                for size in (2, 1000):
                    keys, prefixes, _ = _paginate(
                        s3,
                        operation,
                        Bucket=bucket,
                        Prefix=prefix,
                        Delimiter=delimiter,
                        page_size=size,
                    )
                    what = f"{operation} {prefix!r} {delimiter!r} {size}"
                    equal((keys, prefixes), wanted, what)


@scenario
def listings_start_after_a_key():
    s3, bucket = _filled()
    for after in ("", "dir", "dir/a/file-3", "flat-0395", "zzz", "\x01"):
        keys, prefixes, _ = _paginate(
            s3, "list_objects_v2", Bucket=bucket, StartAfter=after, page_size=9
        )
        equal((keys, prefixes), _model(after=after), f"start after {after!r}")
        answer = s3.list_objects(Bucket=bucket, Marker=after)
        equal([entry["Key"] for entry in answer.get("Contents", [])], _model(after=after)[0])


@scenario
def entries_describe_their_objects():
    s3, bucket = _filled()
    answer = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)
    equal(answer["KeyCount"], len(KEYS))
    equal(answer["IsTruncated"], False)
    equal(answer["Name"], bucket)
    for entry in answer["Contents"]:
        equal(entry["Size"], len(entry["Key"].encode()))
        equal(entry["ETag"], etag(entry["Key"].encode()))
        equal(entry["StorageClass"], "STANDARD")
        assert entry["Owner"]["ID"], entry
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"]["ID"]


@scenario
def max_keys_bounds_a_page():
    s3, bucket = _filled()
    answer = s3.list_objects_v2(Bucket=bucket, MaxKeys=3)
    equal([entry["Key"] for entry in answer["Contents"]], KEYS[:3])
    equal((answer["KeyCount"], answer["MaxKeys"], answer["IsTruncated"]), (3, 3, True))
    none = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    equal((none["KeyCount"], none["IsTruncated"]), (0, False))
    many = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    equal(many["KeyCount"], len(KEYS))
    fails("InvalidArgument", 400, s3.list_objects_v2, Bucket=bucket, MaxKeys=-1)
    fails(
        "InvalidArgument",
        400,
        s3.list_objects_v2,
        Bucket=bucket,
        ContinuationToken="not a token of ours",
    )


@scenario
def pages_survive_writes_between_them():
    s3, bucket = _filled()
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=20)
    seen = [entry["Key"] for entry in first["Contents"]]
    # What is removed or added behind the cursor does not move it.
    for key in seen[::2] + [KEYS[25]]:
        s3.delete_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=bucket, Key="!new", Body=b"x")
    s3.put_object(Bucket=bucket, Key="zzz new", Body=b"x")
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    wanted = [key for key in KEYS[20:] if key != KEYS[25]] + ["zzz new"]
    equal([entry["Key"] for entry in rest["Contents"]], wanted)
