"""SecureCart's own transactions and labels, as the fraud jobs read them."""

from __future__ import annotations

import logging

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart.errors import JobError
from securecart.fraud.features import LABEL_DELAY_DAYS
from securecart.fraud.transactions import SCHEMA
from securecart.objects import list_objects

log = logging.getLogger(__name__)

LABELS = T.StructType(
    [
        T.StructField("transaction_id", T.StringType()),
        T.StructField("fraud", T.IntegerType()),
        T.StructField("reported_at", T.TimestampType()),
    ]
)


def latest_labels(labels: DataFrame) -> DataFrame:
    """One label per transaction: the one reported last, since a later report corrects an earlier one."""
    last = Window.partitionBy("transaction_id").orderBy(F.desc("reported_at"), F.desc("fraud"))
    return labels.withColumn("_rank", F.row_number().over(last)).where("_rank = 1").drop("_rank")


def read_labels(spark: SparkSession, prefix: str) -> DataFrame | None:
    """Reports of frauds: CSV objects below ``prefix`` with the header transaction_id,fraud,reported_at.

    None when there are no such objects. A row without id, label (0 or 1) or time is no report: it is left out, and the
    log says how many there are.

    Raises:
        JobError: when a file has another header.
    """
    objects = [uri for uri in list_objects(prefix) if uri.endswith((".csv", ".csv.gz"))]
    if not objects:
        return None
    texts = T.StructType([T.StructField(name, T.StringType()) for name in LABELS.names])
    read = spark.read.csv(objects, header=True, schema=texts, enforceSchema=False)
    typed = read.select(*[F.col(field.name).cast(field.dataType) for field in LABELS])
    is_report = F.coalesce(
        F.col("transaction_id").isNotNull() & F.col("fraud").isin(0, 1) & F.col("reported_at").isNotNull(), F.lit(False)
    )
    try:
        unreadable = typed.where(~is_report).count()
    except Exception as error:  # Spark says it in the middle of a Java trace
        if "header" not in str(error):
            raise
        raise JobError(
            f"a file below {prefix} does not begin with the header {','.join(LABELS.names)}; correct or remove it"
        ) from error
    if unreadable > 0:
        log.warning(
            "%d rows below %s are no reports and count for nothing: they lack a transaction_id, a fraud of 0 or 1, or "
            "a readable reported_at",
            unreadable,
            prefix,
        )
    return latest_labels(typed.where(is_report))


def labelled(transactions: DataFrame, labels: DataFrame | None) -> DataFrame:
    """Adds fraud and reported_at.

    Reports name frauds; what nobody reported within the delay is genuine. "Within" is seen from the last report:
    without any reports nothing is known of any transaction.
    """
    if labels is None:
        nothing = {"fraud": F.lit(None).cast("int"), "reported_at": F.lit(None).cast("timestamp")}
        return transactions.withColumns(nothing)
    last = labels.agg(F.date_sub(F.to_date(F.max("reported_at")), LABEL_DELAY_DAYS + 1).alias("_last"))
    silent = F.when(F.to_date("event_time") <= F.col("_last"), 0)
    joined = transactions.join(labels, "transaction_id", "left").crossJoin(F.broadcast(last))
    return joined.withColumn("fraud", F.coalesce("fraud", silent)).drop("_last")


def securecart_transactions(transactions: DataFrame, customers: DataFrame, countries: DataFrame) -> DataFrame:
    """Transactions without labels; the client's address stands for the terminal.

    Args:
        transactions: contracts/transactions.yaml.
        customers: customer_id, country.
        countries: ip_address, ip_country (`securecart.geo.countries`).
    """
    with_country = transactions.join(countries, "ip_address", "left").join(
        customers.select("customer_id", F.col("country").alias("home")), "customer_id", "left"
    )
    return with_country.select(
        "transaction_id",
        "event_time",
        "customer_id",
        F.col("ip_address").alias("terminal_id"),
        F.col("amount").cast("double").alias("amount"),
        (F.col("ip_country") != F.col("home")).cast("int").alias("foreign_address"),
    )


def in_form(rows: DataFrame) -> DataFrame:
    """The columns of `transactions.SCHEMA`, in order."""
    return rows.select(*[F.col(field.name).cast(field.dataType) for field in SCHEMA])
