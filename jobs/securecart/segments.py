"""Customers' segments for the function that enriches API events (functions/api-logs/segments.ts).

``s3://<curated>/lookups/customer_segments/<digit>.json`` holds, as one JSON object, the segments of the customers whose
id's SHA-256 begins with that hexadecimal digit; ``snapshot`` names the state of the customers' table that they are of.
"""

from __future__ import annotations

from pyspark.sql import functions as F

from securecart.lake import Job
from securecart.objects import exists, read_text, write_text
from securecart.snapshots import read_snapshots

CUSTOMERS = "customers"


def write_segments(job: Job) -> int | None:
    """Writes the segments of all customers, unless they are those of the last time. Returns how many it wrote."""
    if CUSTOMERS not in job.contracts.contracts:
        return None
    table = job.lake.table(job.contracts[CUSTOMERS])
    snapshot = str(read_snapshots(job.spark, table).current)
    folder = f"s3://{job.lake.curated}/lookups/customer_segments"
    if exists(f"{folder}/snapshot") and read_text(f"{folder}/snapshot") == snapshot:
        return None
    rows = job.spark.table(table).where(F.col("segment").isNotNull())
    digits = (
        rows.groupBy(F.substring(F.sha2("customer_id", 256), 1, 1).alias("digit"))
        .agg(
            F.count(F.lit(1)).alias("customers"),
            F.to_json(F.map_from_entries(F.collect_list(F.struct("customer_id", "segment")))).alias("segments"),
        )
        .toLocalIterator()
    )
    found = {row["digit"]: (int(row["customers"]), str(row["segments"])) for row in digits}
    for digit in "0123456789abcdef":
        # A digit whose last customer went must not keep it.
        write_text(f"{folder}/{digit}.json", found.get(digit, (0, "{}"))[1])
    write_text(f"{folder}/snapshot", snapshot)
    return sum(customers for customers, _ in found.values())
