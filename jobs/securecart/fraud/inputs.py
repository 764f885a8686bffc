"""What both fraud jobs begin with: their common arguments, and SecureCart's transactions in the features' form."""

from __future__ import annotations

import argparse

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from securecart import geo, lake
from securecart.fraud.source import in_form, labelled, read_labels, securecart_transactions


def arguments() -> argparse.ArgumentParser:
    """``--geo-database`` (path or s3:// of the MMDB file), ``--labels`` (s3:// prefix of fraud reports, default
    ``s3://<landing>/fraud-labels/``), ``--trace-header`` and ``--submitted-at`` (of the calling state)."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--geo-database", required=True)
    parser.add_argument("--labels")
    parser.add_argument("--trace-header", default="")
    parser.add_argument("--submitted-at", help="ISO 8601 time at which the workflow asked for the job")
    return parser


def labels_of(job: lake.Job) -> DataFrame | None:
    """Reports of frauds, None when there are none yet."""
    return read_labels(job.spark, job.options.labels or f"s3://{job.lake.landing}/fraud-labels/")


def transactions_of(job: lake.Job, transactions: DataFrame, labels: DataFrame | None) -> DataFrame:
    """Rows of the staging table of transactions as `transactions.SCHEMA`, with country and label."""
    customers = job.spark.table(job.lake.table(job.contracts["customers"]))
    addresses = transactions.select("ip_address").where(F.col("ip_address").isNotNull())
    countries = geo.countries(addresses, job.options.geo_database)
    return in_form(labelled(securecart_transactions(transactions, customers, countries), labels))
