"""Scores the transactions that have no score yet, and those that changed since, into curated.fraud_scores.

A score is a decision on one version of a transaction, made on what was known then, and it is made once: neither what
arrives later nor a replay or a backfill of the same rows changes it. To have days scored again, delete their scores;
the next run makes them up.

With a champion in the lake the model scores, without one the rules do, and each row says which. The rules also step in
for a champion that reads other features than this code computes: transactions go on being scored after a deployment
that changed the features, and the log and the run's metrics say so until a training has made a new champion.

The features of a day are computed from that day and the `LOOKBACK_DAYS` days before it, however long the history is.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from datetime import datetime
from typing import Any, Protocol

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from securecart import lake
from securecart.fraud.features import LOOKBACK_DAYS, features
from securecart.fraud.inputs import arguments, labels_of, transactions_of
from securecart.fraud.model import OtherFeaturesError
from securecart.fraud.pending import pending, settle
from securecart.fraud.registry import Registry
from securecart.fraud.scoring import RULES_REVIEW_THRESHOLD, by_model, by_rules, decided
from securecart.fraud.trace import Trace, traced
from securecart.fraud.transactions import on_days
from securecart.objects import write_text

log = logging.getLogger(__name__)

SCORES = "fraud_scores"
#: Transactions that an alert names; the table holds all.
NAMED_IN_ALERT = 20


class Alerts(Protocol):
    """Where people hear of transactions that cannot wait."""

    def publish(self, subject: str, message: str) -> None:
        """Sends one message."""


class Topic:
    """An SNS topic."""

    def __init__(self, arn: str) -> None:
        import boto3

        self.arn = arn
        self.client = boto3.client("sns", region_name=arn.split(":")[3])

    def publish(self, subject: str, message: str) -> None:
        self.client.publish(TopicArn=self.arn, Subject=subject, Message=message)


def fraud_score(job: lake.Job, trace: Trace) -> dict[str, Any]:
    """Scores what is pending.

    Returns:
        Counts (scored, deleted, review, alerts), the method, and in ``unusable_champion`` the version of a champion
        that reads other features, in whose place the rules scored (else None).
    """
    contract = job.contracts[SCORES]
    table, source = job.lake.table(contract), job.lake.table(job.contracts["transactions"])
    unusable = None
    try:
        champion = Registry(job.lake.curated).champion()
    except OtherFeaturesError as error:
        champion, unusable = None, error.version
        log.error("FRAUD SCORES COME FROM RULES: %s", error)
    with trace.stage("read") as notes:
        work = pending(job.spark, source, table, everything=job.plan.get("mode") == "backfill")
        todo = work.transactions.persist()
        found = todo.agg(
            F.count(F.lit(1)).alias("rows"),
            F.count(F.when(F.col("replaces"), 1)).alias("replaced"),
            # As texts: a timestamp would come to Python in the time zone of its process.
            F.date_sub(F.to_date(F.min("event_time")), LOOKBACK_DAYS).cast("string").alias("first"),
            F.to_date(F.max("event_time")).cast("string").alias("last"),
        ).first()
        assert found is not None
        notes["rows"] = found["rows"]
    counts: dict[str, Any] = {"scored": 0, "deleted": 0, "review": 0, "alerts": 0}
    counts |= {"method": "rules" if champion is None else "model", "unusable_champion": unusable}
    rows = None
    if found["rows"] > 0:
        with trace.stage("features") as notes:
            history = on_days(job.spark.table(source), found["first"], found["last"])
            labels = labels_of(job)
            featured = features(transactions_of(job, history, labels)).join(
                todo.select("transaction_id"), "transaction_id", "left_semi"
            )
            # Computed here and not with the scores, so that the trace says what takes the time.
            featured = featured.localCheckpoint()
            notes["rows"] = found["rows"]
        with trace.stage("score") as notes:
            if champion is None:
                rows = decided(by_rules(featured), RULES_REVIEW_THRESHOLD, "rules", None)
            else:
                scored = by_model(featured, champion)
                rows = decided(scored, champion.review_threshold, "model", champion.about["version"])
            versions = todo.select("transaction_id", F.col("row_hash").alias("transaction_hash"))
            rows = rows.join(versions, "transaction_id")
            counted = Observation()
            rows = rows.observe(
                counted,
                F.count(F.lit(1)).alias("scored"),
                F.count(F.when(F.col("decision") == "review", 1)).alias("review"),
                F.count(F.when(F.col("alert"), 1)).alias("alerts"),
            ).localCheckpoint()
            counts |= {name: int(counted.get[name]) for name in ("scored", "review", "alerts")}
            notes["rows"] = counts["scored"]
            rows = rows.withColumns(
                {"version_at": F.lit(job.started_at), "batch_id": F.lit(job.batch_id), "_op": F.lit("U")}
            )
    # Before the scores are there: a repeated try of a run that ends in between scores and alerts again. Afterwards it
    # would find all scored, and nobody would hear.
    if counts["alerts"] > 0 and rows is not None:
        _alert(job, rows, counts)
    with trace.stage("write") as notes:
        counts["deleted"] = settle(job.spark, table, work, rows, replaces=found["replaced"] > 0)
        notes["rows"] = counts["scored"] + counts["deleted"]
    todo.unpersist()
    return counts


def _alert(job: lake.Job, rows: DataFrame, counts: dict[str, Any]) -> None:
    """Writes the alert of a batch beside the scores and, where there is a topic, sends it.

    A message that cannot be sent fails the job, and a repeated try sends it: every alert is sent at least once.
    """
    worst = rows.where("alert").orderBy(F.desc("probability"), "transaction_id").limit(NAMED_IN_ALERT)
    named = worst.select("transaction_id", "customer_id", "probability", "reasons")
    told = {name: count for name, count in counts.items() if name != "deleted"}
    message = json.dumps(
        {"batch": job.batch_id, **told, "highest": [row.asDict() for row in named.collect()]}, indent=1
    )
    write_text(f"s3://{job.lake.curated}/fraud/alerts/batch={job.batch_id}.json", message)
    topic = job.options.alert_topic
    if topic:
        alerts: Alerts = Topic(topic)
        alerts.publish(f"SecureCart: {counts['alerts']} transactions with high fraud risk", message)


def main(argv: list[str]) -> None:
    """Arguments: those of `inputs.arguments`, and ``--alert-topic`` (ARN of an SNS topic for high risks).

    Contracts without fraud_scores (a user's own) leave nothing to score.
    """
    parser = argparse.ArgumentParser(add_help=False, parents=[arguments()])
    parser.add_argument("--alert-topic")
    job = lake.start("fraud_score", argv, parser)
    if SCORES not in job.contracts.contracts:
        job.write_metrics({})
        return
    asked = job.options.submitted_at
    submitted = datetime.fromisoformat(asked).timestamp() if asked else None
    file = job.lake.run_file(job.batch_id, "fraud_score-trace")
    with traced("fraud_score", job.options.trace_header, file, submitted, batch=job.batch_id) as trace:
        counts = fraud_score(job, trace)
        trace.segment["annotations"] |= {"rows": counts["scored"], "method": counts["method"]}
    log.info("%s", counts)
    job.write_metrics({SCORES: counts})


if __name__ == "__main__":
    main(sys.argv[1:])
