"""Upkeep of the stream's tables: many small commits leave many small files and a long history."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

#: A partition is compacted once it has this many files that are too small.
SMALL_FILES = 5

#: Commits kept whatever their age.
KEEP_LAST = 10


def maintain(spark: SparkSession, tables: list[str], now: datetime, keep_hours: float) -> None:
    """Compacts small files and forgets old snapshots of these tables.

    Snapshots with a tag stay: the export compares with the one that the warehouse got last. When the commits in
    between are gone, it compares the two states as a whole, which costs more and gives the same.

    Args:
        tables: ``<catalog>.<database>.<table>``.
        keep_hours: how much of the history stays readable.
    """
    older_than = (now - timedelta(hours=keep_hours)).strftime("%Y-%m-%d %H:%M:%S")
    for table in tables:
        catalog, _, name = table.partition(".")
        rewritten = spark.sql(
            f"CALL {catalog}.system.rewrite_data_files(table => '{name}', "
            f"options => map('min-input-files', '{SMALL_FILES}'))"
        ).first()
        expired = spark.sql(
            f"CALL {catalog}.system.expire_snapshots(table => '{name}', "
            f"older_than => TIMESTAMP '{older_than}', retain_last => {KEEP_LAST})"
        ).first()
        log.info("%s: compacted %s, expired %s", table, rewritten, expired)
