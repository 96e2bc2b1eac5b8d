"""fsspec's abstract tests on s3fs: what `lake_fsspec.py` hands to pytest."""

import uuid

import fsspec.tests.abstract as abstract
import pytest
import s3fs

from harness import bucket_name


class S3Fixtures(abstract.AbstractFixtures):
    """A file system with a bucket of its own for each class."""

    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls):
        """The file system under test."""
        return s3fs.S3FileSystem()

    @pytest.fixture(scope="class")
    @classmethod
    def fs_path(cls, fs):
        """Where a test may write."""
        bucket = f"{bucket_name()}-{uuid.uuid4().hex[:8]}"
        fs.mkdir(bucket)
        return bucket

    @pytest.fixture
    def supports_empty_directories(self):
        """S3 has keys, no directories."""
        return False


class TestCopy(abstract.AbstractCopyTests, S3Fixtures):
    """Copies on the server."""


class TestGet(abstract.AbstractGetTests, S3Fixtures):
    """Downloads."""


class TestOpen(abstract.AbstractOpenTests, S3Fixtures):
    """Files that are opened."""

    def test_open_exclusive(self, fs, fs_target):
        """As fsspec's, but s3fs learns that a file is there when it is closed, not opened."""
        with fs.open(fs_target, "wb") as file:
            file.write(b"data")
        with pytest.raises(FileExistsError):
            with fs.open(fs_target, "xb") as file:
                file.write(b"other")
        assert fs.cat_file(fs_target) == b"data"


class TestPipe(abstract.AbstractPipeTests, S3Fixtures):
    """Bytes that are written at once."""


class TestPut(abstract.AbstractPutTests, S3Fixtures):
    """Uploads."""
