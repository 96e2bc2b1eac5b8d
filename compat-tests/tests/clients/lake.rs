//! What keeps data sets in S3: PyArrow, Polars and fsspec's s3fs, `clients/lake`.

use std::path::Path;

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;

use crate::scenario::scenarios;

fn lake(home: &Path) -> Program {
    Program::new(installed("lake", "lake/bin/python"), home)
        .arg("-B")
        .arg(source_dir().join("lake/lake_client.py"))
}

scenarios! {
    lake;

    #[test]
    fn pyarrow_writes_and_reads_partitioned_datasets() {}

    #[test]
    fn pyarrow_reads_single_columns_and_row_groups() {}

    #[test]
    fn pyarrow_streams_in_parts() {}

    #[test]
    fn pyarrow_moves_copies_and_lists() {}

    #[test]
    fn polars_writes_and_scans_parquet() {}

    #[test]
    fn polars_sinks_what_it_scans() {}

    #[test]
    fn polars_partitions_by_hive() {}

    #[test]
    fn polars_says_what_is_missing() {}

    #[test]
    fn fsspec_copies() {}

    #[test]
    fn fsspec_gets() {}

    #[test]
    fn fsspec_opens() {}

    #[test]
    fn fsspec_pipes() {}

    #[test]
    fn fsspec_puts() {}

    #[test]
    fn s3fs_reads_versions() {}

    #[test]
    fn s3fs_encrypts_under_a_customer_key() {}
}
