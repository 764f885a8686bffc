"""Upkeep of the tables that runs write: what is no longer needed is deleted, and small files become large ones.

A row that was replaced or deleted lives on in earlier snapshots, and so does a customer who asked to be forgotten.
What tables were more than ``--keep-days`` ago is deleted here, and so are files that broken writes left. On AWS a
deleted object is kept as a noncurrent version for some days more (the bucket's lifecycle).

The workflow runs this once a day, after the load and under the run's lease, so nothing else writes these tables. The
run may still be taken back until it is committed: what its tables were when it began is among what stays. The stream's
tables have an upkeep of their own (`clickstream`).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from securecart import lake
from securecart.errors import JobError
from securecart.maintenance import YOUNGEST_ORPHANS, compact, expire, remove_orphans
from securecart.snapshots import read_snapshots

log = logging.getLogger(__name__)

PARALLEL_TABLES = 4

#: Of a table that does not change the newest state alone is kept, however old: it is the table.
KEEP_LAST = 1


def clean_up(job: lake.Job, table: str, keep: timedelta) -> dict[str, int]:
    """Deletes what is no longer needed. Returns how many snapshots expired and how many orphan files went."""
    since = job.started_at - keep
    return {
        "expired": expire(job.spark, table, since, KEEP_LAST),
        "orphans": remove_orphans(job.spark, table, since),
    }


def maintain(job: lake.Job, tables: Mapping[str, str], keep: timedelta) -> dict[str, dict[str, int]]:
    """Keeps tables up.

    Args:
        job: the running job.
        tables: full names by contract.
        keep: how long what the tables were stays readable.

    Returns:
        By contract how many snapshots ``expired``, how many ``orphans`` (files) went, and how many small files were
        ``compacted``.
    """
    used = {name: table for name, table in tables.items() if read_snapshots(job.spark, table).current is not None}
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        # First of all tables what people were promised; compaction, which may take long, is for speed alone.
        cleaned = list(pool.map(lambda table: clean_up(job, table, keep), used.values()))
        compacted = list(pool.map(lambda table: compact(job.spark, table), used.values()))
    return {name: counts | {"compacted": files} for name, counts, files in zip(used, cleaned, compacted, strict=True)}


def main(argv: list[str]) -> None:
    """Arguments: ``--keep-days``, how long what tables were stays readable (default 7); ``--batch-id``, or the
    ``--plan`` of a run, under which the metrics are kept.

    Raises:
        JobError: for fewer days than Iceberg allows, or without a batch.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--keep-days", type=float, default=7)
    job = lake.start("maintain", argv, parser)
    if not job.batch_id:
        raise JobError("maintain needs --batch-id, or the --plan of a run: its metrics are kept under that name")
    keep = timedelta(days=job.options.keep_days)
    if keep < YOUNGEST_ORPHANS:
        raise JobError(
            f"--keep-days {job.options.keep_days:g}: must be at least {YOUNGEST_ORPHANS.days}, since younger files may "
            "belong to a write that is still on"
        )
    tables = {c.name: job.lake.table(c) for c in job.contracts.tables if c.writer == "batch"}
    metrics = maintain(job, tables, keep)
    for name, counts in metrics.items():
        log.info("%s: %s", name, counts)
    job.write_metrics(metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
