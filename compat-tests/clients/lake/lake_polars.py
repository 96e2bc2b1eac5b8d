"""Polars: lazy scans and sinks of Parquet, and partitioned writes."""

import os

import polars as pl
from polars.testing import assert_frame_equal

import lake_arrow
from harness import equal, scenario

ROWS = 60_000


def options():
    """What Polars is told about the server."""
    return {
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_region": os.environ["AWS_REGION"],
        "aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "aws_allow_http": "true",
    }


def frame():
    """Rows of four cities."""
    return pl.DataFrame(
        {
            "city": ["Bern", "Genève", "Zürich", "Lugano"] * (ROWS // 4),
            "number": range(ROWS),
            "half": [n / 2 for n in range(ROWS)],
        }
    )


def new_root():
    """A URL in a bucket of its own."""
    return f"s3://{lake_arrow.new_bucket(lake_arrow.file_system())}"


@scenario
def polars_writes_and_scans_parquet():
    root, wanted = new_root(), frame()
    wanted.write_parquet(f"{root}/one.parquet", storage_options=options(), row_group_size=10_000)
    assert_frame_equal(pl.read_parquet(f"{root}/one.parquet", storage_options=options()), wanted)
    scan = pl.scan_parquet(f"{root}/*.parquet", storage_options=options())
    some = (pl.col("number") >= 20_000) & (pl.col("city") == "Zürich")
    assert_frame_equal(scan.filter(some).select("number").collect(), wanted.filter(some).select("number"))
    equal(scan.select(pl.len()).collect().item(), ROWS)


@scenario
def polars_sinks_what_it_scans():
    root, wanted = new_root(), frame()
    wanted.write_parquet(f"{root}/in.parquet", storage_options=options())
    scan = pl.scan_parquet(f"{root}/in.parquet", storage_options=options())
    scan.with_columns(double=pl.col("half") * 4).sink_parquet(
        f"{root}/out/result.parquet", storage_options=options()
    )
    found = pl.read_parquet(f"{root}/out/result.parquet", storage_options=options())
    assert_frame_equal(found, wanted.with_columns(double=pl.col("half") * 4))


@scenario
def polars_partitions_by_hive():
    root, wanted = new_root(), frame()
    wanted.write_parquet(f"{root}/set/", partition_by=["city"], storage_options=options())
    scan = pl.scan_parquet(f"{root}/set/", hive_partitioning=True, storage_options=options())
    found = scan.select(wanted.columns).collect().sort("number")
    assert_frame_equal(found, wanted)
    only = scan.filter(pl.col("city") == "Genève").collect()
    equal(only.height, ROWS // 4)


@scenario
def polars_says_what_is_missing():
    root = new_root()
    try:
        pl.read_parquet(f"{root}/none.parquet", storage_options=options())
    except (FileNotFoundError, OSError, pl.exceptions.ComputeError) as error:
        assert "404" in str(error) or "not found" in str(error).lower(), error
        return
    raise AssertionError("a file that is not there was read")
