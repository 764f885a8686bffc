"""Lets the jobs of this driver speak to AWS' services where they do so when deployed: catalog, secrets, traces.

What they do on a laptop in place of that they do too. The services are whatever ``AWS_ENDPOINT_URL`` names (record.ts).
"""

from datetime import datetime, timedelta

import boto3
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart import extract_mysql, maintain, maintenance, partitions
from securecart.errors import JobError
from securecart.fraud import scoring, trace


class Traced(trace.RunFile):
    """Sends the segments, and keeps them in the run's file."""

    def put(self, segments: list[trace.Document]) -> None:
        super().put(segments)
        trace.XRay().put(segments)


connect = extract_mysql.connect


def connect_after_secret(url: str, secret: str | None) -> extract_mysql.Database:
    """Reads the secret; the database of a laptop takes none."""
    connect(url, secret or "mysql")
    return connect(url, None)


expire = maintenance.expire


def expire_young(spark: SparkSession, table: str, older_than: datetime, keep_last: int) -> int:
    """Takes the snapshots, which are minutes old here, for ones of some days ago."""
    return expire(spark, table, older_than + timedelta(days=10), keep_last)


def write_that_fails(spark: SparkSession, table: str) -> None:
    """Appends two rows to a table in one task, which fails when it has written the first."""
    rows = spark.table(table).limit(1)
    name = next(name for name, kind in rows.dtypes if kind == "string")
    value = F.when(F.col("_n") == 1, F.raise_error(F.lit("made to fail"))).otherwise(F.col(name))
    twice = rows.crossJoin(spark.range(0, 2, 1, 1).withColumnRenamed("id", "_n")).coalesce(1)
    # Without a shuffle, so that the first row is written before the second is made.
    writer = twice.withColumn(name, value.cast("string")).drop("_n").writeTo(table)
    try:
        writer.option("distribution-mode", "none").option("fanout-enabled", "true").append()
    except Exception as error:
        if "made to fail" not in str(error):
            raise
        return
    raise JobError(f"the write into {table} did not fail")


def main(argv: list[str]) -> None:
    """Arguments: none to set the driver up, or the table for a write that fails."""
    if argv:
        write_that_fails(SparkSession.active(), argv[0])
        return
    partitions.registry = lambda: partitions.GlueRegistry(boto3.client("glue"))
    trace.RunFile = Traced  # type: ignore[misc]
    extract_mysql.connect = connect_after_secret
    # There is little to keep up in a lake of some minutes, but each kind of it.
    maintenance.SMALL_FILES = 1
    maintain.expire = expire_young  # type: ignore[attr-defined]
    # Whatever is scored is worth an alert, for a small sample has no transaction that is.
    scoring.ALERT_PROBABILITY = 0.0
