"""Exports what changed in the tables of the warehouse as immutable plain Parquet, for the load to COPY.

``s3://<curated>/exports/<table>/batch=<batch_id>/`` holds the contract's columns in order, then version_at,
batch_id and ``_op``: U a row as it now is, D the last state of a row that is gone. A table that the warehouse
replaces by day (``load: replace``) is exported with all rows of every day on which anything changed.

The changes are those since the last batch whose load was committed. Each export leaves the tag
``exported-<batch>`` on the snapshot that it reached, and the next one starts from the tag of the batch that
the plan names as the last one loaded (``loaded_batch``). A batch that failed after its export is therefore
exported again with the next one, and nothing needs to be marked after a load. Exporting a row again is
harmless: the load goes by key, and no older export replaces what a newer one brought.

A run may fail while it loads, with some tables loaded and the lake then set back. What it exported is doubtful: the
warehouse may hold it, and nothing in the lake tells. So every key of an export later than the last loaded batch is
exported again as the lake now has it, or as gone.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart import lake
from securecart.contract import Contract
from securecart.objects import list_objects
from securecart.segments import write_segments
from securecart.snapshots import TableSnapshots, changelog, read_snapshots

log = logging.getLogger(__name__)

TAG_PREFIX = "exported-"

PARALLEL_TABLES = 4


def tag_of(batch_id: str) -> str:
    """The tag on the snapshot that a batch's export reached."""
    return f"{TAG_PREFIX}{batch_id}"


