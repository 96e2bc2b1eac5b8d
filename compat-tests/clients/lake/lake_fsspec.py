"""s3fs: the tests that fsspec holds every file system to, and versions of files.

Each scenario is one class of `fsspec.tests.abstract`, run by pytest in this process.
"""

import os
import pathlib
import tempfile

import pytest
import s3fs

from harness import bucket_name, equal, scenario


def _abstract(name):
    """Runs one class of `fsspec_suite.py`."""
    suite = pathlib.Path(__file__).with_name("fsspec_suite.py")
    with tempfile.TemporaryDirectory() as directory:
        options = ["-q", "-x", "-p", "no:cacheprovider", "--basetemp", f"{directory}/t"]
        status = pytest.main([*options, "-rs", f"{suite}::{name}"])
    equal(int(status), 0, name)


@scenario
def fsspec_copies():
    _abstract("TestCopy")


@scenario
def fsspec_gets():
    _abstract("TestGet")


@scenario
def fsspec_opens():
    _abstract("TestOpen")


@scenario
def fsspec_pipes():
    _abstract("TestPipe")


@scenario
def fsspec_puts():
    _abstract("TestPut")


@scenario
def s3fs_reads_versions():
    """A file system that is aware of versions reads each of them."""
    s3 = s3fs.S3FileSystem(version_aware=True)
    bucket = bucket_name()
    s3.mkdir(bucket)
    s3.make_bucket_versioned(bucket)
    assert s3.is_bucket_versioned(bucket)
    path = f"{bucket}/dir/file"
    for text in (b"one", b"two", b"three"):
        s3.pipe_file(path, text)
    s3.invalidate_cache()
    versions = s3.object_version_info(path)
    equal(len(versions), 3)
    latest = [v for v in versions if v["IsLatest"]]
    equal(len(latest), 1)
    bodies = {v["VersionId"]: s3.cat_file(path, version_id=v["VersionId"]) for v in versions}
    equal(sorted(bodies.values()), [b"one", b"three", b"two"])
    equal(bodies[latest[0]["VersionId"]], b"three")
    s3.rm_file(path)
    s3.invalidate_cache()
    assert not s3.exists(path)
    # `cat_file` asks for the size of the current version, which is gone.
    for version, text in bodies.items():
        with s3.open(path, "rb", version_id=version) as file:
            equal(file.read(), text)


@scenario
def s3fs_encrypts_under_a_customer_key():
    """The key is needed for reading what it wrote."""
    key = os.urandom(32)
    sse = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    plain = s3fs.S3FileSystem()
    bucket = bucket_name()
    plain.mkdir(bucket)
    secret = s3fs.S3FileSystem(s3_additional_kwargs=sse)
    secret.pipe_file(f"{bucket}/k", b"secret")
    equal(secret.cat_file(f"{bucket}/k"), b"secret")
    try:
        plain.cat_file(f"{bucket}/k")
    except OSError:
        return
    raise AssertionError("an encrypted file was read without its key")
