"""The upkeep of tables on real Iceberg tables: rows stay, what is no longer needed goes from the files themselves."""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart import maintain
from securecart.contract import Bundle
from securecart.errors import JobError
from securecart.lake import Job, Lake
from securecart.maintenance import expire
from securecart.snapshots import changelog, read_snapshots
from securecart.tables import create_or_evolve, merge_changes, snapshot_of
from spark_session import BUCKETS
from tests.sales_rows import rows
from tests.support import metrics

KEEP = timedelta(days=7)
NONE = {"compacted": 0, "expired": 0, "orphans": 0}


class Customers:
    """The table of customers in a database of its own, and the upkeep of it."""

    numbers = itertools.count(1)

    def __init__(self, spark: SparkSession, contracts: Bundle, root: Path) -> None:
        self.spark, self.contracts, self.contract = spark, contracts, contracts["customers"]
        self.name = f"maintain_{next(self.numbers)}"
        zones = {zone: bucket for zone, bucket in BUCKETS.items() if zone != "logs"}
        self.lake = Lake(**zones, staging_db=self.name, curated_db=self.name)
        self.table = self.lake.table(self.contract)
        create_or_evolve(spark, self.table, self.contract, contracts)
        (self.folder,) = (root / self.lake.staging / "tables" / self.name).glob("customers*")

    def put(self, *given: Mapping[str, Any], op: str = "U") -> None:
        changes = rows(self.spark, self.contract, given).withColumn("_op", F.lit(op)).coalesce(1)
        merge_changes(self.table, changes, self.contract.keys, "TRUE")

    def maintain(self, keep: timedelta = KEEP) -> dict[str, int]:
        job = Job("maintain", self.spark, self.lake, self.contracts, {}, "m", argparse.Namespace(), datetime.now(UTC))
        return maintain.maintain(job, {"customers": self.table}, keep)["customers"]

    def names(self) -> list[str]:
        return sorted(row.full_name for row in self.spark.table(self.table).collect())

    def files(self) -> list[Path]:
        return sorted(file for file in self.folder.glob("data/**/*.parquet"))

    def names_in_files(self) -> set[str]:
        """What anybody reads who opens the files and asks no catalog."""
        found = self.spark.read.parquet(*[file.as_uri() for file in self.files()]).select("full_name").collect()
        return {row.full_name for row in found}


@pytest.fixture
def customers(spark: SparkSession, contracts: Bundle, lake_root: Path) -> Customers:
    return Customers(spark, contracts, lake_root)


def person(number: int, name: str) -> dict[str, Any]:
    return {"customer_no": number, "customer_id": f"C{number}", "full_name": name}


def test_a_deleted_customer_is_in_no_file_once_the_snapshots_expired(customers: Customers) -> None:
    customers.put(person(1, "Ada"), person(2, "Forget Me"), person(3, "Old Name"))
    customers.put(person(2, "Forget Me"), op="D")
    customers.put(person(3, "New Name"))
    assert customers.names() == ["Ada", "New Name"]
    assert customers.names_in_files() == {"Ada", "Forget Me", "Old Name", "New Name"}
    # Younger than what is kept: a failed run could still go back to it.
    assert customers.maintain() == NONE
    assert customers.names_in_files() == {"Ada", "Forget Me", "Old Name", "New Name"}
    assert expire(customers.spark, customers.table, datetime.now(UTC) + timedelta(hours=1), maintain.KEEP_LAST) == 2
    assert customers.names_in_files() == {"Ada", "New Name"} == set(customers.names())
    # The newest snapshot is the table: it stays, however old.
    assert expire(customers.spark, customers.table, datetime.now(UTC) + timedelta(hours=1), maintain.KEEP_LAST) == 0
    assert customers.names() == ["Ada", "New Name"]


def test_a_state_that_the_warehouse_got_stays_until_the_next(customers: Customers) -> None:
    customers.put(person(1, "Ada"))
    customers.put(person(1, "Grace"))
    loaded = snapshot_of(customers.spark, customers.table)
    customers.spark.sql(f"ALTER TABLE {customers.table} CREATE TAG `exported-b1` AS OF VERSION {loaded}")
    customers.put(person(1, "Emmy"))
    customers.put(person(1, "Mary"))
    assert expire(customers.spark, customers.table, datetime.now(UTC) + timedelta(hours=1), maintain.KEEP_LAST) == 2
    then = customers.spark.read.option("tag", "exported-b1").table(customers.table).collect()
    assert [row.full_name for row in then] == ["Grace"]
    assert customers.names_in_files() == {"Grace", "Mary"}


