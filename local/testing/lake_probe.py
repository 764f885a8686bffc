"""For tests: what is in the lake's tables, asked inside the running Spark driver and left in a file."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def digest(spark: SparkSession, table: str, without: set[str]) -> str:
    """SHA-256 over a table's rows as text, sorted, without the columns named."""
    columns = sorted(set(spark.table(table).columns) - without)
    texts = [F.coalesce(F.col(c).cast("string"), F.lit("\x00")) for c in columns]
    rows = spark.table(table).select(F.concat_ws("\x1f", *texts).alias("row")).collect()
    found = hashlib.sha256(",".join(columns).encode())
    for row in sorted(r["row"] for r in rows):
        found.update(b"\n" + row.encode())
    return found.hexdigest()


def main(argv: list[str]) -> None:
    """``--digests`` hashes tables; ``--sql`` runs statements and leaves the rows of the last one as texts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--digests", nargs="*", default=[])
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--sql", nargs="*", default=[])
    options = parser.parse_args(argv)
    spark = SparkSession.builder.getOrCreate()
    answer: dict[str, object] = {t: digest(spark, t, set(options.without)) for t in options.digests}
    for statement in options.sql:
        rows = spark.sql(statement).collect()
        answer["rows"] = [[None if v is None else str(v) for v in row] for row in rows]
    options.out.write_text(json.dumps(answer), "utf-8")
