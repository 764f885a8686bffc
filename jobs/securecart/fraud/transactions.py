"""Transactions in the one form that the features are computed from, and the readers that bring them into it."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart.errors import JobError

#: One row per transaction. ``fraud`` is 1, 0 or null (not known yet); ``reported_at`` says when a label came, null
#: when it came in time. ``terminal_id`` is where it was made: a terminal, a merchant, a client address.
#: ``foreign_address`` is 1 when the client's address lies outside the customer's country, null when unknown.
SCHEMA = T.StructType(
    [
        T.StructField("transaction_id", T.StringType()),
        T.StructField("event_time", T.TimestampType()),
        T.StructField("customer_id", T.StringType()),
        T.StructField("terminal_id", T.StringType()),
        T.StructField("amount", T.DoubleType()),
        T.StructField("fraud", T.IntegerType()),
        T.StructField("reported_at", T.TimestampType()),
        T.StructField("foreign_address", T.IntegerType()),
    ]
)

#: Columns of the Fraud Detection Handbook's files, with the types in which they are read.
HANDBOOK_COLUMNS = {
    "TRANSACTION_ID": "transaction_id",
    "TX_DATETIME": "event_time",
    "CUSTOMER_ID": "customer_id",
    "TERMINAL_ID": "terminal_id",
    "TX_AMOUNT": "amount",
    "TX_FRAUD": "fraud",
}


def distinct_transactions(transactions: DataFrame) -> DataFrame:
    """One row per transaction id: the earliest, and of several at that moment the smallest by content."""
    first = Window.partitionBy("transaction_id").orderBy("event_time", "customer_id", "terminal_id", "amount")
    return transactions.withColumn("_copy", F.row_number().over(first)).where("_copy = 1").drop("_copy")


def read_handbook(spark: SparkSession, folder: str) -> DataFrame:
    """Transactions of a folder of CSV files (plain or gzip) with the handbook's columns; others are left alone.

    A repeated transaction id is read once. Rows without an id or a readable time cannot be placed in time: they are
    an error, since leaving them out would change every figure.

    Raises:
        JobError: when the folder has no such files, columns are missing, or rows cannot be placed.
    """
    try:
        raw = spark.read.csv(folder, header=True, pathGlobFilter="*.csv*")
    except Exception as error:  # Spark's AnalysisException names neither the folder nor what to do
        raise JobError(f"no CSV files can be read from '{folder}': {str(error).splitlines()[0]}") from error
    missing = [name for name in HANDBOOK_COLUMNS if name not in raw.columns]
    if missing:
        raise JobError(
            f"the files of '{folder}' lack the columns {', '.join(missing)}; "
            f"found are {', '.join(raw.columns) or 'none'}, expected {', '.join(HANDBOOK_COLUMNS)}"
        )
    types = {field.name: field.dataType for field in SCHEMA}
    read = raw.select(
        *[F.col(source).cast(types[name]).alias(name) for source, name in HANDBOOK_COLUMNS.items()],
        F.lit(None).cast("timestamp").alias("reported_at"),
        F.lit(None).cast("int").alias("foreign_address"),
    )
    unplaced = read.where(F.col("transaction_id").isNull() | F.col("event_time").isNull()).count()
    if unplaced > 0:
        raise JobError(
            f"{unplaced} rows of '{folder}' have no TRANSACTION_ID or no readable TX_DATETIME "
            "(expected yyyy-MM-dd HH:mm:ss); correct or remove them"
        )
    return distinct_transactions(read)


def on_days(transactions: DataFrame, first: Column | str, last: Column | str) -> DataFrame:
    """Transactions of the UTC days ``first`` to ``last``, both included; as a comparison that a scan can use."""
    start, end = F.to_timestamp(F.lit(first)), F.to_timestamp(F.lit(last)) + F.expr("INTERVAL 1 DAY")
    return transactions.where((F.col("event_time") >= start) & (F.col("event_time") < end))
