"""Iceberg tables made, evolved and written from contracts.

Every table is format version 2, copy-on-write (the changelog that the export reads refuses merge-on-read), Parquet
with zstd. Tables fed by a source carry the technical columns of `SOURCED_COLUMNS` after their business columns,
computed tables those of `COMPUTED_COLUMNS`.
"""

from __future__ import annotations

import threading

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from securecart.contract import Bundle, Contract
from securecart.errors import JobError

#: Where a row came from and which version of it this is.
SOURCED_COLUMNS: dict[str, T.DataType] = {
    "source_system": T.StringType(),
    "source_object": T.StringType(),
    "source_position": T.LongType(),
    "version_at": T.TimestampType(),
    "batch_id": T.StringType(),
    "row_hash": T.StringType(),
}

#: When a computed row last changed, and in which batch.
COMPUTED_COLUMNS: dict[str, T.DataType] = {
    "version_at": T.TimestampType(),
    "batch_id": T.StringType(),
}

PROPERTIES = {
    "format-version": "2",
    "write.delete.mode": "copy-on-write",
    "write.update.mode": "copy-on-write",
    "write.merge.mode": "copy-on-write",
    "write.parquet.compression-codec": "zstd",
    "write.metadata.previous-versions-max": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.distribution-mode": "hash",
}

#: Type changes that Iceberg makes without rewriting data, and that lose nothing.
_WIDENINGS = {("int", "bigint"), ("float", "double")}


def is_sourced(contract: Contract, bundle: Bundle) -> bool:
    """True when rows come from a source, false when a job computes them."""
    return bool(bundle.sources_of(contract.name))


def technical_columns(contract: Contract, bundle: Bundle) -> dict[str, T.DataType]:
    """The columns that a table has beyond its contract's."""
    return SOURCED_COLUMNS if is_sourced(contract, bundle) else COMPUTED_COLUMNS


def table_schema(contract: Contract, bundle: Bundle) -> T.StructType:
    """The table's columns, business columns first, all nullable (the cleaning job holds what is required)."""
    fields = [T.StructField(c.name, c.spark_type) for c in contract.columns]
    fields += [T.StructField(n, t) for n, t in technical_columns(contract, bundle).items()]
    return T.StructType(fields)


def create_or_evolve(spark: SparkSession, table: str, contract: Contract, bundle: Bundle) -> list[str]:
    """Makes the table as its contract says, or adds what the contract has gained. Returns what was done.

    Descriptions go along as comments, so that the catalog explains every column as the contract does.

    Raises:
        JobError: when the contract narrows or changes a column's type, or drops a column: that would break rows
            already there.
    """
    wanted = table_schema(contract, bundle)
    if not spark.catalog.tableExists(table):
        columns = ", ".join(f"`{f.name}` {f.dataType.simpleString()}{_comment(contract, f.name)}" for f in wanted)
        parts = [
            f"{c.partition_transform}s(`{c.name}`)" if c.partition_transform else f"`{c.name}`"
            for c in contract.partitions
        ]
        partitioned = f"PARTITIONED BY ({', '.join(parts)})" if parts else ""
        properties = ", ".join(f"'{k}'='{v}'" for k, v in PROPERTIES.items())
        spark.sql(f"CREATE TABLE {table} ({columns}) USING iceberg {partitioned} TBLPROPERTIES ({properties})")
        return [f"created {table}"]

    # All is judged before anything is changed, so that a refused contract leaves its table as it was.
    fields = {f.name: f for f in spark.table(table).schema}
    present = {name: f.dataType for name, f in fields.items()}
    changes: dict[str, str] = {}
    previous: str | None = None
    for field in wanted:
        kind = field.dataType.simpleString()
        have = present.get(field.name)
        if have is None:
            place = f"AFTER `{previous}`" if previous else "FIRST"
            comment = _comment(contract, field.name)
            changes[f"added {table}.{field.name}"] = f"ADD COLUMN `{field.name}` {kind}{comment} {place}"
        elif have != field.dataType:
            if not _widens(have, field.dataType):
                raise JobError(
                    f"contract '{contract.name}' makes column '{field.name}' {kind}, but "
                    f"{table} holds it as {have.simpleString()}, which cannot be changed in place. "
                    "Add a new column, or write a new version of the dataset under another name."
                )
            changes[f"widened {table}.{field.name}"] = f"ALTER COLUMN `{field.name}` TYPE {kind}"
        previous = field.name
    if lost := [name for name in present if name not in wanted.names]:
        raise JobError(
            f"contract '{contract.name}' has no column '{lost[0]}', but {table} holds it. Put the column back into the "
            "contract (a source may leave it empty), or write a new version of the dataset under another name."
        )
    for column in contract.columns:
        name, there = column.name, fields.get(column.name)
        if there is not None and column.description and there.metadata.get("comment") != column.description:
            changes[f"described {table}.{name}"] = f"ALTER COLUMN `{name}`{_comment(contract, name)}"
    for change in changes.values():
        spark.sql(f"ALTER TABLE {table} {change}")
    return list(changes)


def _comment(contract: Contract, name: str) -> str:
    """The clause that brings a column's description into the catalog; empty for one without."""
    text = next((c.description for c in contract.columns if c.name == name), "")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f" COMMENT '{escaped}'" if text else ""


def _widens(have: T.DataType, want: T.DataType) -> bool:
    if isinstance(have, T.DecimalType) and isinstance(want, T.DecimalType):
        return have.scale == want.scale and want.precision > have.precision
    return (have.simpleString(), want.simpleString()) in _WIDENINGS


def snapshot_of(spark: SparkSession, table: str) -> int | None:
    """The table's current snapshot, or None while it has none."""
    row = spark.sql(
        f"SELECT snapshot_id FROM {table}.refs WHERE name = 'main'",
    ).first()
    return None if row is None else int(row[0])


def merge_changes(table: str, changes: DataFrame, keys: tuple[str, ...], guard: str, within: str = "TRUE") -> None:
    """Brings changed rows into a table in one commit.

    Args:
        table: the Iceberg table.
        changes: at most one row per key: the table's columns, ``_op`` (``U`` insert or update, ``D`` delete), and under
            names with an underscore what the guard needs.
        keys: the key's columns.
        guard: a SQL condition over ``t`` (table) and ``c`` (change) that must hold for a change to win.
        within: a SQL condition over ``t`` that the row of every changed key meets. One over the partition's column
            spares looking for the keys in all of the table.
    """
    spark = changes.sparkSession
    # Views are shared by the threads of one session, so each has a name of its own.
    view = f"changes_{threading.get_ident()}_{table.replace('.', '_')}"
    changes.createOrReplaceTempView(view)
    on = " AND ".join([*(f"t.`{k}` = c.`{k}`" for k in keys), within])
    columns = [c for c in changes.columns if not c.startswith("_")]
    assign = ", ".join(f"t.`{c}` = c.`{c}`" for c in columns)
    names = ", ".join(f"`{c}`" for c in columns)
    values = ", ".join(f"c.`{c}`" for c in columns)
    try:
        spark.sql(
            f"MERGE INTO {table} t USING {view} c ON {on} "
            f"WHEN MATCHED AND c._op = 'D' AND {guard} THEN DELETE "
            f"WHEN MATCHED AND c._op = 'U' AND {guard} THEN UPDATE SET {assign} "
            f"WHEN NOT MATCHED AND c._op = 'U' THEN INSERT ({names}) VALUES ({values})"
        )
    finally:
        spark.catalog.dropTempView(view)
