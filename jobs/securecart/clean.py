"""Cleans and conforms landing batches: each record becomes a candidate row, a duplicate, or a quarantined record.

Every record of a batch gets exactly one outcome, so ``read = loaded + deduplicated + quarantined`` holds by
construction and is counted in one pass. Nothing is published here: candidates wait in the staging bucket until the
quality gate has passed.

Order of decisions, each counted apart:

1. **Quarantine**: extraction's own errors, then typing, then the contract's row rules. A rejected record never shadows
   a good one, so this comes before deduplication.
2. ``older_version``: the record belongs to an earlier version of its object (a corrected drop, an older image of a
   DynamoDB item).
3. ``exact_copy``: the same dataset has the same record again; the newest copy stays.
4. ``older_version`` / ``lower_precedence``: another record has the same business key and a newer version, or the same
   version and comes from a source with precedence.
5. ``already_loaded`` / ``older_version`` / ``lower_precedence``: the table has this record, a newer one, or one from a
   source with precedence.
6. Otherwise it is **loaded**.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import reduce
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from securecart import lake
from securecart.conform import conform, content_hash
from securecart.contract import Contract
from securecart.lake import Job
from securecart.landing import read_batches
from securecart.rules import judge_rows
from securecart.tables import SOURCED_COLUMNS, snapshot_of

log = logging.getLogger(__name__)

#: Tables cleaned at the same time. Their Spark jobs are small, and while one waits for its plan another computes.
PARALLEL_TABLES = 4

#: Sources whose object (a drop, an item) is always extracted whole, so that what it no longer holds is gone.
_WHOLE_OBJECTS = ("csv", "dynamodb")


def with_recipe(raw: DataFrame, recipe_output: DataFrame, columns: tuple[str, ...]) -> DataFrame:
    """Landing records with the business columns as a recipe left them; records it removed get RECIPE_REMOVED."""
    marks = ["_object", "_position", "_modified"]  # a row of a table has the same position in every batch
    kept = recipe_output.select(*marks, *[F.col(c).alias(f"_out_{c}") for c in columns], F.lit(True).alias("_kept"))
    joined = raw.join(kept, marks, "left")
    took_part = F.col("_error").isNull() & (F.col("_op") == "U")
    removed = took_part & F.col("_kept").isNull()
    return joined.select(
        *[F.when(took_part, F.col(f"_out_{c}")).otherwise(F.col(c)).alias(c) for c in columns],
        *[c for c in raw.columns if c not in columns and c not in ("_error", "_detail")],
        F.when(removed, "RECIPE_REMOVED").otherwise(F.col("_error")).alias("_error"),
        F.when(removed, "a step of the dataset's recipe removed the record")
        .otherwise(F.col("_detail"))
        .alias("_detail"),
    )


def in_range(df: DataFrame, event_time: str | None, window: Mapping[str, str] | None) -> DataFrame:
    """Only records whose event lies in the backfill's days, both included; all of them without either."""
    if window is None or event_time is None:
        return df
    end = date.fromisoformat(window["to"]) + timedelta(days=1)
    time = F.col(event_time).cast("timestamp")
    return df.filter((time >= F.lit(window["from"]).cast("timestamp")) & (time < F.lit(end).cast("timestamp")))


