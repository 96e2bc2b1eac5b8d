"""PyArrow: Parquet data sets and the file system below them."""

import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

from harness import MIB, bucket_name, endpoint, equal, payload, scenario

ROWS = 50_000


def file_system(**arguments):
    """A file system on the server."""
    return pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint(),
        scheme="http",
        region=os.environ["AWS_REGION"],
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
        **arguments,
    )


def new_bucket(s3):
    """Creates a bucket and returns its name."""
    bucket = bucket_name()
    s3.create_dir(bucket)
    return bucket


def table():
    """Rows of three days and three kinds."""
    return pa.table(
        {
            "day": pa.array([f"2026-01-0{1 + n % 3}" for n in range(ROWS)]),
            "kind": pa.array(["abc"[n % 7 % 3] for n in range(ROWS)]),
            "number": pa.array(range(ROWS), pa.int64()),
            "text": pa.array([f"row {n} ü" for n in range(ROWS)]),
        }
    )


@scenario
def pyarrow_writes_and_reads_partitioned_datasets():
    s3 = file_system()
    root = f"{new_bucket(s3)}/set"
    wanted = table()
    partitioning = ds.partitioning(pa.schema([("day", pa.string()), ("kind", pa.string())]), flavor="hive")
    write = {"format": "parquet", "filesystem": s3, "partitioning": partitioning}
    ds.write_dataset(wanted, root, existing_data_behavior="error", **write)
    found = ds.dataset(root, format="parquet", filesystem=s3, partitioning=partitioning)
    equal(len(found.files), 9, "one file for each day and kind")
    _same(found.to_table(columns=wanted.column_names), wanted)
    some = (pc.field("day") == "2026-01-02") & (pc.field("number") < 1000)
    _same(found.to_table(columns=wanted.column_names, filter=some), wanted.filter(some))
    # Replaces the partitions it writes to, and only those.
    part = wanted.filter(pc.field("day") == "2026-01-01").slice(0, 10)
    ds.write_dataset(part, root, existing_data_behavior="delete_matching", **write)
    rest = wanted.filter(pc.field("day") != "2026-01-01")
    kinds = part.column("kind").unique()
    kept = wanted.filter(
        (pc.field("day") == "2026-01-01") & ~pc.field("kind").isin(kinds)
    )
    found = ds.dataset(root, format="parquet", filesystem=s3, partitioning=partitioning)
    _same(found.to_table(columns=wanted.column_names), pa.concat_tables([rest, part, kept]))


@scenario
def pyarrow_reads_single_columns_and_row_groups():
    s3 = file_system()
    path = f"{new_bucket(s3)}/one.parquet"
    wanted = table()
    pq.write_table(wanted, path, filesystem=s3, row_group_size=5000, compression="zstd")
    with pq.ParquetFile(path, filesystem=s3) as file:
        equal(file.metadata.num_row_groups, ROWS // 5000)
        group = file.read_row_group(3, columns=["number"])
        equal(group.column("number").to_pylist(), list(range(15_000, 20_000)))
    columns = pq.read_table(path, filesystem=s3, columns=["text"], pre_buffer=True)
    equal(columns, wanted.select(["text"]))


@scenario
def pyarrow_streams_in_parts():
    s3 = file_system(background_writes=True)
    path = f"{new_bucket(s3)}/streamed"
    data = payload(1, 23 * MIB + 5)
    with s3.open_output_stream(path, metadata={"Content-Type": "text/x"}) as stream:
        for start in range(0, len(data), MIB):
            stream.write(data[start : start + MIB])
    with s3.open_input_file(path) as file:
        equal(file.size(), len(data))
        equal(file.read_at(100, 9 * MIB), data[9 * MIB : 9 * MIB + 100])
        file.seek(len(data) - 7)
        equal(file.read(), data[-7:])
        equal(file.metadata()["Content-Type"], b"text/x")
    with s3.open_input_stream(path) as stream:
        equal(stream.read(), data)


@scenario
def pyarrow_moves_copies_and_lists():
    s3 = file_system()
    bucket = new_bucket(s3)
    s3.create_dir(f"{bucket}/empty/nested", recursive=True)
    for name in ("a/1", "a/b/2", "top ü"):
        with s3.open_output_stream(f"{bucket}/{name}") as stream:
            stream.write(name.encode())
    s3.copy_file(f"{bucket}/a/1", f"{bucket}/copy")
    s3.move(f"{bucket}/top ü", f"{bucket}/moved")
    listed = s3.get_file_info(pyarrow.fs.FileSelector(bucket, recursive=True))
    files = {f.path.removeprefix(f"{bucket}/"): f.size for f in listed if f.is_file}
    equal(files, {"a/1": 3, "a/b/2": 5, "copy": 3, "moved": 6})
    directories = {f.path.removeprefix(f"{bucket}/") for f in listed if not f.is_file}
    equal(directories, {"a", "a/b", "empty", "empty/nested"})
    s3.delete_dir(f"{bucket}/a")
    equal(s3.get_file_info(f"{bucket}/a").type, pyarrow.fs.FileType.NotFound)
    try:
        s3.open_input_file(f"{bucket}/a/1")
    except FileNotFoundError:
        pass
    else:
        raise AssertionError("a removed file was opened")
    s3.delete_dir(bucket)
    equal(s3.get_file_info(bucket).type, pyarrow.fs.FileType.NotFound)


def _same(found, wanted):
    """Asserts that two tables have the same rows, in whatever order."""
    equal(found.num_rows, wanted.num_rows, "rows")
    order = [("number", "ascending")]
    found = found.cast(wanted.schema).sort_by(order).combine_chunks()
    equal(found.equals(wanted.sort_by(order).combine_chunks()), True, "the tables are equal")
