"""The clickstream job as tests run it: on a folder of files of records, tables empty at first."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart import clickstream, migrate
from securecart.objects import read_text
from securecart.stream_progress import NAME, Counts
from spark_session import BUCKETS
from tests.clicks import Record, write_file
from tests.support import job_arguments

T0 = datetime(2026, 3, 9, 23, 40, tzinfo=UTC)
LANDING = BUCKETS["landing"]


class Stream:
    """The job, its folder of records and its tables, empty at first."""

    def __init__(self, spark: SparkSession, lake_root: Path, bundle_uri: str, name: str) -> None:
        self.spark = spark
        self.folder = lake_root / LANDING / "streams" / name
        self.folder.mkdir(parents=True)
        self.files = 0
        self.checkpoint = f"s3://{LANDING}/checkpoints/{name}"
        self.arguments = [*job_arguments(bundle_uri), "--stream-folder", f"s3://{LANDING}/streams/{name}"]
        self.arguments += ["--available-now", "--files-a-batch", "1"]
        migrate.main(job_arguments(bundle_uri))
        for table in clickstream.TABLES:
            spark.sql(f"DELETE FROM curated.lake.{table}")
        (lake_root / LANDING / NAME).unlink(missing_ok=True)

    def send(self, *records: Record) -> None:
        """One micro-batch."""
        write_file(self.folder, self.files, records)
        self.files += 1

    def run(self, *more: str) -> Counts:
        """Reads what was sent. Returns the totals so far."""
        clickstream.main([*self.arguments, "--checkpoint", self.checkpoint, *more])
        document = json.loads(read_text(f"s3://{LANDING}/{NAME}"))
        assert document["total"]["received"] == Counts.read(document["total"]).accounted
        return Counts.read(document["total"])

    def table(self, name: str) -> list[dict[str, Any]]:
        """Rows without the columns that say when they were written."""
        rows = self.spark.table(f"curated.lake.{name}").drop("version_at", "batch_id")
        return sorted((r.asDict() for r in rows.collect()), key=lambda r: json.dumps(r, default=str, sort_keys=True))

    def sessions(self) -> list[tuple[str, int, int]]:
        """(user, start in minutes since T0, events)."""
        rows = self.spark.table("curated.lake.sessions").withColumn("s", F.unix_timestamp("started_at")).collect()
        return sorted((r["user_id"], (r["s"] - int(T0.timestamp())) // 60, r["event_count"]) for r in rows)

    def quarantine(self) -> dict[str, str]:
        """Raw records by reason; one of each."""
        rows = self.spark.read.parquet(f"s3://{BUCKETS['quarantine']}/records/dataset=clickstream/").collect()
        return {r["reason"]: r["raw_record"] for r in rows}