def test_what_a_table_was_since_then_stays_however_long_ago_that_was_made(customers: Customers) -> None:
    """A rollback of the run that is on, or a reader that began before it, may need it."""
    customers.put(person(1, "Ada"))
    customers.put(person(1, "Grace"))
    grace = snapshot_of(customers.spark, customers.table)
    time.sleep(0.01)
    since = datetime.now(UTC)
    time.sleep(0.01)
    customers.put(person(1, "Emmy"))
    assert expire(customers.spark, customers.table, since, maintain.KEEP_LAST) == 1
    then = customers.spark.sql(f"SELECT * FROM {customers.table} TIMESTAMP AS OF '{since:%Y-%m-%d %H:%M:%S.%f}'")
    assert [row.full_name for row in then.collect()] == ["Grace"]
    catalog, _, name = customers.table.partition(".")
    customers.spark.sql(f"CALL {catalog}.system.set_current_snapshot('{name}', {grace})")
    assert customers.names() == ["Grace"]
    customers.put(person(1, "Mary"))
    assert expire(customers.spark, customers.table, datetime.now(UTC), maintain.KEEP_LAST) == 2
    assert customers.names_in_files() == {"Mary"}


def test_small_files_become_one_and_no_row_came_or_went_by_that(customers: Customers) -> None:
    people = [person(n, f"Name {n}") for n in range(6)]
    for one in people:
        customers.put(one)
    start = snapshot_of(customers.spark, customers.table)
    assert start is not None
    assert len(customers.spark.table(f"{customers.table}.files").collect()) == 6
    assert customers.maintain() == NONE | {"compacted": 6}
    assert len(customers.spark.table(f"{customers.table}.files").collect()) == 1
    snapshots = read_snapshots(customers.spark, customers.table)
    assert snapshots.current is not None
    assert start in snapshots.ancestors
    assert start != snapshots.current
    assert changelog(customers.spark, customers.table, start, snapshots.current).isEmpty()
    # What changes afterwards lies in the large file, and is the one change since before it was written.
    customers.put(person(0, "Changed"))
    end = snapshot_of(customers.spark, customers.table)
    assert end is not None
    changed = changelog(customers.spark, customers.table, start, end).select("_change_type", "full_name").collect()
    assert sorted(tuple(row) for row in changed) == [("DELETE", "Name 0"), ("INSERT", "Changed")]
    assert customers.maintain() == NONE  # one small file is not enough


def test_files_of_broken_writes_go_and_younger_ones_stay(customers: Customers) -> None:
    customers.put(person(1, "Ada"))
    (known,) = customers.files()
    stale, fresh = (known.with_name(f"{name}.parquet") for name in ("stale", "fresh"))
    for file in (stale, fresh):
        file.write_bytes(known.read_bytes())
    hour = 3600
    for file in customers.folder.rglob("*"):
        if file.is_file():
            age = KEEP.total_seconds() + (-hour if file == fresh else hour)
            os.utime(file, (time.time() - age, time.time() - age))
    assert customers.maintain() == NONE | {"orphans": 1}
    assert customers.files() == sorted([known, fresh])
    assert customers.names() == ["Ada"]


def test_the_job_maintains_what_runs_write_and_refuses_to_touch_young_files(
    customers: Customers, bundle_uri: str
) -> None:
    arguments = ["--contracts", bundle_uri, "--staging-db", customers.name, "--curated-db", customers.name]
    arguments += [part for zone, bucket in BUCKETS.items() if zone != "logs" for part in (f"--{zone}", bucket)]
    for contract in customers.contracts.tables:
        table = customers.lake.table(contract)
        create_or_evolve(customers.spark, table, contract, customers.contracts)
        if contract.name not in ("customers", "orders"):  # one with few commits, one without any
            customers.spark.table(table).limit(0).writeTo(table).append()
    for number in range(5):
        customers.put(person(number, "Ada"))
    maintain.main([*arguments, "--batch-id", "upkeep"])
    found = metrics("upkeep", "maintain")["datasets"]
    assert found["customers"] == NONE | {"compacted": 5}
    streamed = {contract.name for contract in customers.contracts.tables if contract.writer == "stream"}
    assert "clickstream_events" in streamed
    assert set(found) == {contract.name for contract in customers.contracts.tables} - streamed - {"orders"}
    with pytest.raises(JobError, match="maintain needs --batch-id, or the --plan of a run"):
        maintain.main(arguments)
    with pytest.raises(JobError, match=r"--keep-days 0.5: must be at least 1, since younger files may belong"):
        maintain.main([*arguments, "--batch-id", "upkeep", "--keep-days", "0.5"])
