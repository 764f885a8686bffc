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
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors.exceptions.captured import CapturedException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart import lake
from securecart.contract import Contract
from securecart.errors import JobError
from securecart.landing import landing_schema, write_batch
from securecart.recipe_input import recipe_batches, stage_recipe_input

log = logging.getLogger(__name__)

#: Rows that one JDBC read fetches; a larger table is read in parallel parts of about this size.
ROWS_PER_PART = 250_000

#: Tables read at the same time: one waits for the database while another computes, and the source is not flooded.
PARALLEL_TABLES = 2

#: Rows that one round trip of a JDBC read brings.
FETCH_SIZE = "10000"


@dataclass(frozen=True)
class Database:
    """How to reach the source database."""

    url: str
    properties: Mapping[str, str]

    @property
    def address(self) -> str:
        """The URL as far as it may be shown: without parameters and credentials."""
        return re.sub(r"//[^/@]*@", "//", re.split(r"[?;]", self.url)[0])

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
            # Without a cursor the driver ignores the fetch size and holds the whole result in memory.
            "useCursorFetch": "true",
            # A zero date is a bad value of one row; as an error it would end the whole extraction.
            "zeroDateTimeBehavior": "CONVERT_TO_NULL",
            # Milliseconds. A firewall that drops packets would keep the job waiting for minutes.
            "connectTimeout": "30000",
        },
    )


#: What to do about a database's refusal, by the beginning of its SQLSTATE.
_REMEDIES = {
    "08": "Check host and port, the security group and route from the job's subnet, and the server's certificate.",
    "28": "Check username and password in the secret, and which hosts the user may come from.",
    "42": "Check table, columns and watermark in the contract's source, and what the user is granted.",
}


@contextmanager
def explained(database: Database, table: str) -> Iterator[None]:
    """Turns a database's error inside into one that names the database, the table and a remedy.

    Raises:
        JobError: for what the database or its driver refused; every other error passes as it is.
    """
    try:
        yield
    except (Py4JJavaError, CapturedException) as error:
        chain = _causes(error.java_exception if isinstance(error, Py4JJavaError) else error._origin)
        refusal = next((cause for cause in chain if _is_sql_exception(cause)), None)
        if refusal is None:
            raise
        state = str(refusal.getSQLState() or "")
        remedy = _REMEDIES.get(state[:2], "Check that the job can read the table, then start the run again.")
        # A link's failure is told by what lies below it: the refused connection, or the certificate.
        messages = dict.fromkeys(" ".join(str(cause.getMessage()).split()) for cause in (refusal, chain[-1]))
        why = ": ".join(messages)
        raise JobError(f"{database.address}, table '{table}': {why} (SQLSTATE {state}). {remedy}") from error


def _causes(throwable: Any) -> list[Any]:
    """A Java exception and what caused it, outermost first."""
    chain = []
    while throwable is not None:
        chain.append(throwable)
        throwable = throwable.getCause()
    return chain


def _is_sql_exception(throwable: Any) -> bool:
    kind = throwable.getClass()
    while kind is not None and kind.getName() != "java.sql.SQLException":
        kind = kind.getSuperclass()
    return kind is not None


def changed_rows_query(extract: Mapping[str, Any], columns: str) -> str:
    """The rows of one extraction, as SQL that MySQL and Derby read alike."""
    watermark = extract["watermark_column"]
    bound = f"{watermark} <= {_timestamp(extract['to'])}"
    if extract["from"] is not None:
        bound = f"{watermark} > {_timestamp(extract['from'])} AND {bound}"
    return f"SELECT {columns} FROM {extract['table']} WHERE {bound}"


def _timestamp(iso: str) -> str:
    """An ISO 8601 UTC time as SQL, to the microsecond.

    Not JDBC's ``{ts '…'}``: MySQL's driver reads that in the JVM's zone, and cuts the fraction off for a MariaDB 10,
    which calls itself 5.5.5.
    """
    text = iso.replace("T", " ").removesuffix("Z").removesuffix("+00:00")
    return f"TIMESTAMP('{text}')"


