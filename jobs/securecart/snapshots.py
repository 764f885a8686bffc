"""Snapshots of Iceberg tables, and what changed between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import get_ident
from typing import Any

from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class TableSnapshots:
    """What a table's metadata says.

    ``current`` is None while nothing was ever committed. ``ancestors`` are the current snapshot and those it stands
    on, as far as they were not expired, with the times of their commits. ``tags`` maps tag names to snapshots.
    ``property`` is the value that was asked for, from the newest of them that is no compaction.
    """

    current: int | None
    ancestors: Mapping[int, datetime]
    tags: dict[str, int]
    property: str | None


def read_snapshots(spark: SparkSession, table: str, property_name: str = "") -> TableSnapshots:
    """The snapshots of a table, from its metadata file: no Spark job runs.

    Args:
        table: ``<catalog>.<database>.<table>``.
        property_name: the snapshot property to return.
    """
    jvm: Any = spark.sparkContext._jvm
    loaded = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, table)
    loaded.refresh()  # a catalog may answer from its cache
    newest = loaded.currentSnapshot()
    lineage = []
    reached = newest
    while reached is not None:
        lineage.append(reached)
        parent = reached.parentId()
        reached = None if parent is None else loaded.snapshot(parent)  # null once it is expired
    # A compaction changes no rows and knows nothing of the property.
    telling = next((s for s in lineage if s.operation() != "replace"), None)
    return TableSnapshots(
        current=None if newest is None else newest.snapshotId(),
        ancestors={s.snapshotId(): datetime.fromtimestamp(s.timestampMillis() / 1000, UTC) for s in lineage},
        tags={name: ref.snapshotId() for name, ref in loaded.refs().items() if ref.isTag()},
        property=None if telling is None else telling.summary().get(property_name),
    )


def changelog(spark: SparkSession, table: str, start: int, end: int) -> DataFrame:
    """Rows that came and went between two snapshots, net of what happened in between.

    Args:
        table: a copy-on-write table, ``<catalog>.<database>.<table>``.
        start: a snapshot that ``end`` stands on; its rows are what changes are measured against.
        end: the snapshot to reach.

    Returns:
        The table's columns and ``_change_type``: INSERT a row as it is at ``end``, DELETE one as it was at
        ``start``. An updated row is a DELETE and an INSERT with the same key.
    """
    catalog, name = table.split(".", 1)
    view = f"changelog_{get_ident()}_{table.replace('.', '_')}"
    spark.sql(
        f"CALL {catalog}.system.create_changelog_view(table => '{name}', changelog_view => '{view}', "
        f"options => map('start-snapshot-id', '{start}', 'end-snapshot-id', '{end}'), net_changes => true)"
    )
    try:
        return spark.table(view).drop("_change_ordinal", "_commit_snapshot_id")
    finally:
        spark.catalog.dropTempView(view)


def append(table: str, rows: DataFrame, name: str, value: str) -> None:
    """Appends rows in a commit whose summary carries a property."""
    rows.writeTo(table).option(f"snapshot-property.{name}", value).append()


def set_property(spark: SparkSession, table: str, name: str, value: str) -> None:
    """Adds a snapshot without changes whose summary carries a property.

    Iceberg has an option for it on DataFrame writes, none on MERGE.
    """
    append(table, spark.table(table).limit(0), name, value)
