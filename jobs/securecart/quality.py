"""The quality gate: judges a batch's candidates before anything is published.

A dataset fails when the share of its quarantined records passes the contract's ``maxFailedShare``, when a share that
large of its objects was refused, or when a critical dataset rule is broken. Warnings are reported and let the run go
on. Freshness is such a rule: the newest record of a table may be as old, when the run is planned, as the contract's
``latency`` says.
"""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from securecart import lake
from securecart.contract import Contract
from securecart.lake import Job
from securecart.objects import exists
from securecart.rules import dataset_checks, run_dataset_checks
from securecart.tables import table_schema

log = logging.getLogger(__name__)

PARALLEL_TABLES = 4

#: Kinds of sources that this pipeline's batches read; a stream's tables are watched where the stream runs.
_BATCH_KINDS = {"mysql", "dynamodb", "csv"}


def shares(name: str, counts: dict[str, Any], refused: list[dict[str, Any]], objects: int, limit: float) -> list[str]:
    """Reasons for which a dataset fails because too much of it was rejected; empty when it passes."""
    reasons = []
    rejected = sum(counts["quarantined"].values())
    if counts["read"] and rejected / counts["read"] > limit:
        worst = max(counts["quarantined"], key=counts["quarantined"].__getitem__)
        reasons.append(
            f"{name}: {rejected} of {counts['read']} records ({rejected / counts['read']:.1%}) were quarantined, more "
            f"than maxFailedShare {limit:.1%} allows; most often {worst}. See the quarantine for the records, correct "
            "the source and run again."
        )
    if objects and len(refused) / objects > limit:
        what = "; ".join(f"{r['object']}: {r['reason']}: {r['detail']}" for r in refused[:5])
        reasons.append(f"{name}: {len(refused)} of {objects} objects were refused. {what}")
    return reasons


def _looked_up(job: Job, batch_tables: set[str], reference: str) -> DataFrame | None:
    """The rows that a reference may name: the table's and this batch's."""
    if reference not in job.contracts.contracts:
        return None
    contract = job.contracts[reference]
    known = job.spark.table(job.lake.table(contract)).select(*contract.keys)
    if reference in batch_tables:
        fresh = job.spark.read.parquet(job.lake.candidates(reference, job.batch_id))
        known = known.unionByName(fresh.filter(F.col("_op") == "U").select(*contract.keys))
    return known.distinct()


def judge_table(job: Job, table: Contract, batch_tables: set[str]) -> list[dict[str, Any]]:
    """Evaluates the dataset rules of one table on its candidates."""
    schema = table_schema(table, job.contracts).add("_op", "string")
    candidates = job.spark.read.schema(schema).parquet(job.lake.candidates(table.name, job.batch_id))
    candidates = candidates.filter(F.col("_op") == "U")
    if candidates.isEmpty():
        return []
    wanted = {c.references[0] for c in table.columns if c.references}
    references = {name: df for name in wanted if (df := _looked_up(job, batch_tables, name)) is not None}
    results = run_dataset_checks(candidates, dataset_checks(table, set(references)), references)
    return [{"dataset": table.name, **r} for r in results]


def newest_record(job: Job, table: Contract, batch_tables: set[str]) -> datetime | None:
    """When the newest record of a table happened, this batch's candidates included; None while there is none.

    Without an event time it is the newest version: a database's own time of change, or when the drop arrived.
    """
    time = F.max(F.col(table.event_time or "version_at").cast("timestamp"))
    found = [job.spark.table(job.lake.table(table)).agg(time).first()]
    if table.name in batch_tables:
        schema = table_schema(table, job.contracts).add("_op", "string")
        candidates = job.spark.read.schema(schema).parquet(job.lake.candidates(table.name, job.batch_id))
        found.append(candidates.filter("_op = 'U'").agg(time).first())
    return max((row[0] for row in found if row is not None and row[0] is not None), default=None)


def freshness(table: Contract, newest: datetime | None, planned_at: datetime) -> dict[str, Any] | None:
    """Whether a dataset is as fresh as its contract promises, in the form of a rule's result; None without a promise.

    Args:
        newest: when its newest record happened, UTC without a zone as Spark hands it out.
        planned_at: the time of the run's plan, to which the age is measured.
    """
    if table.latency is None or newest is None:
        return None
    age = planned_at.astimezone(UTC).replace(tzinfo=None) - newest
    return {
        "dataset": table.name,
        "rule": "freshness",
        "passed": age <= table.latency.limit,
        "severity": "critical" if table.latency.regulatory else "warning",
        "metrics": {
            "newest": newest.isoformat(),
            "age_hours": round(age.total_seconds() / 3600, 1),
            "promised_hours": round(table.latency.limit.total_seconds() / 3600, 1),
        },
    }


def judge_freshness(job: Job, batch_tables: set[str]) -> list[dict[str, Any]]:
    """The freshness of every table that batches feed, also of those for which this run brought nothing.

    A backfill or a replay brings old records by intent and is not judged.
    """
    if job.plan.get("mode") != "incremental" or "created_at" not in job.plan:
        return []
    planned_at = datetime.fromisoformat(job.plan["created_at"])
    sources = (s for s in job.contracts.contracts.values() if s.source and s.source.get("kind") in _BATCH_KINDS)
    names = {s.feeds for s in sources}
    fed = [t for t in job.contracts.tables if t.latency is not None and t.name in names]
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        newest = pool.map(lambda t: newest_record(job, t, batch_tables), fed)
        judged = [freshness(t, time, planned_at) for t, time in zip(fed, newest, strict=True)]
    return [result for result in judged if result is not None]


def main(argv: list[str]) -> None:
    """Judges the batch and writes ``quality.json`` with the verdict and its reasons."""
    job = lake.start("quality", argv)
    cleaned = job.read_run_file("clean")["datasets"]
    # A plan without drops has no such file, and S3 answers a right to see but not to list with "denied".
    dropped = exists(job.lake.run_file(job.batch_id, "csv_to_parquet"))
    scanned = job.read_run_file("csv_to_parquet")["datasets"] if dropped else {}
    planned = {e["dataset"]: len(e["objects"]) for e in job.plan["extracts"] if e["kind"] == "csv"}
    reasons: list[str] = []
    for name, counts in cleaned.items():
        contract = job.contracts[name]
        limit = job.contracts[contract.feeds].max_failed_share
        refused = scanned.get(name, {}).get("refused", [])
        reasons += shares(name, counts, refused, planned.get(name, 0), limit)
    tables = {job.contracts[name].feeds for name in cleaned}
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        judged = pool.map(lambda t: judge_table(job, job.contracts[t], tables), sorted(tables))
        results = [r for rules in judged for r in rules]
    results += judge_freshness(job, tables)
    for result in results:
        if not result["passed"]:
            words = f"{result['dataset']}: rule {result['rule']} failed: {result['metrics']}"
            log.warning(words)
            if result["severity"] == "critical":
                reasons.append(words)
    verdict = "FAIL" if reasons else "PASS"
    job.write_metrics({}, verdict=verdict, reasons=reasons, rules=results)


if __name__ == "__main__":
    main(sys.argv[1:])