def _as_text(name: str, kind: T.DataType) -> Any:
    if isinstance(kind, T.TimestampType):
        return F.date_format(name, "yyyy-MM-dd HH:mm:ss.SSSSSS")
    if isinstance(kind, T.DecimalType):
        # A cast would write 0.00000010 as 1.0E-7, which no decimal column admits.
        return F.translate(F.format_number(name, kind.scale), ",", "")
    return F.col(name).cast("string")


def extract_rows(spark: SparkSession, database: Database, contract: Contract, extract: Mapping[str, Any]) -> DataFrame:
    """The changed rows of one table in landing form.

    The read is split over the contract's ``partitionColumn``, a dense number, into parts of about ROWS_PER_PART.
    """
    if contract.source is None:
        raise JobError(f"contract '{contract.name}' has no source to extract from")
    split = str(contract.source["partitionColumn"])
    # Once each: two columns may come from one, and the split's may be none of the contract's.
    names = dict.fromkeys([*(c.source_name for c in contract.columns), split])
    query = changed_rows_query(extract, ", ".join(names))
    bounds = changed_rows_query(extract, f"MIN({split}) lo, MAX({split}) hi, COUNT(*) n")
    found = database.read(spark, bounds).first()
    count = int(found[2]) if found is not None else 0
    parts = max(1, -(-count // ROWS_PER_PART))
    options: dict[str, str] = {"fetchsize": FETCH_SIZE}
    if parts > 1 and found is not None:
        options |= {"partitionColumn": split, "lowerBound": str(found[0]), "upperBound": str(found[1])}
        options |= {"numPartitions": str(parts)}
    rows = database.read(spark, query, **options)
    kinds = {f.name.lower(): f.dataType for f in rows.schema}
    named = rows.toDF(*[c.lower() for c in rows.columns])
    # MySQL's TINYINT(1) and Derby's BOOLEAN both arrive as booleans and are written as true and false.
    texts = [_as_text(c.source_name.lower(), kinds[c.source_name.lower()]).alias(c.name) for c in contract.columns]
    return named.select(
        *texts,
        F.lit(f"mysql://{extract['table']}").alias("_object"),
        F.col(split.lower()).cast("bigint").alias("_position"),
        F.lit("U").alias("_op"),
        F.lit(extract["to"]).cast("timestamp").alias("_modified"),
        F.to_json(F.struct(*texts)).alias("_raw"),
        F.lit(None).cast("string").alias("_error"),
        F.lit(None).cast("string").alias("_detail"),
    )


def extract_keys(spark: SparkSession, database: Database, contract: Contract, extract: Mapping[str, Any]) -> DataFrame:
    """The surrogate keys of the whole table as it is now, in landing form with ``_op = 'K'``."""
    split = str((contract.source or {})["partitionColumn"])
    keys = database.read(spark, f"SELECT {split} FROM {extract['table']}", fetchsize=FETCH_SIZE).toDF("number")
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
    extracts = [extract for extract in job.plan["extracts"] if extract["kind"] == "mysql"]
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        landed = pool.map(lambda extract: _land(job, database, extract), extracts)
        job.write_metrics({extract["dataset"]: counts for extract, counts in zip(extracts, landed, strict=True)})


def _land(job: lake.Job, database: Database, extract: Mapping[str, Any]) -> dict[str, int]:
    """Writes one table's batch and returns its metrics."""
    contract = job.contracts[extract["dataset"]]
    path = job.lake.landing_batch(contract.name, job.batch_id)
    with explained(database, extract["table"]):
        rows = extract_rows(job.spark, database, contract, extract)
        if extract["reconcile"]:
            rows = rows.unionByName(extract_keys(job.spark, database, contract, extract))
        write_batch(rows, path)
    written = job.spark.read.schema(landing_schema(contract)).parquet(path)
    counts = {r["_op"]: r["count"] for r in written.groupBy("_op").count().collect()}
    log.info("%s: %s rows, %s keys", contract.name, counts.get("U", 0), counts.get("K", 0))
    if contract.recipe:
        folder = job.lake.recipe_folder(contract.name, "in")
        stage_recipe_input(job.spark, recipe_batches(job.plan, contract.name), folder, contract)
    return {"read": counts.get("U", 0), "keys": counts.get("K", 0)}


if __name__ == "__main__":
    main(sys.argv[1:])
