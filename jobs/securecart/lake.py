"""Where things are in the lake, and the arguments that every job takes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pyspark.sql import SparkSession

from securecart.contract import Bundle, Contract, load_bundle
from securecart.errors import JobError
from securecart.objects import read_text, write_text


@dataclass(frozen=True)
class Lake:
    """Bucket names by zone and database names by catalog."""

    landing: str
    staging: str
    curated: str
    quarantine: str
    artifacts: str
    staging_db: str
    curated_db: str

    def table(self, contract: Contract) -> str:
        """The Iceberg table of a contract: ``<catalog>.<database>.<table>``."""
        database = self.staging_db if contract.zone == "staging" else self.curated_db
        return f"{contract.zone}.{database}.{contract.name}"

    def landing_batch(self, dataset: str, batch_id: str) -> str:
        return f"s3://{self.landing}/batches/{dataset}/batch={batch_id}/"

    def recipe_folder(self, dataset: str, side: str) -> str:
        """What a DataBrew recipe job reads (``in``) or writes (``out``)."""
        return f"s3://{self.landing}/recipes/{dataset}/{side}/"

    def candidates(self, table: str, batch_id: str) -> str:
        """Rows of a batch that passed cleaning and wait to be published."""
        return f"s3://{self.staging}/candidates/{table}/batch={batch_id}/"

    def rejected(self, dataset: str, batch_id: str) -> str:
        return f"s3://{self.quarantine}/records/dataset={dataset}/batch={batch_id}/"

    def run_file(self, batch_id: str, name: str) -> str:
        return f"s3://{self.staging}/runs/{batch_id}/{name}.json"


#: Settings that the jobs' results or their planning depend on, so every session gets them, wherever it was started.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",  # a value that cannot be read becomes null and then a reason, not an abort
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    # Derived columns over derived columns make the optimizer's constraints grow exponentially: minutes of planning for
    # a wide table (SPARK-19846). What it would infer, filters on nulls before joins, the jobs state themselves.
    "spark.sql.constraintPropagation.enabled": "false",
}


@dataclass(frozen=True)
class Job:
    """What a job starts with: its Spark session, the lake, the contracts, the plan and its own arguments."""

    name: str
    spark: SparkSession
    lake: Lake
    contracts: Bundle
    plan: Mapping[str, Any]
    batch_id: str
    options: argparse.Namespace
    started_at: datetime

    @property
    def before_file(self) -> str:
        """Where publishing notes the snapshots to go back to. A replay has a plan, and so a note, of its own."""
        if not self.options.plan:
            raise JobError(f"{self.name} needs --plan s3://… of the run")
        return self.lake.run_file(self.batch_id, f"before-{PurePosixPath(self.options.plan).stem}")

    def write_metrics(self, datasets: Mapping[str, Any], **more: Any) -> None:
        """Writes the step's metrics where the verdict and the run's summary read them."""
        metrics = {
            "step": self.name,
            "started_at": self.started_at.isoformat(),
            "ended_at": datetime.now(UTC).isoformat(),
            "datasets": datasets,
            **more,
        }
        write_text(self.lake.run_file(self.batch_id, self.name), json.dumps(metrics, indent=1))

    def read_run_file(self, name: str) -> Any:
        return json.loads(read_text(self.lake.run_file(self.batch_id, name)))


def start(name: str, argv: list[str], extra: argparse.ArgumentParser | None = None) -> Job:
    """Parses a job's arguments and opens its session.

    Args:
        name: the job's name, also of its metrics file.
        argv: arguments as Glue passes them; those of other parties (``--JOB_NAME`` …) are left alone.
        extra: a parser (``add_help=False``) with the job's own arguments.
    """
    parser = argparse.ArgumentParser(prog=name, parents=[extra] if extra else [], allow_abbrev=False)
    for bucket in ("landing", "staging", "curated", "quarantine", "artifacts"):
        parser.add_argument(f"--{bucket}", required=True, help=f"bucket of the {bucket} zone")
    parser.add_argument("--staging-db", required=True)
    parser.add_argument("--curated-db", required=True)
    parser.add_argument("--quarantine-db", default="", help="database of the quarantine's table, in the Glue catalog")
    parser.add_argument("--contracts", required=True, help="s3://…/contracts.json")
    parser.add_argument("--plan", help="s3://… of the run's plan")
    parser.add_argument("--batch-id", default="")
    options, _ = parser.parse_known_args(argv)
    session = _session(name)
    for key, value in SETTINGS.items():
        session.conf.set(key, value)
    lake = Lake(
        landing=options.landing,
        staging=options.staging,
        curated=options.curated,
        quarantine=options.quarantine,
        artifacts=options.artifacts,
        staging_db=options.staging_db,
        curated_db=options.curated_db,
    )
    plan = json.loads(read_text(options.plan)) if options.plan else {}
    return Job(
        name=name,
        spark=session,
        lake=lake,
        contracts=load_bundle(options.contracts),
        plan=plan,
        batch_id=options.batch_id or plan.get("batch_id", ""),
        options=options,
        started_at=datetime.now(UTC),
    )


def _session(name: str) -> SparkSession:
    """The running session: the local driver's, or on Glue the one of a GlueContext, where job metrics begin."""
    try:
        from awsglue.context import GlueContext
    except ImportError:
        return SparkSession.builder.appName(name).getOrCreate()
    from pyspark import SparkContext

    session: SparkSession = GlueContext(SparkContext.getOrCreate()).spark_session
    return session
