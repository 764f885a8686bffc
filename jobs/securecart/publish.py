"""Publishes a batch: its candidates are merged into the tables, one commit each.

Before the first commit the job notes the snapshot of every table that the batch may change, so that `rollback` can
bring all of them back when a later step fails.
"""

from __future__ import annotations

import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from securecart import lake
from securecart.contract import Contract
from securecart.lake import Job
from securecart.objects import exists, write_text
from securecart.tables import merge_changes, snapshot_of, table_schema

log = logging.getLogger(__name__)

PARALLEL_TABLES = 4

#: What the cleaning settled against the table holds while the table has no newer row, as it may when an old batch is
#: published again.
GUARD = "c._over >= t.version_at"


def note_snapshots(job: Job) -> None:
    """Writes the snapshot of every table that runs write, null for a table without one, to `Job.before_file`.

    A repeated try of the same run finds the note of the first one and leaves it: what it sees now may be half done.
    """
    if exists(job.before_file):
        return
    # The stream goes on beside a run: taking back the run must not take back what the stream committed meanwhile.
    tables = [job.lake.table(c) for c in job.contracts.tables if c.writer == "batch"]
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        snapshots = dict(zip(tables, pool.map(lambda t: snapshot_of(job.spark, t), tables), strict=True))
    write_text(job.before_file, json.dumps(snapshots))


def publish_table(job: Job, contract: Contract) -> dict[str, Any]:
    """Merges one table's candidates. Returns how many rows were upserted and deleted."""
    schema = table_schema(contract, job.contracts).add("_over", "timestamp").add("_op", "string")
    candidates = job.spark.read.schema(schema).parquet(job.lake.candidates(contract.name, job.batch_id))
    counts = {r["_op"]: r["count"] for r in candidates.groupBy("_op").count().collect()}  # reads that column alone
    table = job.lake.table(contract)
    if counts:
        # Into an empty table an append has the same effect, and needs no join.
        if snapshot_of(job.spark, table) is None and "D" not in counts:
            candidates.drop("_over", "_op").writeTo(table).append()
        else:
            merge_changes(table, candidates, contract.keys, GUARD)
    return {"upserted": counts.get("U", 0), "deleted": counts.get("D", 0)}


def main(argv: list[str]) -> None:
    """Publishes every table that the plan's datasets feed."""
    job = lake.start("publish", argv)
    fed = sorted({job.contracts[entry["dataset"]].feeds for entry in job.plan["landing"]})
    note_snapshots(job)
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        results = dict(zip(fed, pool.map(lambda t: publish_table(job, job.contracts[t]), fed), strict=True))
    for name, counts in results.items():
        log.info("%s: %s", name, counts)
    job.write_metrics(results)


if __name__ == "__main__":
    main(sys.argv[1:])