def last_states(changes: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """One row per key of a net changelog, with ``_op``: U where the key is still there, D where it is gone."""
    inserts_first = Window.partitionBy(*keys).orderBy(F.desc("_change_type"))
    return (
        changes.withColumn("_rank", F.row_number().over(inserts_first))
        .where("_rank = 1")
        .withColumn("_op", F.when(F.col("_change_type") == "INSERT", "U").otherwise("D"))
        .drop("_rank", "_change_type")
    )


def all_rows(current: DataFrame, earlier: DataFrame | None, keys: tuple[str, ...]) -> DataFrame:
    """Every row as U, and as D the rows of an earlier state whose keys are gone."""
    rows = current.withColumn("_op", F.lit("U"))
    if earlier is None:
        return rows
    gone = earlier.join(current.select(*keys), list(keys), "left_anti").withColumn("_op", F.lit("D"))
    return rows.unionByName(gone, allowMissingColumns=True)


def whole_days(states: DataFrame, current: DataFrame, by: str) -> DataFrame:
    """All rows of the days (values of ``by``) in ``states`` as U, and the states that are gone as D."""
    days = states.select(by).distinct()
    rows = current.join(days, by, "left_semi").withColumn("_op", F.lit("U"))
    return rows.unionByName(states.where("_op = 'D'"))


def changed_rows(
    job: lake.Job, table: str, contract: Contract, snapshots: TableSnapshots, start_tag: str | None
) -> DataFrame | None:
    """What the warehouse has to take over, with ``_op``; None when nothing was committed since the tag."""
    start = snapshots.tags.get(start_tag) if start_tag else None
    if snapshots.current is None or start == snapshots.current:
        return None
    current = job.spark.table(table)
    if start is None:
        return all_rows(current, None, contract.keys)
    if start not in snapshots.ancestors:
        # The table was set back behind what was loaded: the two states are compared as a whole.
        return all_rows(current, job.spark.read.option("tag", start_tag).table(table), contract.keys)
    states = last_states(changelog(job.spark, table, start, snapshots.current), contract.keys)
    by = _loaded_by(contract)
    return whole_days(states, current, by[0]) if by else states


def doubtful_keys(job: lake.Job, contract: Contract, exports: str, loaded_batch: str | None) -> DataFrame | None:
    """Keys (and the column loaded by) that the warehouse may hold from exports no commit confirmed; None without any.

    Args:
        exports: ``s3://`` folder of the table's exports, one folder a batch. Batch ids sort by time; an earlier try of
            this batch counts. Not seen is a failed replay of a batch older than the last one loaded.
    """
    folders = {uri.rpartition("/")[0] for uri in list_objects(f"{exports}batch=")}
    doubtful = sorted(f for f in folders if f.rpartition("batch=")[2] > (loaded_batch or ""))
    if not doubtful:
        return None
    names = {*contract.keys, *_loaded_by(contract)}
    columns = [c for c in contract.columns if c.name in names]
    schema = T.StructType([T.StructField(c.name, c.spark_type) for c in columns])
    # This batch's own folder is about to be written anew, so the rows are read now.
    return job.spark.read.schema(schema).parquet(*doubtful).distinct().localCheckpoint()


def with_doubtful(rows: DataFrame | None, doubtful: DataFrame, current: DataFrame, contract: Contract) -> DataFrame:
    """Adds to the changes what the lake now has under doubtful keys: U, or D where it has nothing."""
    keys = list(contract.keys)
    by = _loaded_by(contract) or keys
    there = current.join(doubtful.select(by).distinct(), by, "left_semi").withColumn("_op", F.lit("U"))
    gone = doubtful.join(current.select(keys), keys, "left_anti").withColumn("_op", F.lit("D"))
    found = there.unionByName(gone, allowMissingColumns=True)
    return found if rows is None else rows.unionByName(found.join(rows.select(keys), keys, "left_anti"))


def _loaded_by(contract: Contract) -> list[str]:
    """The column whose values the warehouse replaces as a whole; none for a table that is loaded by key."""
    warehouse: Mapping[str, Any] = contract.warehouse or {}
    return [warehouse["by"]] if warehouse.get("load") == "replace" else []


def export_form(rows: DataFrame, contract: Contract, job: lake.Job) -> DataFrame:
    """The columns of an export file, in order and with the contract's types.

    ``version_at`` is the export's time, not the row's version: in the lake a row may go back to an older version, when
    a newer one is withdrawn, and the warehouse has to follow. What it must refuse is an older export.
    """
    gone = F.col("_op") == "D"
    return rows.select(
        *[F.col(c.name).cast(c.spark_type) for c in contract.columns],
        F.lit(job.started_at).alias("version_at"),
        F.when(gone, F.lit(job.batch_id)).otherwise(F.col("batch_id")).alias("batch_id"),
        "_op",
    )


def write_export(rows: DataFrame, path: str) -> int:
    """Writes the files, counting on the way, and returns the rows written. Without rows no folder stays behind."""
    counted = Observation()
    observed = rows.observe(counted, F.count(F.lit(1)).alias("rows"))
    # COPY takes every file of the folder, so no marker file may lie there. Snappy is the one codec that AWS names for
    # COPY from Parquet; zstd, which the lake's own tables use, is not in that list. Timestamps stay INT96, Spark's
    # default: of INT64 ones it has been reported that COPY reads wrong instants without an error
    # (github.com/apache/arrow/issues/38000, github.com/dask/fastparquet/issues/432).
    rows.sparkSession.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    observed.write.mode("overwrite").option("compression", "snappy").option(
        "mapreduce.fileoutputcommitter.marksuccessfuljobs", "false"
    ).parquet(path)
    written = int(counted.get["rows"])
    if written == 0:
        _delete_folder(rows.sparkSession, path)
    return written


def _delete_folder(spark: SparkSession, path: str) -> None:
    """Removes a folder through Hadoop, which knows the addresses that Spark writes to."""
    context = spark.sparkContext
    assert context._jvm is not None  # set in every started context
    folder = context._jvm.org.apache.hadoop.fs.Path(path)
    folder.getFileSystem(context._jsc.hadoopConfiguration()).delete(folder, True)


def move_tags(spark: SparkSession, table: str, snapshots: TableSnapshots, batch_id: str, loaded: str | None) -> None:
    """Tags the exported snapshot and drops the tags of batches other than this one and the last one loaded.

    When the last loaded batch is replayed its tag stays where it is, since the replay's load may yet fail.
    """
    for tag in snapshots.tags:
        if tag.startswith(TAG_PREFIX) and tag not in {tag_of(b) for b in (batch_id, loaded) if b}:
            spark.sql(f"ALTER TABLE {table} DROP TAG `{tag}`")
    tag = tag_of(batch_id)
    replayed = batch_id == loaded and tag in snapshots.tags
    if snapshots.current is not None and not replayed:
        spark.sql(f"ALTER TABLE {table} CREATE OR REPLACE TAG `{tag}` AS OF VERSION {snapshots.current}")


def export_table(job: lake.Job, table: str, contract: Contract, loaded_batch: str | None) -> tuple[str, dict[str, Any]]:
    """Exports one table. Returns its name in the warehouse, and its metrics."""
    assert contract.warehouse is not None
    name = str(contract.warehouse["table"])
    exports = f"s3://{job.lake.curated}/exports/{name}/"
    path = f"{exports}batch={job.batch_id}/"
    snapshots = read_snapshots(job.spark, table)
    start_tag = tag_of(loaded_batch) if loaded_batch else None
    rows = changed_rows(job, table, contract, snapshots, start_tag)
    doubtful = doubtful_keys(job, contract, exports, loaded_batch)
    if doubtful is not None:
        rows = with_doubtful(rows, doubtful, job.spark.table(table), contract)
    written = 0 if rows is None else write_export(export_form(rows, contract, job), path)
    move_tags(job.spark, table, snapshots, job.batch_id, loaded_batch)
    log.info("%s: %s rows", name, written)
    return name, {
        "rows": written,
        "path": path,
        "from_snapshot": snapshots.tags.get(start_tag) if start_tag else None,
        "to_snapshot": snapshots.current,
    }


def export(job: lake.Job, loaded_batch: str | None) -> dict[str, Any]:
    """Exports every table that a contract sends to the warehouse. Returns metrics by warehouse table."""
    contracts = {job.lake.table(c): c for c in job.contracts.tables if c.warehouse is not None}
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        return dict(pool.map(lambda t: export_table(job, t, contracts[t], loaded_batch), contracts))


def main(argv: list[str]) -> None:
    """Argument: ``--loaded-batch``, the last batch whose load was committed (default: the plan's
    ``loaded_batch``).

    Without one, every row is exported.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--loaded-batch")
    job = lake.start("export", argv, parser)
    with ThreadPoolExecutor(1) as pool:
        segments = pool.submit(write_segments, job)
        metrics = export(job, job.options.loaded_batch or job.plan.get("loaded_batch"))
        log.info("segments of %s customers", segments.result())
    job.write_metrics(metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
