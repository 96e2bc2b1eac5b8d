"""boto3 over TLS, where it sends checksums as trailers instead of headers."""

import io

import harness
from boto3_checksums import ALGORITHMS
from harness import MIB, b64, equal, payload, scenario
from s3 import client, new_bucket, read

harness.SCENARIOS.clear()


def _recording():
    """A client and the headers of every request it has sent."""
    s3, sent = client(), []
    s3.meta.events.register("before-send.s3", lambda request, **_: sent.append(request.headers))
    return s3, sent


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


@scenario
def trailing_checksums_are_decoded_and_stored():
    s3, sent = _recording()
    bucket = new_bucket(s3)
    for algorithm, digest in ALGORITHMS.items():
        for length in (0, 1, 65536, 3 * MIB + 7):
            data, key = payload(length, length), f"{algorithm}/{length}"
            sent.clear()
            s3.put_object(
                Bucket=bucket, Key=key, Body=io.BytesIO(data), ChecksumAlgorithm=algorithm
            )
            headers = {name.lower(): _text(value) for name, value in sent[0].items()}
            equal(headers["x-amz-trailer"], f"x-amz-checksum-{algorithm.lower()}")
            equal(headers["x-amz-content-sha256"], "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            equal(read(s3, bucket, key), data, key)
            head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            equal(head[f"Checksum{algorithm}"], b64(digest(data)), key)
            assert "ContentEncoding" not in head, head


@scenario
def an_encoding_beside_aws_chunked_is_kept():
    s3, sent = _recording()
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(b"data"), ContentEncoding="gzip")
    encodings = _text(sent[-1]["Content-Encoding"]).split(",")
    equal(sorted(encodings), ["aws-chunked", "gzip"])
    equal(s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"], "gzip")


@scenario
def transfers_in_parts_roundtrip():
    s3 = client()
    bucket = new_bucket(s3)
    data = payload(1, 20 * MIB + 1)
    s3.upload_fileobj(io.BytesIO(data), bucket, "k")
    target = io.BytesIO()
    s3.download_fileobj(bucket, "k", target)
    equal(target.getvalue(), data)


if __name__ == "__main__":
    harness.main()
