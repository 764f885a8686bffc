"""Snapshots of Iceberg tables, and what changed between two of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import get_ident

from pyspark.sql import DataFrame, Row, SparkSession


@dataclass(frozen=True)
class TableSnapshots:
    """What a table's metadata says.

    ``current`` is None while nothing was ever committed. ``ancestors`` are the current snapshot and those it
    stands on, as far as they were not expired. ``tags`` maps tag names to snapshots. ``property`` is the
    value that was asked for, from the newest ancestor that carries it.
    """

    current: int | None
    ancestors: frozenset[int]
    tags: dict[str, int]
    property: str | None


def read_snapshots(spark: SparkSession, tables: Iterable[str], property_name: str) -> dict[str, TableSnapshots]:
    """The snapshots of several tables, read in one query.

    Args:
        tables: ``<catalog>.<database>.<table>``.
        property_name: the snapshot property to return.
    """
    found: dict[str, TableSnapshots] = {}
    queries = [
        query
        for table in tables
        for query in (
            f"SELECT '{table}' table, type kind, name, snapshot_id, NULL parent_id, NULL operation FROM {table}.refs",
            f"SELECT '{table}', 'SNAPSHOT', summary['{property_name}'], snapshot_id, parent_id, operation "
            f"FROM {table}.snapshots",
        )
    ]
    rows = spark.sql(" UNION ALL ".join(queries)).collect() if queries else []
    for table in tables:
        own = [r for r in rows if r["table"] == table]
        commits = {int(r["snapshot_id"]): r for r in own if r["kind"] == "SNAPSHOT"}
        current = next((int(r["snapshot_id"]) for r in own if r["kind"] == "BRANCH" and r["name"] == "main"), None)
        lineage: list[Row] = []
        reached = current
        while reached is not None and reached in commits:
            lineage.append(commits[reached])
            reached = commits[reached]["parent_id"]
        found[table] = TableSnapshots(
            current=current,
            ancestors=frozenset(int(r["snapshot_id"]) for r in lineage),
            tags={r["name"]: int(r["snapshot_id"]) for r in own if r["kind"] == "TAG"},
            property=next((r["name"] for r in lineage if r["operation"] != "replace"), None),
        )
    return found


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


def set_property(spark: SparkSession, table: str, name: str, value: str) -> None:
    """Adds a snapshot without changes whose summary carries a property.

    Iceberg has an option for it on DataFrame writes, none on MERGE.
    """
    nothing = spark.table(table).limit(0)
    nothing.writeTo(table).option(f"snapshot-property.{name}", value).append()
