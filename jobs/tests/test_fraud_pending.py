"""Which transactions a run scores and which scores it takes out: by what changed, the same as by comparing all.

Scores are made up here; `test_fraud_score` runs the job itself.
"""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from securecart.contract import Bundle
from securecart.fraud.pending import SCORED, orphans, pending, settle, unscored
from securecart.maintenance import compact
from securecart.snapshots import read_snapshots
from securecart.tables import create_or_evolve, merge_changes, snapshot_of

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = "all transactions are compared with all scores"


def versions(spark: SparkSession, hash_name: str, **hashes: str | None) -> DataFrame:
    return spark.createDataFrame(list(hashes.items()), f"transaction_id string, {hash_name} string")


def ids(rows: DataFrame) -> list[str]:
    return sorted(row.transaction_id for row in rows.collect())


def test_each_version_of_a_transaction_is_scored_once(spark: SparkSession) -> None:
    transactions = versions(spark, "row_hash", same="a", changed="c", new="d", old_table="e")
    scores = versions(spark, "transaction_hash", same="a", changed="b", gone="a", old_table=None)
    found = {row.transaction_id: row.replaces for row in unscored(transactions, scores).collect()}
    assert found == {"changed": True, "new": False, "old_table": True}
    assert ids(orphans(transactions, scores)) == ["gone"]


def test_a_replay_or_backfill_of_the_same_rows_has_nothing_to_score(spark: SparkSession) -> None:
    transactions = versions(spark, "row_hash", one="a", two="b")
    assert ids(unscored(transactions, versions(spark, "transaction_hash", one="a", two="b"))) == []


class Tables:
    """A table of transactions and one of scores, and runs between changes of them."""

    numbers = itertools.count(1)

    def __init__(self, spark: SparkSession, contracts: Bundle, caplog: pytest.LogCaptureFixture) -> None:
        self.spark, self.caplog, self.run_number = spark, caplog, 0
        name = f"pending_{next(self.numbers)}"
        self.transactions, self.scores = f"staging.{name}.transactions", f"curated.{name}.fraud_scores"
        for table, contract in ((self.transactions, "transactions"), (self.scores, "fraud_scores")):
            create_or_evolve(spark, table, contracts[contract], contracts)

    def change(self, batch: str, *rows: tuple[str, str | None, float]) -> None:
        """Upserts transactions (id, version, day), or deletes those without a version, in one commit."""
        given = [(number, version, START + timedelta(days=day)) for number, version, day in rows]
        changes = self.spark.createDataFrame(given, "transaction_id string, row_hash string, event_time timestamp")
        columns = [f for f in self.spark.table(self.transactions).schema if f.name not in changes.columns]
        filled = changes.withColumns({f.name: F.lit(None).cast(f.dataType) for f in columns})
        filled = filled.withColumns({"region": F.lit("us-east"), "batch_id": F.lit(batch)})
        op = F.when(F.col("row_hash").isNull(), "D").otherwise("U")
        merge_changes(self.transactions, filled.withColumn("_op", op), ("transaction_id",), "TRUE")

    def run(self, everything: bool = False) -> tuple[list[str], list[str], bool]:
        """What a job does, with made-up scores. Returns what was scored, what was taken out, and whether all
        transactions were compared for that."""
        self.run_number += 1
        transactions, scores = self.spark.table(self.transactions), self.spark.table(self.scores)
        expected = ids(unscored(transactions, scores)), ids(orphans(transactions, scores))
        self.caplog.clear()
        with self.caplog.at_level(logging.INFO):
            work = pending(self.spark, self.transactions, self.scores, everything)
        compared = EVERYTHING in self.caplog.text
        todo = work.transactions.localCheckpoint()
        found = ids(todo), ids(work.gone)
        assert found == expected
        rows = None
        if found[0]:
            made = todo.select(
                "transaction_id",
                F.col("row_hash").alias("transaction_hash"),
                "event_time",
                F.lit(str(self.run_number)).alias("batch_id"),
                F.lit("U").alias("_op"),
            )
            rows = self.spark.table(self.scores).limit(0).unionByName(made, allowMissingColumns=True)
        deleted = settle(self.spark, self.scores, work, rows, replaces=not todo.where("replaces").isEmpty())
        assert deleted == len(found[1])
        current = snapshot_of(self.spark, self.transactions)
        noted = read_snapshots(self.spark, self.scores, SCORED).property
        assert noted == (None if current is None else str(current))
        # However it was found: every version has its score, and no score is left over.
        key = "transaction_id, {}, event_time"
        states = [
            sorted(tuple(row) for row in self.spark.table(table).selectExpr(*key.format(name).split(", ")).collect())
            for table, name in ((self.transactions, "row_hash"), (self.scores, "transaction_hash"))
        ]
        assert states[0] == states[1]
        return *found, compared

    def made_by(self) -> dict[str, str]:
        """The run that made each score."""
        return {row.transaction_id: row.batch_id for row in self.spark.table(self.scores).collect()}


