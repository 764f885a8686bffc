"""Made-up fraud reports of a lake's own transactions, to try training where no fraud has been reported yet."""

from __future__ import annotations

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F
from securecart.objects import write_text

#: Times the customer's mean amount from which a payment is said to be a fraud, and one in so many others.
UNUSUAL = 2.0
ONE_IN = 500
DAYS_UNTIL_REPORTED = 3


def sample_labels(spark: SparkSession, table: str, prefix: str) -> int:
    """Writes ``<prefix>sample.csv`` with a report of every payment that stands out. Returns how many there are."""
    mean = F.avg("amount").over(Window.partitionBy("customer_id"))
    chosen = (F.col("amount") >= UNUSUAL * F.col("mean")) | (F.pmod(F.hash("transaction_id"), F.lit(ONE_IN)) == 0)
    reported = F.col("event_time") + F.expr(f"INTERVAL {DAYS_UNTIL_REPORTED} DAYS")
    frauds = (
        spark.table(table)
        .withColumn("mean", mean)
        .where(chosen)
        .select("transaction_id", F.date_format(reported, "yyyy-MM-dd'T'HH:mm:ss'Z'"))
        .orderBy("transaction_id")
        .collect()
    )
    lines = [f"{number},1,{when}" for number, when in frauds]
    write_text(f"{prefix}sample.csv", "\n".join(["transaction_id,fraud,reported_at", *lines, ""]))
    return len(lines)
