"""Upkeep of the tables that runs write: small files become large ones, and what is no longer needed is deleted.

A row that was replaced or deleted lives on in earlier snapshots, and so does a customer who asked to be forgotten.
Snapshots older than ``--keep-days`` are expired here, with the files that only they need; so are files that broken
writes left. On AWS a deleted object is kept as a noncurrent version for some days more (the bucket's lifecycle).

The workflow runs this once a day, after the load and under the run's lease: nothing else writes these tables then,
and no rollback needs their earlier snapshots any more. The stream's tables have their own upkeep (`clickstream`).
"""

from __future__ import annotations

import argparse
import logging
import sys
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


def maintain_table(job: lake.Job, table: str, keep: timedelta) -> dict[str, int]:
    """Returns how many small files were compacted, how many snapshots expired and how many orphan files went."""
    if read_snapshots(job.spark, table).current is None:
        return {"compacted": 0, "expired": 0, "orphans": 0}
    older_than = job.started_at - keep
    counts = {
        "compacted": compact(job.spark, table),
        "expired": expire(job.spark, table, older_than, KEEP_LAST),
        "orphans": remove_orphans(job.spark, table, older_than),
    }
    log.info("%s: %s", table, counts)
    return counts


def main(argv: list[str]) -> None:
    """Argument: ``--keep-days``, how long what tables were stays readable (default 7).

    Raises:
        JobError: for fewer days than Iceberg allows.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--keep-days", type=float, default=7)
    job = lake.start("maintain", argv, parser)
    keep = timedelta(days=job.options.keep_days)
    if keep < YOUNGEST_ORPHANS:
        raise JobError(
            f"--keep-days {job.options.keep_days:g}: must be at least {YOUNGEST_ORPHANS.days}, since younger files may "
            "belong to a write that is still on"
        )
    names = [contract.name for contract in job.contracts.tables if contract.writer == "batch"]
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        found = pool.map(lambda n: maintain_table(job, job.lake.table(job.contracts[n]), keep), names)
        job.write_metrics(dict(zip(names, found, strict=True)))


if __name__ == "__main__":
    main(sys.argv[1:])
