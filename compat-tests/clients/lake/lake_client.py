"""PyArrow, Polars and fsspec as people who keep data sets in S3 use them, one scenario per run."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))

import harness  # noqa: E402
import lake_arrow  # noqa: E402
import lake_fsspec  # noqa: E402
import lake_polars  # noqa: E402

__all__ = ["lake_arrow", "lake_fsspec", "lake_polars"]

if __name__ == "__main__":
    harness.main()