@pytest.fixture
def tables(spark: SparkSession, contracts: Bundle, caplog: pytest.LogCaptureFixture) -> Tables:
    return Tables(spark, contracts, caplog)


def test_a_run_looks_at_what_changed_and_finds_what_a_comparison_of_everything_finds(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.change("a", ("one", "1", 0), ("two", "1", 10), ("three", "1", 40), ("four", "1", 70))
    assert tables.run() == (["four", "one", "three", "two"], [], True)
    assert tables.run() == ([], [], False)
    # New, corrected, moved to another month, gone, and brought again as it was: each in months of its own.
    tables.change("b", ("new", "1", 100), ("one", "2", 0), ("two", "2", 75), ("three", None, 40), ("four", "1", 70))
    assert tables.run() == (["new", "one", "two"], ["three"], False)
    assert tables.made_by() == {"four": "1", "new": "3", "one": "3", "two": "3"}
    # The upkeep of tables between two runs is no change.
    monkeypatch.setattr("securecart.maintenance.SMALL_FILES", 1)
    assert compact(tables.spark, tables.transactions) + compact(tables.spark, tables.scores) > 0
    assert tables.run() == ([], [], False)
    # Two commits between runs, of which one takes back the other; then one that only takes away.
    tables.change("c", ("brief", "1", 5))
    tables.change("d", ("brief", None, 5))
    assert tables.run() == ([], [], False)
    tables.change("e", ("new", None, 100))
    assert tables.run() == ([], ["new"], False)
    tables.change("f", ("again", "1", 100))
    assert tables.run() == (["again"], [], False)
    assert tables.run(everything=True) == ([], [], True)
    tables.change("g", ("again", "2", 5))  # its score lies months after its new time
    assert tables.run() == (["again"], [], False)
    assert tables.made_by() == {"again": "9", "four": "1", "one": "3", "two": "3"}


def test_everything_is_compared_where_the_note_says_nothing_of_the_tables_as_they_are(tables: Tables) -> None:
    assert tables.run() == ([], [], True)  # no transactions yet, so no note
    tables.change("a", ("one", "1", 0), ("two", "1", 10))
    assert tables.run() == (["one", "two"], [], True)
    # Somebody deletes scores to have them made anew.
    tables.spark.sql(f"DELETE FROM {tables.scores} WHERE transaction_id = 'two'")
    assert tables.run() == (["two"], [], True)
    assert tables.run() == ([], [], False)
    # A batch is rolled back in the transactions, and not in the scores.
    before = snapshot_of(tables.spark, tables.transactions)
    tables.change("b", ("three", "1", 20), ("one", "2", 0))
    assert tables.run() == (["one", "three"], [], False)
    catalog, _, name = tables.transactions.partition(".")
    tables.spark.sql(f"CALL {catalog}.system.set_current_snapshot('{name}', {before})")
    assert tables.run() == (["one"], ["three"], True)
    # In both, as `rollback` does it: the scores' older note fits the transactions' older state.
    scores_before = snapshot_of(tables.spark, tables.scores)
    tables.change("c", ("four", "1", 20))
    assert tables.run() == (["four"], [], False)
    tables.spark.sql(f"CALL {catalog}.system.set_current_snapshot('{name}', {before})")
    scores_name = tables.scores.partition(".")[2]
    tables.spark.sql(f"CALL curated.system.set_current_snapshot('{scores_name}', {scores_before})")
    assert tables.run() == ([], [], False)
    tables.change("d", ("five", "1", 20))
    assert tables.run() == (["five"], [], False)
    # The snapshot that the note names has expired.
    tables.change("e", ("six", "1", 30))
    tables.spark.sql(
        f"CALL {catalog}.system.expire_snapshots(table => '{name}', retain_last => 1, "
        "older_than => TIMESTAMP '2999-01-01 00:00:00')"
    )
    assert tables.run() == (["six"], [], True)
    assert tables.run() == ([], [], False)


def test_a_run_that_ends_between_its_scores_and_its_note_is_made_up_for(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.change("a", ("one", "1", 0), ("two", "1", 10))
    tables.run()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    tables.change("b", ("one", "2", 0))
    with monkeypatch.context() as patch:
        patch.setattr("securecart.fraud.pending.set_property", killed)
        with pytest.raises(KeyboardInterrupt):
            tables.run()
    assert tables.made_by() == {"one": "2", "two": "1"}
    assert tables.run() == ([], [], True)
    assert tables.run() == ([], [], False)
