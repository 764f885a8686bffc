"""A table is a function of what has landed: batch by batch, backfilled or replayed, it comes to hold the same rows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pyspark.sql import SparkSession
from securecart import clean, publish
from securecart.contract import Bundle
from tests.support import Record, job_arguments, land, metrics, write_plan
from tests.test_clean import ORDER, ORDERS, TRANSACTIONS, rows, tables
from tests.test_conform import GOOD

__all__ = ["tables"]  # the fixture

YEAR = {"from": "2026-01-01", "to": "2026-12-31"}
DYNAMO_ORDER = {k: v for k, v in ORDER.items() if k != "order_no"}


class Runs:
    """Batches of one table, one after the other, as the planner would have them."""

    def __init__(self, spark: SparkSession, contracts: Bundle, bundle_uri: str) -> None:
        self.spark, self.contracts, self.bundle_uri = spark, contracts, bundle_uri
        self.landed: list[tuple[str, str]] = []

    def _process(self, batch_id: str, plan: str) -> dict[str, Any]:
        for job in (clean, publish):
            job.main(job_arguments(self.bundle_uri, plan))
        counts: dict[str, Any] = metrics(batch_id, "clean")["datasets"]
        return counts

    def batch(self, records: dict[str, list[Record]]) -> dict[str, Any]:
        batch_id = f"202601{len(self.landed) + 1:02d}T000000Z-00000000"
        folders = [(name, land(self.spark, self.contracts[name], batch_id, rs)) for name, rs in records.items()]
        plan = write_plan(batch_id, folders, history=_entries(self.landed))
        self.landed += folders
        return self._process(batch_id, plan)

    def backfill(self, window: dict[str, str] = YEAR) -> dict[str, Any]:
        return self._process("backfill", write_plan("backfill", self.landed, mode="backfill", range=window))

    def replay(self, number: int) -> dict[str, Any]:
        """Cleans and publishes a batch again; of runs with one dataset a batch."""
        dataset, path = self.landed[number]
        batch_id = path.rstrip("/").rpartition("=")[2]
        others = [folder for folder in self.landed if folder[1] != path]
        plan = write_plan(batch_id, [(dataset, path)], mode="replay", history=_entries(others))
        return self._process(batch_id, plan)


def _entries(folders: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"dataset": dataset, "path": path} for dataset, path in folders]


@pytest.fixture
def runs(spark: SparkSession, contracts: Bundle, tables: str) -> Runs:
    return Runs(spark, contracts, tables)


def drop(name: str, day: int, **amounts: str) -> list[Record]:
    """A version of a drop: its transactions and their amounts."""
    where = {"_object": f"s3://landing/drops/{name}.csv", "_modified": f"2026-03-{day:02d}T00:00:00"}
    return [
        {**GOOD, **where, "transaction_id": key, "amount": amount, "_position": line}
        for line, (key, amount) in enumerate(amounts.items(), 1)
    ]


def state(spark: SparkSession, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return [(*map(str, row),) for row in rows(spark, table, *columns, "version_at")]


def test_a_row_that_a_correction_withdraws_gives_way_to_another_drop(spark: SparkSession, runs: Runs) -> None:
    runs.batch({"transactions": drop("a", 1, T1="10.00", T2="20.00", T3="30.00")})
    copies = runs.batch({"transactions": drop("b", 2, T1="11.00", T2="20.00")})["transactions"]
    assert copies["deduplicated"] == {"already_loaded": 1}
    # b never meant them: a's version of T1 is in force again, its copy of T2 as well.
    corrected = runs.batch({"transactions": drop("b", 3, T4="40.00")})["transactions"]
    assert (corrected["removed_rows"], corrected["restored_rows"], corrected["loaded"]) == (0, 2, 1)
    found = state(spark, TRANSACTIONS, "transaction_id", "amount", "source_object")
    a, b = "s3://landing/drops/a.csv", "s3://landing/drops/b.csv"
    assert [row[:3] for row in found] == [
        ("T1", "10.00", a),
        ("T2", "20.00", a),
        ("T3", "30.00", a),
        ("T4", "40.00", b),
    ]
    runs.batch({"transactions": drop("a", 4, T1="10.00")})
    assert [row[0] for row in state(spark, TRANSACTIONS, "transaction_id")] == ["T1", "T4"]


@pytest.mark.slow
def test_a_copy_keeps_a_row_that_its_first_drop_withdraws(spark: SparkSession, runs: Runs) -> None:
    runs.batch({"transactions": drop("a", 1, T1="10.00")})
    runs.batch({"transactions": drop("b", 3, T1="10.00")})
    # Late, but older than b's word on it.
    late = runs.batch({"transactions": drop("c", 2, T1="12.00")})["transactions"]
    assert late["deduplicated"] == {"older_version": 1}
    runs.batch({"transactions": drop("a", 4, T9="1.00")})
    assert [row[:2] for row in state(spark, TRANSACTIONS, "transaction_id", "amount")] == [
        ("T1", "10.00"),
        ("T9", "1.00"),
    ]


@pytest.mark.slow
def test_a_correction_of_the_same_instant_is_the_newer_version(spark: SparkSession, runs: Runs) -> None:
    runs.batch({"transactions": drop("a", 1, T1="10.00", T2="20.00", T3="30.00")})
    runs.batch({"transactions": drop("a", 1, T1="10.00", T2="21.00", T4="40.00", T5="50.00")})
    expected = [("T1", "10.00"), ("T2", "21.00"), ("T4", "40.00"), ("T5", "50.00")]
    assert [row[:2] for row in state(spark, TRANSACTIONS, "transaction_id", "amount")] == expected
    spark.sql(f"DELETE FROM {TRANSACTIONS} WHERE transaction_id > 'T1'")
    runs.backfill()
    assert [row[:2] for row in state(spark, TRANSACTIONS, "transaction_id", "amount")] == expected


def test_a_backfill_brings_back_what_is_missing_and_removes_what_never_landed(spark: SparkSession, runs: Runs) -> None:
    runs.batch({"transactions": drop("a", 1, T1="10.00", T2="20.00")})
    runs.batch({"transactions": drop("a", 2, T1="10.00")})
    before = state(spark, TRANSACTIONS, "transaction_id", "amount", "source_object")
    spark.sql(f"UPDATE {TRANSACTIONS} SET amount = 99, transaction_id = 'T2', version_at = version_at + INTERVAL 1 DAY")
    runs.backfill()
    assert state(spark, TRANSACTIONS, "transaction_id", "amount", "source_object") == before


@pytest.mark.slow
def test_replaying_an_old_batch_takes_nothing_back(spark: SparkSession, runs: Runs) -> None:
    runs.batch({"transactions": drop("a", 1, T1="10.00", T2="20.00")})
    runs.batch({"transactions": drop("a", 2, T1="11.00", T3="30.00")})
    before = state(spark, TRANSACTIONS, "transaction_id", "amount", "source_object")
    counts = runs.replay(0)["transactions"]
    assert (counts["read"], counts["deduplicated"]) == (2, {"older_version": 2})
    assert state(spark, TRANSACTIONS, "transaction_id", "amount", "source_object") == before


def test_publishing_an_old_batch_again_deletes_no_newer_row(spark: SparkSession, runs: Runs) -> None:
    runs.batch({"transactions": drop("a", 1, T1="10.00", T2="20.00")})
    runs.batch({"transactions": drop("a", 2, T1="10.00")})  # its candidates delete T2
    runs.batch({"transactions": drop("b", 3, T2="21.00")})
    batch_id = runs.landed[1][1].rstrip("/").rpartition("=")[2]
    publish.main(job_arguments(runs.bundle_uri, f"s3://securecart-local-landing/plans/{batch_id}.json"))
    assert ("T2", "21.00") in [row[:2] for row in state(spark, TRANSACTIONS, "transaction_id", "amount")]


def test_an_order_deleted_at_one_source_stays_as_the_other_has_it(spark: SparkSession, runs: Runs) -> None:
    item = {**DYNAMO_ORDER, "updated_at": "2026-03-01T09:00:00Z", "_object": "dynamodb://orders/O1"}
    runs.batch({"mysql_orders": [ORDER], "dynamodb_orders": [{**item, "status": "placed"}]})
    alive: list[Record] = [{"_op": "K", "_position": 7, "_modified": "2026-03-12T00:00:00"}]
    counts = runs.batch({"mysql_orders": alive})["mysql_orders"]
    assert (counts["removed_rows"], counts["restored_rows"]) == (0, 1)
    assert rows(spark, ORDERS, "order_id", "status", "source_system") == [("O1", "placed", "dynamodb_orders")]


def test_old_batches_that_expired_are_not_missed(spark: SparkSession, runs: Runs) -> None:
    runs.batch({"transactions": drop("a", 1, T1="10.00")})
    runs.landed.insert(0, ("transactions", "s3://securecart-local-landing/batches/transactions/batch=expired/"))
    runs.batch({"transactions": drop("a", 2, T2="20.00")})
    assert [row[0] for row in state(spark, TRANSACTIONS, "transaction_id")] == ["T2"]


def test_what_an_earlier_try_rejected_does_not_stay(spark: SparkSession, runs: Runs) -> None:
    folder = "s3://securecart-local-quarantine/records/dataset=transactions/batch=20260101T000000Z-00000000/"
    spark.range(3).write.parquet(folder)  # as if the contract had refused them then
    counts = runs.batch({"transactions": drop("a", 1, T1="10.00")})["transactions"]
    assert (counts["loaded"], counts["quarantined"]) == (1, {})
    assert spark.read.parquet(folder).count() == 0


def random_drops(rng: random.Random, day: int) -> list[Record]:
    """One batch: some drops, each a new version of few keys; a record in five is broken."""
    records: list[Record] = []
    for name in rng.sample("abc", rng.randint(1, 2)):
        keys = rng.sample(["T1", "T2", "T3", "T4"], rng.randint(1, 3))
        records += drop(name, day, **{key: rng.choice(["1.00", "2.00", "3.00", "?"]) for key in keys})
    return records


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_batch_by_batch_is_the_same_as_all_at_once(spark: SparkSession, runs: Runs, seed: int) -> None:
    rng = random.Random(seed)
    days = rng.sample(range(1, 28), 5)  # out of order: a large upload carries the time at which it began
    latest: dict[str, int] = {}
    for day in days:
        records = random_drops(rng, day)
        # A drop's newest version is all that S3 lists: no older one comes after it.
        fresh = [r for r in records if latest.get(r["_object"], 0) < day]
        latest |= {r["_object"]: day for r in fresh}
        if fresh:
            runs.batch({"transactions": fresh})
    columns = ("transaction_id", "amount")
    one_by_one = state(spark, TRANSACTIONS, *columns)
    runs.backfill()
    assert state(spark, TRANSACTIONS, *columns) == one_by_one, "on top"
    spark.sql(f"DELETE FROM {TRANSACTIONS} WHERE abs(hash(transaction_id, {seed})) % 3 > 0")
    runs.backfill()
    assert state(spark, TRANSACTIONS, *columns) == one_by_one, "after a loss"
    runs.replay(rng.randrange(len(runs.landed)))
    assert state(spark, TRANSACTIONS, *columns) == one_by_one, "after a replay"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_two_sources_with_deletions_are_the_same_as_all_at_once(spark: SparkSession, runs: Runs, seed: int) -> None:
    rng = random.Random(seed)
    here = {1, 2, 3}
    for day in range(1, 6):
        here -= {rng.choice([1, 2, 3])} if day > 2 else set()
        at = f"2026-03-{day:02d}"
        mysql: list[Record] = [
            {**ORDER, "order_id": f"O{n}", "updated_at": f"{at} 00:00:00", "status": rng.choice(["paid", "shipped"])}
            | {"_object": "mysql://orders", "_position": n, "_modified": f"{at}T12:00:00"}
            for n in here
            if rng.random() < 0.6
        ]
        mysql += [
            {"_op": "K", "_object": "mysql://orders", "_position": n, "_modified": f"{at}T12:00:00"} for n in here
        ]
        dynamo: list[Record] = []
        for n in rng.sample([1, 2, 3], 2):
            where = {"_object": f"dynamodb://orders/O{n}", "_position": 1, "_modified": f"{at}T0{n}:00:00"}
            if rng.random() < 0.3:
                dynamo.append({"order_id": f"O{n}", "_op": "D", **where})
            else:
                written = f"2026-03-{rng.randint(1, day):02d}T00:00:00Z"  # also set back
                dynamo.append({**DYNAMO_ORDER, "order_id": f"O{n}", "updated_at": written, "status": "placed", **where})
        runs.batch({"mysql_orders": mysql, "dynamodb_orders": dynamo})
    columns = ("order_id", "status", "source_system")
    one_by_one = state(spark, ORDERS, *columns)
    runs.backfill()
    assert state(spark, ORDERS, *columns) == one_by_one, "on top"
    spark.sql(f"DELETE FROM {ORDERS} WHERE TRUE")
    runs.backfill()
    assert state(spark, ORDERS, *columns) == one_by_one, "after a loss"