def deduplicate(records: DataFrame, table: Contract) -> DataFrame:
    """Gives every record of a batch its outcome among the others; the order of input does not matter.

    Args:
        records: typed records with ``_reason``, ``_op``, ``_dataset``, ``_kind``, ``_precedence``, ``version_at`` and
            ``row_hash``; of one table.
        table: the table's contract.

    Returns:
        The same rows with ``_outcome``: null for a record that stands, else why it does not. Rejected records
        (``quarantined``) and deletions (``deletion``) take no part in the comparison.
    """
    apart = F.when(F.col("_reason").isNotNull(), "quarantined").when(F.col("_op") == "D", "deletion")
    by_object = Window.partitionBy("_dataset", "_object")
    superseded = F.col("_kind").isin(*_WHOLE_OBJECTS) & (F.col("_modified") < F.max("_modified").over(by_object))
    df = records.withColumn("_outcome", F.coalesce(apart, F.when(superseded, "older_version")))

    stands = F.col("_outcome").isNull()
    newest_copy = [F.col("_modified").desc(), F.col("_object").desc(), F.col("_position").asc_nulls_last()]
    copies = Window.partitionBy("row_hash", "_dataset", stands).orderBy(*newest_copy)
    df = df.withColumn("_copy", F.row_number().over(copies))
    df = df.withColumn("_outcome", F.when(stands & (F.col("_copy") > 1), "exact_copy").otherwise(F.col("_outcome")))

    stands = F.col("_outcome").isNull()
    same_key = Window.partitionBy(*table.keys, stands)
    ranked = same_key.orderBy(
        F.col("version_at").desc(),
        F.col("_precedence").asc(),
        F.col("_modified").desc(),
        F.col("row_hash").asc(),
    )
    best = F.first(F.struct("version_at", "_precedence")).over(ranked)
    df = df.withColumns({"_rank": F.row_number().over(ranked), "_best": best})
    outranked = (F.col("version_at") == F.col("_best.version_at")) & (F.col("_precedence") > F.col("_best._precedence"))
    lost = F.when(outranked, "lower_precedence").otherwise("older_version")
    df = df.withColumn("_outcome", F.when(stands & (F.col("_rank") > 1), lost).otherwise(F.col("_outcome")))
    return df.drop("_copy", "_rank", "_best")


def against_table(df: DataFrame, present: DataFrame, table: Contract, precedence: Mapping[str, int]) -> DataFrame:
    """Gives records that the table already holds, or holds in a better version, their outcome.

    Args:
        df: the output of `deduplicate`.
        present: the table's current rows.
        table: its contract.
        precedence: precedence by source system.
    """
    known = present.select(
        *[F.col(k).alias(f"_t_{k}") for k in table.keys],
        F.col("version_at").alias("_t_version"),
        F.col("row_hash").alias("_t_hash"),
        _precedence_of("source_system", precedence).alias("_t_precedence"),
    )
    on = reduce(lambda a, b: a & b, [F.col(k) == F.col(f"_t_{k}") for k in table.keys])
    joined = df.join(known, on, "left")
    same = F.col("version_at") == F.col("_t_version")
    outcome = (
        F.when(F.col("row_hash") == F.col("_t_hash"), "already_loaded")
        .when(F.col("version_at") < F.col("_t_version"), "older_version")
        .when(same & (F.col("_precedence") > F.col("_t_precedence")), "lower_precedence")
    )
    return joined.withColumn("_outcome", F.coalesce("_outcome", outcome)).select(*df.columns)


def _precedence_of(column: str, precedence: Mapping[str, int]) -> SparkColumn:
    whens = [F.when(F.col(column) == name, rank) for name, rank in precedence.items()]
    return F.coalesce(*whens, F.lit(max(precedence.values(), default=1)))


