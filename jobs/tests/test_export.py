"""The export of changed rows: what is written, from which snapshot, and that nothing gets lost when a load fails."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from securecart.contract import Bundle
from securecart.export import export
from securecart.lake import Job, Lake
from securecart.maintenance import compact, expire
from securecart.tables import create_or_evolve, merge_changes

DAY = date(2026, 3, 10)
ROW = {
    "revenue_date": DAY,
    "region": "us-east",
    "category": "Toys",
    "gross_amount_usd": Decimal("12.3456"),
    "discount_amount_usd": Decimal(0),
    "returned_amount_usd": Decimal(0),
    "net_amount_usd": Decimal("12.3456"),
    "orders": 1,
    "units": 1,
    "customers": 1,
}


class Exporter:
    """One table of category revenue, loaded by key or by day, and the export job over it."""

    numbers = itertools.count(1)

    def __init__(self, spark: SparkSession, contracts: Bundle, root: Path, load: str) -> None:
        number = next(self.numbers)
        name = f"revenue_{number}"
        warehouse = {"table": name, "load": load, "by": "revenue_date"}
        self.contract = replace(contracts["category_revenue"], warehouse=warehouse)
        self.contracts = Bundle({self.contract.name: self.contract}, contracts.reference)
        buckets = {z: f"securecart-local-{z}" for z in ("landing", "staging", "curated", "quarantine", "artifacts")}
        self.lake = Lake(**buckets, staging_db=f"export_{number}", curated_db=f"export_{number}")
        self.spark, self.name, self.root = spark, name, root
        self.table = self.lake.table(self.contract)
        create_or_evolve(spark, self.table, self.contract, self.contracts)
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def put(self, *given: Mapping[str, Any], op: str = "U") -> None:
        self.now += timedelta(minutes=1)
        schema = T.StructType([T.StructField(c.name, c.spark_type) for c in self.contract.columns])
        filled = [tuple((ROW | dict(g))[n] for n in self.contract.names) for g in given]
        changes = self.spark.createDataFrame(filled, schema).select(
            "*", F.lit(self.now).alias("version_at"), F.lit("w").alias("batch_id"), F.lit(op).alias("_op")
        )
        merge_changes(self.table, changes, self.contract.keys, "TRUE")

    def export(self, batch_id: str, loaded: str | None) -> list[tuple[Any, ...]]:
        """Exports and returns (_op, day of month, category, orders) of the rows written."""
        self.now += timedelta(minutes=1)
        job = Job("export", self.spark, self.lake, self.contracts, {}, batch_id, argparse.Namespace(), self.now)
        self.metrics = export(job, loaded)[self.name]
        folder = self.root / self.lake.curated / "exports" / self.name / f"batch={batch_id}"
        assert folder.exists() == (self.metrics["rows"] > 0)
        if not folder.exists():
            return []
        self.files = self.spark.read.parquet(self.metrics["path"])
        rows = self.files.select("_op", F.dayofmonth("revenue_date"), "category", "orders").collect()
        assert len(rows) == self.metrics["rows"]
        return sorted((tuple(r) for r in rows), key=str)

    def tags(self) -> Iterable[str]:
        refs = self.spark.sql(f"SELECT name FROM {self.table}.refs WHERE type = 'TAG'").collect()
        return sorted(r[0] for r in refs)


def parquet_schema(spark: SparkSession, file: Path) -> str:
    """The schema in the file's footer, with physical types."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(f"file://{file}")  # as_uri() would escape "="
    configuration = jvm.org.apache.hadoop.conf.Configuration()
    source = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(path, configuration)
    reader = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(source)
    try:
        return str(reader.getFileMetaData().getSchema().toString())
    finally:
        reader.close()


def test_only_net_changes_since_the_last_loaded_batch(spark: SparkSession, contracts: Bundle, lake_root: Path) -> None:
    table = Exporter(spark, contracts, lake_root, "merge")
    assert table.export("b0", None) == []  # a table without a snapshot
    table.put({}, {"category": "Books"}, {"category": "Garden"})
    # Whatever the session's setting is, timestamps are exported as COPY reads them.
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    assert table.export("b1", "b0") == [("U", 10, "Books", 1), ("U", 10, "Garden", 1), ("U", 10, "Toys", 1)]
    written = [(f.name, f.dataType) for f in table.files.schema]
    assert written == [
        *[(c.name, c.spark_type) for c in table.contract.columns],
        ("version_at", T.TimestampType()),
        ("batch_id", T.StringType()),
        ("_op", T.StringType()),
    ]
    folder = lake_root / table.lake.curated / "exports" / table.name / "batch=b1"
    files = [f for f in folder.iterdir() if not f.name.startswith(".")]
    assert all(f.name.endswith(".snappy.parquet") for f in files)
    assert "int96 version_at" in parquet_schema(spark, files[0])

    assert table.export("b2", "b1") == []
    # Two commits on one key are one change; what came and went in between is none.
    table.put({"orders": 2}, {"category": "Fleeting"})
    table.put({"orders": 3})
    table.put({"category": "Fleeting"}, {"category": "Books"}, op="D")
    expected = [("D", 10, "Books", 1), ("U", 10, "Toys", 3)]
    assert table.export("b3", "b2") == expected
    gone = table.files.where("_op = 'D'").select("batch_id", F.col("version_at") == F.lit(table.now)).first()
    assert gone is not None
    assert tuple(gone) == ("b3", True)
    # b3 was never loaded: its changes come again, with what was added since.
    table.put({"category": "Garden", "orders": 9})
    assert table.export("b4", "b2") == [expected[0], ("U", 10, "Garden", 9), expected[1]]
    assert table.tags() == ["exported-b2", "exported-b4"]
    assert table.export("b5", "b4") == []
    # The last loaded batch is replayed: until its load is committed, its tag stays.
    table.put({"category": "Garden", "orders": 1})
    assert table.export("b5", "b5") == table.export("b6", "b5") == [("U", 10, "Garden", 1)]


