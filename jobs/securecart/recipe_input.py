"""Fills the folder that a dataset's DataBrew recipe job reads.

The job's input is a fixed folder, so a run copies there what it lets the recipe see: its own batch or those that a
backfill reads, and the earlier ones in which the cleaning may have to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from securecart.contract import Contract
from securecart.landing import read_batches, still_there


def recipe_batches(plan: Mapping[str, Any], dataset: str) -> list[str]:
    """The landing folders of a dataset whose records the run's cleaning may read."""
    earlier = still_there([e for e in plan.get("history", []) if e["dataset"] == dataset])
    return [e["path"] for e in (*earlier, *plan["landing"]) if e["dataset"] == dataset]


def stage_recipe_input(spark: SparkSession, batch_paths: Sequence[str], in_path: str, contract: Contract) -> None:
    """Replaces a recipe's input by the records of landing batches.

    Records that extraction found bad, deletions and key-only rows stay out: a recipe cleans whole records, and the
    clean job takes the others from the batches themselves.

    Args:
        batch_paths: folders of landing batches of one dataset.
        in_path: ``s3://<landing>/recipes/<dataset>/in/``.
        contract: its columns that an old batch lacks are there as nulls, so that a step may name them.
    """
    records = read_batches(spark, batch_paths, contract)
    usable = records.filter(F.col("_error").isNull() & (F.col("_op") == "U"))
    # Snappy, as the recipe job's own output, not the lake's zstd: every reader of Parquet knows it.
    usable.write.mode("overwrite").option("compression", "snappy").parquet(in_path)
