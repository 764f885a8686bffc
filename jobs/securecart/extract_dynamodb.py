"""Brings DynamoDB's S3 exports into landing batches; the table itself is never scanned.

A full export holds ``{"Item": {…}}`` lines; an incremental one ``{"Metadata": …, "Keys": …, "NewImage": …}``, where a
deleted item has no NewImage. Values are DynamoDB JSON (``{"S": "…"}``, ``{"N": "…"}``). A contract whose source says
``explode: <attribute>`` makes one record of each element of that list; its number, from 1, is the position.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from securecart import lake
from securecart.contract import Contract
from securecart.errors import JobError
from securecart.landing import landing_schema, write_batch
from securecart.objects import list_objects, read_text

log = logging.getLogger(__name__)

_SCALAR = "S: string, N: string, BOOL: string, NULL: string"
_MAP = f"map<string, struct<{_SCALAR}>>"
_ATTRIBUTES = f"map<string, struct<{_SCALAR}, L: array<struct<M: {_MAP}>>>>"
_LINE = (
    f"Item {_ATTRIBUTES}, NewImage {_ATTRIBUTES}, Keys {_ATTRIBUTES}, "
    "Metadata struct<WriteTimestampMicros: struct<N: string>>"
)


def _value(attributes: SparkColumn, name: str) -> SparkColumn:
    """An attribute's scalar as text; null when it is absent or a DynamoDB NULL."""
    found = attributes[name]
    return F.coalesce(found["S"], found["N"], found["BOOL"])


def parse_export(lines: DataFrame, contract: Contract, table: str, exported_at: str) -> DataFrame:
    """Lines of an export's data files as records in landing form.

    Args:
        lines: one string column ``value``, a line each.
        contract: a contract with source kind ``dynamodb``.
        table: the DynamoDB table's name.
        exported_at: ISO time that a full export shows; its items carry no write time.
    """
    source = contract.source or {}
    parsed = lines.select("value", F.from_json("value", _LINE).alias("line")).select(
        F.col("value").alias("_raw"),
        F.coalesce("line.Item", "line.NewImage").alias("image"),
        F.coalesce("line.Item", "line.Keys").alias("keys"),
        F.coalesce(
            F.timestamp_micros(F.col("line.Metadata.WriteTimestampMicros.N").cast("bigint")),
            F.lit(exported_at).cast("timestamp"),
        ).alias("_modified"),
    )
    explode = source.get("explode")
    # Elements of a list carry the rest of their key themselves; the item's is the first part.
    parts = [contract.column(k).source_name for k in (contract.keys[:1] if explode else contract.keys)]
    keys = [_value(F.col("keys"), part) for part in parts]
    named = reduce(lambda a, b: a & b, [key.isNotNull() for key in keys])
    document = F.concat_ws("/", F.lit(f"dynamodb://{table}"), *keys)
    base = parsed.select(
        "*",
        F.when(named, document).otherwise(F.lit(f"dynamodb://{table}")).alias("_object"),
        F.when(~named, "BAD_JSON").alias("_error"),
        F.when(named & F.col("image").isNull(), "D").otherwise("U").alias("_op"),
    )
    if explode:
        # An order without lines still yields one row: it must say that its earlier lines are gone.
        base = base.select("*", F.posexplode_outer(F.col("image")[explode]["L"]).alias("number", "element"))
        base = base.withColumn("_position", (F.col("number") + 1).cast("bigint"))
        emptied = (F.col("_op") == "U") & F.col("_error").isNull() & F.col("element").isNull()
        base = base.withColumn("_op", F.when(emptied, "D").otherwise(F.col("_op")))
        element = F.col("element")["M"]
    else:
        base = base.withColumn("_position", F.lit(1).cast("bigint"))
        element = F.col("image")

    def column(name: str, source_name: str) -> SparkColumn:
        if name == source.get("position"):
            return F.col("_position").cast("string").alias(name)
        outer = F.coalesce(_value(F.col("image"), source_name), _value(F.col("keys"), source_name))
        found = F.coalesce(_value(element, source_name), outer) if explode else outer
        return found.alias(name)

    unreadable = F.lit(f"not a JSON line of an item with {' and '.join(parts)}")
    return base.select(
        *[column(c.name, c.source_name) for c in contract.columns],
        "_object",
        "_position",
        "_op",
        "_modified",
        "_raw",
        "_error",
        F.when(F.col("_error") == "BAD_JSON", unreadable).alias("_detail"),
    )


def data_files(bucket: str, export: Mapping[str, Any]) -> list[str]:
    """URIs of an export's data files, from the manifest that DynamoDB writes last."""
    prefix = f"s3://{bucket}/{export['prefix'].rstrip('/')}/"
    manifests = [uri for uri in list_objects(prefix) if uri.endswith("/manifest-files.json")]
    if len(manifests) != 1:
        raise JobError(
            f"the export {export['id']} has {len(manifests)} manifest-files.json below {prefix}, expected one. "
            "The export did not finish, or two exports share the prefix; start the run again."
        )
    lines = read_text(manifests[0]).splitlines()
    return [f"s3://{bucket}/{json.loads(line)['dataFileS3Key']}" for line in lines if line.strip()]


def read_lines(spark: SparkSession, files: list[str]) -> DataFrame:
    """All lines of the files, one column ``value``."""
    if not files:
        return spark.createDataFrame([], "value string")
    return spark.read.text(files).filter(F.trim("value") != "")


def keys_of(records: DataFrame, contract: Contract) -> DataFrame:
    """What a full export holds, ``_op = 'K'``: an item, or an element of one, that is not among it was deleted."""
    kept = ("_object", "_position", "_modified")
    known = records.filter(F.col("_op") == "U").select(*kept, F.lit("K").alias("_op"))
    return known.select(
        *[
            (F.col(f.name) if f.name in known.columns else F.lit(None).cast(f.dataType)).alias(f.name)
            for f in landing_schema(contract)
        ]
    )


def main(argv: list[str]) -> None:
    """Extracts every DynamoDB dataset of the plan from its exports."""
    job = lake.start("extract_dynamodb", argv)
    parts: dict[str, list[DataFrame]] = {}
    for extract in job.plan["extracts"]:
        if extract["kind"] != "dynamodb":
            continue
        contract = job.contracts[extract["dataset"]]
        found = parts.setdefault(contract.name, [])
        for export in extract["exports"]:
            lines = read_lines(job.spark, data_files(job.lake.landing, export))
            records = parse_export(lines, contract, export["table"], export["to"])
            found.append(records)
            if extract["reconcile"] and export["type"] == "FULL_EXPORT":
                if records.filter(F.col("_error").isNotNull()).isEmpty():
                    found.append(keys_of(records, contract))
                else:
                    # An item whose line cannot be read would count as deleted.
                    log.warning("%s: export %s has unreadable lines, not reconciled", contract.name, export["id"])
    metrics = {}
    for name, found in parts.items():
        path = job.lake.landing_batch(name, job.batch_id)
        write_batch(reduce(DataFrame.unionByName, found), path)
        counts = {r["_op"]: r["count"] for r in job.spark.read.parquet(path).groupBy("_op").count().collect()}
        keys = counts.pop("K", 0)
        metrics[name] = {"read": sum(counts.values()), "deletes": counts.get("D", 0), "keys": keys}
        log.info("%s: %s", name, metrics[name])
    job.write_metrics(metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
