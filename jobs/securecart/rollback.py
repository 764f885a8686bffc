"""Brings every table back to the snapshot it had before a failed batch was published."""

from __future__ import annotations

import json
import logging
import sys

from securecart import lake
from securecart.objects import exists, read_text
from securecart.tables import snapshot_of

log = logging.getLogger(__name__)


def main(argv: list[str]) -> None:
    """Rolls back the tables that the run of ``--plan`` published; does nothing when it had not begun to."""
    job = lake.start("rollback", argv)
    if not exists(job.before_file):
        log.info("batch %s had not begun to publish", job.batch_id)
        job.write_metrics({})
        return
    before = json.loads(read_text(job.before_file))
    done = {}
    for table, snapshot in before.items():
        if snapshot_of(job.spark, table) == snapshot:
            continue
        catalog, _, name = table.partition(".")
        if snapshot is None:
            # The table was empty and had no snapshot: an empty one is what it can go back to.
            job.spark.sql(f"DELETE FROM {table}")
        else:
            job.spark.sql(f"CALL {catalog}.system.set_current_snapshot('{name}', {snapshot})")
        done[table] = {"snapshot": snapshot}
        log.info("%s is back at snapshot %s", table, snapshot)
    job.write_metrics(done)


if __name__ == "__main__":
    main(sys.argv[1:])
