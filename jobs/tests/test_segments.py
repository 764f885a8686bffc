"""Customers' segments for the API-event function: complete, by digit of the id's hash, and written when they change."""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart.contract import Bundle
from securecart.lake import Job, Lake
from securecart.segments import CUSTOMERS, write_segments
from securecart.tables import create_or_evolve


def test_segments_are_those_of_the_table(spark: SparkSession, contracts: Bundle, lake_root: Path) -> None:
    zones = ("landing", "staging", "curated", "quarantine", "artifacts")
    buckets = {zone: f"securecart-local-{zone}" for zone in zones}
    lake = Lake(**buckets, staging_db="segments", curated_db="segments")
    contract = contracts[CUSTOMERS]
    table = lake.table(contract)
    create_or_evolve(spark, table, contract, contracts)
    job = Job("export", spark, lake, contracts, {}, "b1", argparse.Namespace(), datetime(2026, 5, 1, tzinfo=UTC))

    def put(segments: dict[str, str]) -> None:
        names = [field.name for field in spark.table(table).schema]
        rows = spark.createDataFrame(list(segments.items()), "customer_id string, segment string")
        kinds = {field.name: field.dataType for field in spark.table(table).schema}
        given = {"customer_no": F.lit(1), "marketing_consent": F.lit(True), "updated_at": F.current_timestamp()}
        columns = [
            F.col(name) if name in ("customer_id", "segment") else given.get(name, F.lit(None)).cast(kinds[name])
            for name in names
        ]
        rows.select(*[column.alias(name) for column, name in zip(columns, names, strict=True)]).writeTo(table).append()

    folder = lake_root / buckets["curated"] / "lookups" / "customer_segments"

    def found() -> dict[str, str]:
        known: dict[str, str] = {}
        for digit in "0123456789abcdef":
            part = json.loads((folder / f"{digit}.json").read_text("utf-8"))
            assert all(hashlib.sha256(one.encode()).hexdigest()[0] == digit for one in part)
            known |= part
        return known

    many = {f"C{number:06d}": ("consumer", "business")[number % 2] for number in range(200)} | {"Zoë": "premium"}
    put(many)
    assert write_segments(job) == 201
    assert found() == many
    (folder / "0.json").unlink()
    assert write_segments(job) is None
    assert not (folder / "0.json").exists()
    spark.sql(f"DELETE FROM {table} WHERE customer_id <> 'Zoë'")
    assert write_segments(job) == 1
    assert found() == {"Zoë": "premium"}
    assert write_segments(replace(job, contracts=Bundle({}, {}))) is None
