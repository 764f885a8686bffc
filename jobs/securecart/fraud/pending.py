"""What a run of `fraud_score` has to do, and the note that it is done: the transactions that wait for a score, and the
scores whose transaction is gone.

A commit to the scores carries, in its snapshot's summary, the snapshot of the transactions that it made scores
complete for. The next run reads what changed in the transactions since, so a day costs the same however long the
history is. Where there is nothing to go on from, all transactions are compared with all scores: at first, after a
commit by anybody else (scores deleted to have them made anew, a run that ended halfway), and when that snapshot has
expired or was rolled back.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from securecart.snapshots import append, changelog, read_snapshots, set_property
from securecart.tables import merge_changes

log = logging.getLogger(__name__)

#: Snapshot property of the scores: the snapshot of the transactions that all have their scores.
SCORED = "securecart.scored-transactions"

#: A version of a transaction, and where it lies.
VERSION = ("transaction_id", "row_hash", "event_time")


@dataclass(frozen=True)
class Pending:
    """What there is to do.

    ``transactions`` wait for a score: the columns of `VERSION`, and ``replaces``, true where a score of an earlier
    version is there. ``gone`` are rows of the scores whose transaction is no longer there. All scores to replace or
    take out meet ``within``, a SQL condition over ``t``. Once that is done, the scores are complete for the
    transactions' snapshot ``complete``; None when they are already, or there are no transactions.
    """

    transactions: DataFrame
    gone: DataFrame
    within: str
    complete: int | None


def unscored(transactions: DataFrame, scores: DataFrame) -> DataFrame:
    """Transactions without a score of the version they have now, with ``replaces``; see `Pending`."""
    scored = scores.select("transaction_id", F.col("transaction_hash").alias("_hash"), F.lit(True).alias("_scored"))
    # A version without a hash, as rows from before there were hashes, equals no other.
    same = F.coalesce(F.col("_hash") == F.col("row_hash"), F.lit(False))
    joined = transactions.join(scored, "transaction_id", "left").where(~same)
    return joined.withColumn("replaces", F.col("_scored").isNotNull()).drop("_hash", "_scored")


def orphans(transactions: DataFrame, scores: DataFrame) -> DataFrame:
    """Scores whose transaction is gone, as a corrected drop may have it."""
    return scores.join(transactions.select("transaction_id"), "transaction_id", "left_anti")


def pending(spark: SparkSession, transactions: str, scores: str, everything: bool) -> Pending:
    """Finds what there is to do.

    Args:
        spark: the session.
        transactions: the Iceberg table of transactions, ``<catalog>.<database>.<table>``.
        scores: that of the scores.
        everything: compare all transactions with all scores. It finds the same, and sooner where most rows were
            written anew, as a backfill does: a comparison reads keys, what changed is whole rows.
    """
    now, before = read_snapshots(spark, transactions), read_snapshots(spark, scores, SCORED)
    versions, scored = spark.table(transactions).select(*VERSION), spark.table(scores)
    if before.current is None:
        scored = scored.limit(0)  # Spark then knows that there is nothing to join
    if everything or now.current is None or before.property is None or int(before.property) not in now.ancestors:
        log.info("all transactions are compared with all scores")
        return Pending(unscored(versions, scored), orphans(versions, scored), "TRUE", now.current)
    start = int(before.property)
    nothing = Pending(unscored(versions.limit(0), scored.limit(0)), scored.limit(0), "FALSE", None)
    if start == now.current:
        return nothing
    changed = changelog(spark, transactions, start, now.current).select(*VERSION, "_change_type").localCheckpoint()
    # As texts: a timestamp would come to Python in the time zone of its process.
    first, last = (bound("event_time").cast("string") for bound in (F.min, F.max))
    span = changed.agg(first.alias("first"), last.alias("last"), F.count(F.lit(1)).alias("rows")).first()
    assert span is not None
    log.info("%d rows of transactions came or went since snapshot %d", span["rows"], start)
    if span["rows"] == 0:
        return replace(nothing, complete=now.current)
    # A score has its transaction's time, and the row that a change took away tells where it lies.
    within = f"t.event_time BETWEEN TIMESTAMP '{span['first']}' AND TIMESTAMP '{span['last']}'"
    near = scored.alias("t").where(within)
    came, went = (changed.where(F.col("_change_type") == kind) for kind in ("INSERT", "DELETE"))
    touched = near.join(went.select("transaction_id"), "transaction_id", "left_semi")
    return Pending(unscored(came.drop("_change_type"), near), orphans(came, touched), within, now.current)


def settle(spark: SparkSession, scores: str, work: Pending, rows: DataFrame | None, replaces: bool) -> int:
    """Brings new scores into their table, takes those of ``work.gone`` out, and notes what they are complete for.

    The note comes with the scores or after them: where a run ends in between, the next one compares everything.

    Args:
        spark: the session.
        scores: the Iceberg table of the scores.
        work: what `pending` found.
        rows: scores of all its transactions, with the table's columns and ``_op``; None when there are none.
        replaces: whether some of them replace scores that are there.

    Returns:
        How many scores were taken out.
    """
    gone = work.gone.withColumn("_op", F.lit("D")).localCheckpoint()
    deleted = gone.count()
    if rows is not None and not replaces and deleted == 0:
        # Nothing to replace: an append has the same effect as a MERGE, and needs no join.
        append(scores, rows.drop("_op"), SCORED, str(work.complete))
        return 0
    changes = rows if deleted == 0 else gone if rows is None else rows.unionByName(gone)
    if changes is not None:
        merge_changes(scores, changes, ("transaction_id",), "TRUE", work.within)
    if work.complete is not None:
        set_property(spark, scores, SCORED, str(work.complete))
    return deleted
