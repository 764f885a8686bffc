"""Extracts MySQL tables into landing batches over JDBC, each up to the bound that the plan fixed.

A table is read incrementally by its watermark column, ``from < watermark <= to``; ``from`` lies a little before the
last run's bound, so that rows committed late with an older time are found (the overlap's repetitions are recognised
as already loaded). Rows deleted at the source leave no trace there: a reconciliation also reads the surrogate keys
of the whole table, and the cleaning job deletes rows that came from one that is no longer there.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart import lake
from securecart.contract import Contract
from securecart.errors import JobError
from securecart.landing import landing_schema, write_batch
from securecart.recipe_input import stage_recipe_input

log = logging.getLogger(__name__)

#: Rows that one JDBC read fetches; a larger table is read in parallel parts of about this size.
ROWS_PER_PART = 250_000


@dataclass(frozen=True)
class Database:
    """How to reach the source database."""

    url: str
    properties: Mapping[str, str]

    def read(self, spark: SparkSession, query: str, **options: str) -> DataFrame:
        reader = spark.read.format("jdbc").options(url=self.url, dbtable=f"({query}) q", **options)
        return reader.options(**self.properties).load()


def connect(url: str, secret: str | None) -> Database:
    """A database from its JDBC URL and the name of the Secrets Manager secret with ``username`` and ``password``."""
    if secret is None:
        return Database(url, {})
    import boto3

    value = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
    return Database(
        url,
        {
            "user": value["username"],
            "password": value["password"],
            # The server's certificate is checked; times go over the wire in UTC, whatever the server's zone.
            "sslMode": "VERIFY_IDENTITY",
            "connectionTimeZone": "UTC",
            "forceConnectionTimeZoneToSession": "true",
        },
    )


def changed_rows_query(contract: Contract, extract: Mapping[str, Any], columns: str) -> str:
    """The rows of one extraction. The JDBC escape ``{ts '…'}`` is read by every driver alike."""
    watermark = extract["watermark_column"]
    bound = f"{watermark} <= {_timestamp(extract['to'])}"
    if extract["from"] is not None:
        bound = f"{watermark} > {_timestamp(extract['from'])} AND {bound}"
    return f"SELECT {columns} FROM {extract['table']} WHERE {bound}"


def _timestamp(iso: str) -> str:
    """An ISO 8601 UTC time as a JDBC timestamp literal with microseconds."""
    text = iso.replace("T", " ").removesuffix("Z").removesuffix("+00:00")
    return f"{{ts '{text}'}}"


def _as_text(name: str, kind: T.DataType) -> Any:
    if isinstance(kind, T.TimestampType):
        return F.date_format(name, "yyyy-MM-dd HH:mm:ss.SSSSSS")
    return F.col(name).cast("string")


def extract_rows(spark: SparkSession, database: Database, contract: Contract, extract: Mapping[str, Any]) -> DataFrame:
    """The changed rows of one table in landing form.

    The read is split over the contract's ``partitionColumn``, a dense number, into parts of about ROWS_PER_PART.
    """
    if contract.source is None:
        raise JobError(f"contract '{contract.name}' has no source to extract from")
    columns = ", ".join(c.source_name for c in contract.columns)
    query = changed_rows_query(contract, extract, columns)
    split = str(contract.source["partitionColumn"])
    bounds = changed_rows_query(contract, extract, f"MIN({split}) lo, MAX({split}) hi, COUNT(*) n")
    found = database.read(spark, bounds).first()
    count = int(found[2]) if found is not None else 0
    parts = max(1, -(-count // ROWS_PER_PART))
    options: dict[str, str] = {"fetchsize": "10000"}
    if parts > 1 and found is not None:
        options |= {"partitionColumn": split, "lowerBound": str(found[0]), "upperBound": str(found[1])}
        options |= {"numPartitions": str(parts)}
    rows = database.read(spark, query, **options)
    kinds = {f.name.lower(): f.dataType for f in rows.schema}
    named = rows.toDF(*[c.lower() for c in rows.columns])
    # MySQL's TINYINT(1) and Derby's BOOLEAN both arrive as booleans and are written as true and false.
    texts = [_as_text(c.source_name.lower(), kinds[c.source_name.lower()]).alias(c.name) for c in contract.columns]
    return named.select(*texts).select(
        "*",
        F.lit(f"mysql://{extract['table']}").alias("_object"),
        F.col(split).cast("bigint").alias("_position"),
        F.lit("U").alias("_op"),
        F.lit(extract["to"]).cast("timestamp").alias("_modified"),
        F.to_json(F.struct(*[c.name for c in contract.columns])).alias("_raw"),
        F.lit(None).cast("string").alias("_error"),
        F.lit(None).cast("string").alias("_detail"),
    )


def extract_keys(spark: SparkSession, database: Database, contract: Contract, extract: Mapping[str, Any]) -> DataFrame:
    """The surrogate keys of the whole table as it is now, in landing form with ``_op = 'K'``."""
    split = str((contract.source or {})["partitionColumn"])
    keys = database.read(spark, f"SELECT {split} FROM {extract['table']}").toDF("number")
    known: dict[str, Any] = {
        "_op": F.lit("K"),
        "_object": F.lit(f"mysql://{extract['table']}"),
        "_position": F.col("number"),
        "_modified": F.lit(extract["to"]),
    }
    return keys.select(
        *[known.get(f.name, F.lit(None)).cast(f.dataType).alias(f.name) for f in landing_schema(contract)]
    )


def main(argv: list[str]) -> None:
    """Extracts every MySQL table of the plan. Arguments: ``--mysql-url``, ``--mysql-secret`` (none locally)."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--mysql-url", required=True)
    parser.add_argument("--mysql-secret")
    job = lake.start("extract_mysql", argv, parser)
    database = connect(job.options.mysql_url, job.options.mysql_secret)
    metrics = {}
    for extract in job.plan["extracts"]:
        if extract["kind"] != "mysql":
            continue
        contract = job.contracts[extract["dataset"]]
        path = job.lake.landing_batch(contract.name, job.batch_id)
        rows = extract_rows(job.spark, database, contract, extract)
        if extract.get("reconcile"):
            rows = rows.unionByName(extract_keys(job.spark, database, contract, extract))
        write_batch(rows, path)
        counts = {r["_op"]: r["count"] for r in job.spark.read.parquet(path).groupBy("_op").count().collect()}
        metrics[contract.name] = {"read": counts.get("U", 0), "keys": counts.get("K", 0)}
        log.info("%s: %s rows, %s keys", contract.name, counts.get("U", 0), counts.get("K", 0))
        if contract.recipe:
            stage_recipe_input(job.spark, [path], job.lake.recipe_folder(contract.name, "in"), contract)
    job.write_metrics(metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
