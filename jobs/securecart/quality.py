"""The quality gate: judges a batch's candidates before anything is published.

A dataset fails when the share of its quarantined records passes the contract's ``maxFailedShare``, when a share that
large of its objects was refused, or when a critical dataset rule is broken. Warnings are reported and let the run go
on.
"""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from securecart import lake
from securecart.contract import Contract
from securecart.lake import Job
from securecart.rules import dataset_checks, run_dataset_checks
from securecart.tables import table_schema

log = logging.getLogger(__name__)

PARALLEL_TABLES = 4


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


def main(argv: list[str]) -> None:
    """Judges the batch and writes ``quality.json`` with the verdict and its reasons."""
    job = lake.start("quality", argv)
    cleaned = job.read_run_file("clean")["datasets"]
    try:
        scanned = job.read_run_file("csv_to_parquet")["datasets"]
    except FileNotFoundError:
        scanned = {}  # the plan had no drops
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
