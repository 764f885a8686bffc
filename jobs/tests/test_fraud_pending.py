"""Which transactions a run scores, and which scores it takes out."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from securecart.fraud_score import orphans, pending


def versions(spark: SparkSession, hash_name: str, **hashes: str | None) -> DataFrame:
    return spark.createDataFrame(list(hashes.items()), f"transaction_id string, {hash_name} string")


def ids(rows: DataFrame) -> list[str]:
    return sorted(row.transaction_id for row in rows.collect())


def test_each_version_of_a_transaction_is_scored_once(spark: SparkSession) -> None:
    transactions = versions(spark, "row_hash", same="a", changed="c", new="d", old_table="e")
    scores = versions(spark, "transaction_hash", same="a", changed="b", gone="a", old_table=None)
    assert ids(pending(transactions, scores)) == ["changed", "new", "old_table"]
    assert ids(orphans(transactions, scores)) == ["gone"]


def test_a_replay_or_backfill_of_the_same_rows_has_nothing_to_score(spark: SparkSession) -> None:
    transactions = versions(spark, "row_hash", one="a", two="b")
    assert ids(pending(transactions, versions(spark, "transaction_hash", one="a", two="b"))) == []