def vanished(present: DataFrame, records: DataFrame, alive: DataFrame, table: Contract) -> DataFrame:
    """Rows to delete: their object was extracted again, or their source reconciled, and they are no longer there.

    Args:
        present: the table's current rows.
        records: the batch's typed records, rejected ones included (a rejected new version does not delete the old row).
        alive: reconciliation's ``_dataset``, ``_object``, ``_position`` and ``_modified``; empty without one.
        table: the table's contract.

    Returns:
        The table's rows to delete, ``version_at`` set to the time at which the source no longer had them.
    """
    objects = (
        records.filter(F.col("_kind").isin(*_WHOLE_OBJECTS))
        .groupBy(F.col("_dataset").alias("source_system"), F.col("_object").alias("source_object"))
        .agg(F.max("_modified").alias("_seen"))
    )
    systems = alive.groupBy(F.col("_dataset").alias("source_system")).agg(F.max("_modified").alias("_seen"))
    still = records.filter(F.col("_op") == "U").select(*table.keys)
    places = alive.select(
        F.col("_dataset").alias("source_system"),
        F.col("_object").alias("source_object"),
        F.col("_position").alias("source_position"),
    )
    by_object = present.join(objects, ["source_system", "source_object"])
    by_place = present.join(systems, "source_system").join(places, places.columns, "left_anti")
    gone = by_object.select(*present.columns, "_seen").unionByName(by_place.select(*present.columns, "_seen"))
    gone = gone.join(still, list(table.keys), "left_anti").dropDuplicates(list(table.keys))
    return gone.withColumn("version_at", F.col("_seen")).drop("_seen")


def _records(job: Job, table: Contract, source: Contract, raw: DataFrame) -> DataFrame:
    """One source's landing records, typed and judged."""
    if source.recipe:
        out = job.spark.read.parquet(job.lake.recipe_folder(source.name, "out"))
        names = tuple(c.name for c in source.columns if c.hash_except is None)
        raw = with_recipe(raw, out, names)
    typed = conform(raw, source, table, job.contracts.reference)
    typed = judge_rows(typed, table)
    # A deletion carries nothing but its key: no column can be missing.
    typed = typed.withColumn("_reason", F.when(F.col("_op") == "U", F.col("_reason")))
    version = table.version_column
    kind = str((source.source or {}).get("kind"))
    return typed.withColumns(
        {
            "_dataset": F.lit(source.name),
            "_kind": F.lit(kind),
            "_precedence": F.lit(source.precedence),
            "version_at": F.col(version) if version else F.col("_modified"),
            "row_hash": content_hash(table),
        }
    )


