"""Helpers of the job tests: a lake's arguments, landing records from plain dictionaries, a plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from securecart.contract import Contract
from securecart.landing import landing_schema, write_batch
from securecart.objects import read_text, write_text
from spark_session import BUCKETS, DATABASE

Record = Mapping[str, Any]


def job_arguments(bundle_uri: str, plan: str | None = None) -> list[str]:
    """The arguments that every job gets on AWS as the job's defaults."""
    arguments = ["--contracts", bundle_uri, "--staging-db", DATABASE, "--curated-db", DATABASE]
    for zone in ("landing", "staging", "curated", "quarantine", "artifacts"):
        arguments += [f"--{zone}", BUCKETS[zone]]
    return [*arguments, "--plan", plan] if plan else arguments


def landing_records(spark: SparkSession, contract: Contract, records: Iterable[Record]) -> DataFrame:
    """Landing records: keys are the contract's columns and the technical ones; what is not given is null.

    ``_object``, ``_position``, ``_op`` and ``_modified`` have sensible defaults.
    """
    schema = landing_schema(contract)
    rows = []
    for number, record in enumerate(records, start=1):
        full = {
            "_object": "s3://landing/drops/a.csv",
            "_position": number,
            "_op": "U",
            "_modified": "2026-03-09T00:00:00",
            "_raw": json.dumps({k: v for k, v in record.items() if not k.startswith("_")}),
            **record,
        }
        full["_modified"] = datetime.fromisoformat(full["_modified"])
        rows.append(tuple(full.get(name) for name in schema.names))
    return spark.createDataFrame(rows, schema)


def land(spark: SparkSession, contract: Contract, batch_id: str, records: Iterable[Record]) -> str:
    """Writes a landing batch and returns its folder."""
    path = f"s3://{BUCKETS['landing']}/batches/{contract.name}/batch={batch_id}/"
    write_batch(landing_records(spark, contract, records), path)
    return path


def write_plan(batch_id: str, landing: Iterable[tuple[str, str]], **more: Any) -> str:
    """Writes a plan that reads these (dataset, folder) batches. Returns its URI."""
    plan = {
        "batch_id": batch_id,
        "mode": "incremental",
        "range": None,
        "extracts": [],
        "landing": [{"dataset": dataset, "path": path} for dataset, path in landing],
        **more,
    }
    uri = f"s3://{BUCKETS['landing']}/plans/{batch_id}.json"
    write_text(uri, json.dumps(plan))
    return uri


def metrics(batch_id: str, step: str) -> dict[str, Any]:
    """What a job left in its metrics file."""
    found: dict[str, Any] = json.loads(read_text(f"s3://{BUCKETS['staging']}/runs/{batch_id}/{step}.json"))
    return found
