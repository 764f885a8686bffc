"""The feature set of the Fraud Detection Handbook, for its baselines alone.

Source: Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection", 2022,
chapter 3 (baseline feature transformation): counts and means of the customer over 1, 7, 30 days up to the transaction,
counts and risk of the terminal over the same windows, delayed by 7 days.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from securecart.fraud.features import DAY, LABEL_DELAY_DAYS, WINDOWS, Past

HANDBOOK_FEATURES = (
    "amount",
    "weekend",
    "night",
    *[f"customer_{kind}_{w}d" for w in WINDOWS for kind in ("count", "mean")],
    *[f"handbook_{kind}_{w}d" for w in WINDOWS for kind in ("count", "risk")],
)


def with_handbook(features: DataFrame) -> DataFrame:
    """Adds the terminal's features as the handbook defines them; the rest is among the platform's own."""
    terminal = Past("terminal_id")
    delay = LABEL_DELAY_DAYS * DAY
    rows = features.withColumns(
        {"second": F.unix_timestamp("event_time"), "_one": F.lit(1).cast("long"), "_fraud": F.col("fraud").cast("long")}
    )
    for w in WINDOWS:
        count, frauds = (terminal.sum(column, delay, delay + w * DAY) for column in ("_one", "_fraud"))
        rows = rows.withColumns(
            {
                f"handbook_count_{w}d": count.cast("double"),
                f"handbook_risk_{w}d": F.when(count > 0, frauds / count).otherwise(0.0),
            }
        )
    return rows.drop("second", "_one", "_fraud")