def clean_table(job: Job, table: Contract, landing: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Cleans all batches that feed one table; writes its candidates and quarantine.

    Args:
        landing: landing folders by dataset, oldest first.

    Returns:
        Counts by dataset: read, loaded, deduplicated by reason, quarantined by reason, and rows removed.
    """
    sources = [s for s in job.contracts.sources_of(table.name) if s.name in landing]
    raws = {s.name: read_batches(job.spark, landing[s.name], s) for s in sources}
    parts = [_records(job, table, s, raws[s.name].filter(F.col("_op") != "K")) for s in sources]
    places = ("_object", "_position", "_modified")
    kept = [raws[s.name].filter(F.col("_op") == "K").select(F.lit(s.name).alias("_dataset"), *places) for s in sources]
    alive = reduce(DataFrame.unionByName, kept)

    present = job.spark.table(job.lake.table(table))
    first_load = snapshot_of(job.spark, job.lake.table(table)) is None
    replaying = job.plan.get("mode") == "backfill"
    settled = deduplicate(reduce(DataFrame.unionByName, parts), table)
    if replaying:
        # Old batches hold rows that their source has deleted since; the newest reconciliation knows which.
        settled = _drop_deleted_at_source(settled, alive)
    elif not first_load:
        precedence = {s.name: s.precedence for s in job.contracts.sources_of(table.name)}
        settled = against_table(settled, present, table, precedence)
    # Only now: what lies outside the days still decides about what lies inside, as a deletion or a newer version.
    settled = in_range(settled, table.event_time, job.plan.get("range")).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts = _counts(settled, [s.name for s in sources])
        changes = _candidates(settled.filter(F.col("_outcome").isNull()), table, job.batch_id)
        if not first_load and not replaying:
            marks = {"batch_id": F.lit(job.batch_id), "_op": F.lit("D")}
            gone = vanished(present, settled, alive, table).withColumns(marks).persist()
            counts[sources[0].name]["removed_rows"] = gone.count()
            changes = changes.unionByName(gone)
        changes.write.mode("overwrite").parquet(job.lake.candidates(table.name, job.batch_id))
        for dataset, entry in counts.items():
            if entry["quarantined"]:
                _quarantine(job, table, settled, dataset)
        return counts
    finally:
        settled.unpersist()


def _drop_deleted_at_source(outcomes: DataFrame, alive: DataFrame) -> DataFrame:
    newest = alive.groupBy("_dataset").agg(F.max("_modified").alias("_reconciled"))
    place = ["_dataset", "_object", "_position"]
    last = alive.join(newest, "_dataset").filter(F.col("_modified") == F.col("_reconciled"))
    last = last.select(*place, F.lit(True).alias("_alive")).distinct()
    joined = outcomes.join(newest, "_dataset", "left").join(last, place, "left")
    known_before = F.col("_modified") <= F.col("_reconciled")
    deleted = F.when(known_before & F.col("_alive").isNull(), "deleted_at_source")
    return joined.withColumn("_outcome", F.coalesce("_outcome", deleted)).select(*outcomes.columns)


def _candidates(accepted: DataFrame, table: Contract, batch_id: str) -> DataFrame:
    lineage = {
        "source_system": F.col("_dataset"),
        "source_object": F.col("_object"),
        "source_position": F.col("_position"),
        "version_at": F.col("version_at"),
        "batch_id": F.lit(batch_id),
        "row_hash": F.col("row_hash"),
    }
    technical = [lineage[name].cast(kind).alias(name) for name, kind in SOURCED_COLUMNS.items()]
    return accepted.select(*table.names, *technical, F.lit("U").alias("_op"))


def _quarantine(job: Job, table: Contract, records: DataFrame, dataset: str) -> None:
    """Writes a dataset's rejected records: where each came from, why it was rejected, and what it was."""
    key = F.concat_ws("|", *[F.col(k).cast("string") for k in table.keys])
    rejected = records.filter(F.col("_reason").isNotNull() & (F.col("_dataset") == dataset)).select(
        F.col("_object").alias("source_object"),
        F.col("_position").alias("source_position"),
        F.when(key != "", key).alias("record_key"),
        F.col("_reason").alias("reason"),
        F.col("_detail").alias("detail"),
        F.col("_raw").alias("raw_record"),
        F.lit(job.started_at.isoformat()).cast("timestamp").alias("quarantined_at"),
    )
    rejected.coalesce(1).write.mode("overwrite").parquet(job.lake.rejected(dataset, job.batch_id))


def _counts(settled: DataFrame, datasets: list[str]) -> dict[str, dict[str, Any]]:
    counts: dict[str, dict[str, Any]] = {
        d: {"read": 0, "loaded": 0, "deleted": 0, "deduplicated": defaultdict(int), "quarantined": defaultdict(int)}
        for d in datasets
    }
    for dataset, outcome, reason, number in settled.groupBy("_dataset", "_outcome", "_reason").count().collect():
        entry = counts[dataset]
        entry["read"] += number
        if outcome == "quarantined":
            entry["quarantined"][reason] += number
        elif outcome in (None, "deletion"):
            entry["loaded"] += number
            entry["deleted"] += number if outcome == "deletion" else 0
        else:
            entry["deduplicated"][outcome] += number
    return counts


def main(argv: list[str]) -> None:
    """Cleans every dataset of the plan, several tables at a time."""
    job = lake.start("clean", argv)
    landing: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry in job.plan["landing"]:
        landing[job.contracts[entry["dataset"]].feeds][entry["dataset"]].append(entry["path"])
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        tables = [(job.contracts[name], by_dataset) for name, by_dataset in landing.items()]
        results = pool.map(lambda t: clean_table(job, *t), tables)
        datasets = {name: counts for result in results for name, counts in result.items()}
    for name, counts in sorted(datasets.items()):
        log.info("%s: %s", name, counts)
    job.write_metrics(datasets)


if __name__ == "__main__":
    main(sys.argv[1:])