def test_upkeep_between_two_loads_exports_nothing_and_hides_nothing(
    spark: SparkSession, contracts: Bundle, lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securecart.maintenance.SMALL_FILES", 1)
    table = Exporter(spark, contracts, lake_root, "merge")
    table.put({}, {"category": "Books"})
    table.put({"category": "Garden"})
    assert len(table.export("b1", None)) == 3
    assert compact(spark, table.table) > 0
    assert table.export("b2", "b1") == []
    table.put({"orders": 2})
    table.put({"category": "Fresh"})
    assert compact(spark, table.table) > 0
    assert table.export("b3", "b2") == [("U", 10, "Fresh", 1), ("U", 10, "Toys", 2)]
    # b3 is not loaded, and what lies between b2 and now expires: whole states are compared.
    table.put({"category": "Garden"}, op="D")
    assert expire(spark, table.table, datetime.now(UTC) + timedelta(hours=1), 1) > 0
    gone, *there = table.export("b4", "b2")
    assert gone == ("D", 10, "Garden", 1)
    assert there == [("U", 10, "Books", 1), ("U", 10, "Fresh", 1), ("U", 10, "Toys", 2)]


def test_by_day_whole_days_are_exported(spark: SparkSession, contracts: Bundle, lake_root: Path) -> None:
    table = Exporter(spark, contracts, lake_root, "replace")
    tomorrow, later = {"revenue_date": DAY + timedelta(days=1)}, {"revenue_date": DAY + timedelta(days=2)}
    table.put({}, {"category": "Books"}, {**tomorrow}, {**later}, {**later, "category": "Books"})
    assert len(table.export("b1", None)) == 5
    table.put({"orders": 2})
    table.put(tomorrow, op="D")
    # The changed day with both its rows, the emptied one with its deletion, the third not at all.
    assert table.export("b2", "b1") == [("D", 11, "Toys", 1), ("U", 10, "Books", 1), ("U", 10, "Toys", 2)]


@pytest.mark.parametrize("load", ["merge", "replace"])
@pytest.mark.parametrize("set_back", [True, False])
def test_what_a_failed_load_may_have_left_is_exported_again(
    spark: SparkSession, contracts: Bundle, lake_root: Path, load: str, set_back: bool
) -> None:
    table = Exporter(spark, contracts, lake_root, load)
    table.put({}, {"category": "Books"})
    assert len(table.export("b1", None)) == 2
    before = spark.sql(f"SELECT snapshot_id FROM {table.table}.refs WHERE name = 'main'").collect()[0][0]
    table.put({"orders": 7}, {"category": "Fleeting"})
    assert ("U", 10, "Fleeting", 1) in table.export("b2", "b1")  # its load failed half way
    if set_back:
        catalog, name = table.table.split(".", 1)
        spark.sql(f"CALL {catalog}.system.set_current_snapshot('{name}', {before})")
    else:  # the next run takes back what the failed one brought
        table.put({"category": "Fleeting"}, op="D")
        table.put({"orders": 1})
    again = {(op, category): orders for op, _, category, orders in table.export("b3", "b1")}
    assert again[("U", "Toys")] == 1
    assert ("D", "Fleeting") in again
    assert len(again) == (3 if load == "replace" else 2)  # a day is exported whole
    assert table.export("b4", "b3") == []


@pytest.mark.parametrize("load", ["merge", "replace"])
def test_a_table_set_back_behind_what_was_loaded(
    spark: SparkSession, contracts: Bundle, lake_root: Path, load: str
) -> None:
    table = Exporter(spark, contracts, lake_root, load)
    table.put({})
    first = spark.sql(f"SELECT snapshot_id FROM {table.table}.refs").collect()[0][0]
    table.put({"category": "Books"}, {"orders": 5})
    assert len(table.export("b1", None)) == 2
    loaded = table.files.agg(F.max("version_at")).collect()[0][0]
    catalog, name = table.table.split(".", 1)
    spark.sql(f"CALL {catalog}.system.set_current_snapshot('{name}', {first})")
    assert table.export("b2", "b1") == [("D", 10, "Books", 1), ("U", 10, "Toys", 1)]
    # The warehouse takes a row only in a newer version than it has.
    assert [r[0] > loaded for r in table.files.select("version_at").collect()] == [True, True]
