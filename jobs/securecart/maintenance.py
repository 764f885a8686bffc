"""Upkeep of Iceberg tables: many commits leave many small files, a long history, and what broken writes left behind."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import SparkSession

from securecart.errors import JobError
from securecart.snapshots import read_snapshots

#: A partition is compacted once it has this many files that are too small.
SMALL_FILES = 5

#: Iceberg refuses to remove orphan files younger than this: a write that is on may not have committed them yet.
YOUNGEST_ORPHANS = timedelta(days=1)


def compact(spark: SparkSession, table: str) -> int:
    """Writes the small files of each partition anew as few large ones. Returns how many there were.

    Rows stay as they are, and the changelog between two snapshots does too. It commits on the way, so that what was
    done is kept when the rest is not.

    Raises:
        JobError: when some files could not be compacted.
    """
    catalog, _, name = table.partition(".")
    rewritten = spark.sql(
        f"CALL {catalog}.system.rewrite_data_files(table => '{name}', "
        f"options => map('min-input-files', '{SMALL_FILES}', 'partial-progress.enabled', 'true'))"
    ).first()
    assert rewritten is not None
    if rewritten["failed_data_files_count"] > 0:
        raise JobError(
            f"{rewritten['failed_data_files_count']} files of {table} could not be compacted; the log above says why. "
            "They are as they were: nothing is lost, and the next upkeep tries again"
        )
    return int(rewritten["rewritten_data_files_count"])


def expire(spark: SparkSession, table: str, since: datetime, keep_last: int) -> int:
    """Forgets old snapshots, and deletes the files that no other snapshot needs. Returns how many snapshots went.

    What the table was at any time since ``since`` stays readable: so does the snapshot that was current then, however
    long ago it was made (Iceberg's own rule would take it for old). Snapshots with a tag stay: the export compares
    with the one that the warehouse got last. When commits after it are gone, it compares the two states as a whole,
    which costs more and gives the same.

    Args:
        table: ``<catalog>.<database>.<table>``.
        since: from when on.
        keep_last: commits kept whatever their age, at least 1.
    """
    catalog, _, name = table.partition(".")
    times = read_snapshots(spark, table).ancestors.values()
    older_than = max((time for time in times if time <= since), default=since)
    expired = spark.sql(
        f"CALL {catalog}.system.expire_snapshots(table => '{name}', "
        f"older_than => TIMESTAMP '{older_than:%Y-%m-%d %H:%M:%S.%f}', retain_last => {keep_last})"
    ).first()
    assert expired is not None
    return int(expired["deleted_manifest_lists_count"])  # a snapshot has one each


def remove_orphans(spark: SparkSession, table: str, older_than: datetime) -> int:
    """Deletes files below a table's folder that no snapshot knows, as a write that broke leaves them.

    Args:
        table: ``<catalog>.<database>.<table>``.
        older_than: files of an earlier time go; Iceberg wants it `YOUNGEST_ORPHANS` back.

    Returns:
        How many files were deleted.
    """
    catalog, _, name = table.partition(".")
    removed = spark.sql(
        f"CALL {catalog}.system.remove_orphan_files(table => '{name}', "
        f"older_than => TIMESTAMP '{older_than:%Y-%m-%d %H:%M:%S}')"
    )
    return removed.count()
