"""Makes and evolves the lake's Iceberg tables from the contracts; run at deployment and before a local run.

The deployment program owns the databases; tables belong to this job alone, because a table that two parties update
loses its ``metadata_location``.
"""

from __future__ import annotations

import logging
import sys

from securecart import lake
from securecart.tables import create_or_evolve

log = logging.getLogger(__name__)


def main(argv: list[str]) -> None:
    """Creates missing tables and adds missing columns. Does nothing when all is as the contracts say."""
    job = lake.start("migrate", argv)
    for contract in job.contracts.tables:
        for done in create_or_evolve(job.spark, job.lake.table(contract), contract, job.contracts):
            log.info(done)


if __name__ == "__main__":
    main(sys.argv[1:])
