"""Landing batches: what an extraction leaves, one folder per dataset and batch, never changed afterwards.

A batch is Parquet with one STRING column per contract column, values as they came, and the columns below. Typing
and judging come later, so that a batch can be replayed under a newer contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart.contract import Contract
from securecart.objects import list_objects

#: `_position` is a line number from 1, an item's number in its list, or a database row's surrogate key.
#: `_op`: U a record, D a deletion (key columns only), K what is still there (`_object` and `_position` alone).
#: `_modified`: when the object was last modified, the item written, or the extraction's upper bound.
#: `_error` and `_detail`: why the record cannot be used, where extraction already knows.
TECHNICAL: dict[str, T.DataType] = {
    "_object": T.StringType(),
    "_position": T.LongType(),
    "_op": T.StringType(),
    "_modified": T.TimestampType(),
    "_raw": T.StringType(),
    "_error": T.StringType(),
    "_detail": T.StringType(),
}


def landing_schema(contract: Contract) -> T.StructType:
    """The columns of a landing batch of this contract."""
    fields = [T.StructField(c.name, T.StringType()) for c in contract.columns if c.hash_except is None]
    return T.StructType(fields + [T.StructField(n, t) for n, t in TECHNICAL.items()])


def write_batch(df: DataFrame, path: str) -> None:
    """Writes a landing batch; a retried extraction replaces what its first try left."""
    df.write.mode("overwrite").option("compression", "zstd").parquet(path)


def read_batches(
    spark: SparkSession, paths: Iterable[str], contract: Contract, batch_column: str | None = None
) -> DataFrame:
    """Reads landing batches under today's contract: columns that an old batch lacks are null.

    Args:
        paths: folders ``s3://<bucket>/batches/<dataset>/batch=<id>/``.
        contract: of their dataset.
        batch_column: given, a column of this name says which batch each record is from.
    """
    wanted = landing_schema(contract)
    df = spark.read.option("mergeSchema", "true").parquet(*paths)
    present = set(df.columns)
    batch = F.regexp_extract("_metadata.file_path", "/batch=([^/]+)/", 1)
    return df.select(
        *[F.col(f.name) if f.name in present else F.lit(None).cast(f.dataType).alias(f.name) for f in wanted],
        *([batch.alias(batch_column)] if batch_column else []),
    )


def still_there(folders: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Of a plan's landing folders those that the landing zone still holds: old batches expire.

    Args:
        folders: entries ``{"dataset", "path"}``; a path is ``s3://<bucket>/batches/<dataset>/batch=<id>/``.
    """
    parents = {entry["path"].rstrip("/").rpartition("/")[0] + "/" for entry in folders}
    present = {uri.rpartition("/")[0] + "/" for parent in parents for uri in list_objects(parent)}
    return [entry for entry in folders if entry["path"] in present]
