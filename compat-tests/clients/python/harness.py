"""What every Python scenario stands on.

A scenario is a function; the Rust tests run one per process, by name. It makes its own buckets
(`bucket()` never returns the same name twice), asserts, and returns. An exception is the failure.
Endpoint, region and credentials come from the environment that every AWS SDK reads.
"""

import base64
import hashlib
import http.client
import itertools
import os
import random
import ssl
import sys
import traceback
import urllib.parse

SCENARIOS = {}
MIB = 1024 * 1024

_numbers = itertools.count()


def scenario(function):
    """Registers `function` under its name."""
    SCENARIOS[function.__name__] = function
    return function


def main():
    """Runs the scenario named on the command line, or lists all with `--list`."""
    if sys.argv[1:] == ["--list"]:
        print("\n".join(SCENARIOS))
        return
    (name,) = sys.argv[1:]
    try:
        SCENARIOS[name]()
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def bucket_name():
    """A bucket name that no other scenario uses."""
    return f"{os.environ['COMPAT_PREFIX']}-{next(_numbers)}"


def endpoint():
    """Host and port of the server."""
    return urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc


def second_account():
    """Access key and secret key of an account that owns nothing."""
    return os.environ["COMPAT_SECOND_ACCESS_KEY"], os.environ["COMPAT_SECOND_SECRET_KEY"]


def payload(seed, length):
    """`length` bytes that only `seed` determines."""
    return random.Random(seed).randbytes(length)


def md5_hex(data):
    """The digest as ETags show it, without quotes."""
    return hashlib.md5(data).hexdigest()


def etag(data):
    """The ETag of an object uploaded in one request."""
    return f'"{md5_hex(data)}"'


def multipart_etag(parts):
    """The ETag of an object uploaded as `parts`."""
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'


def b64(data):
    """Base64 as text."""
    return base64.b64encode(data).decode()


def http_request(method, url, body=None, headers=None):
    """One plain HTTP request, nothing added but what `http.client` must: (status, headers, body)."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(parts.netloc, timeout=60, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def equal(actual, wanted, what=""):
    """Asserts equality and shows both sides, shortened."""
    if actual != wanted:
        raise AssertionError(f"{what}: got {_short(actual)}, wanted {_short(wanted)}")


def _short(value):
    if isinstance(value, (bytes, bytearray)) and len(value) > 200:
        return f"{len(value)} bytes with MD5 {md5_hex(value)}"
    text = repr(value)
    return text if len(text) < 2000 else text[:2000] + "…"
