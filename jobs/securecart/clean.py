"""Cleans and conforms landing batches: each record becomes a candidate row, a duplicate, or a quarantined record.

Every record of a batch gets exactly one outcome, so ``read = loaded + deduplicated + quarantined`` holds by
construction and is counted in one pass. Nothing is published here: candidates wait in the staging bucket until the
quality gate has passed.

Order of decisions, each counted apart:

1. **Quarantine**: extraction's own errors, then typing, then the contract's row rules. A rejected record never shadows
   a good one, so this comes before deduplication.
2. ``deleted_at_source``: a later reconciliation of its source did not find the record any more.
   ``older_version``: the record belongs to an earlier version of its object (a corrected drop, an older image of a
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from securecart.errors import JobError
from securecart.lake import Job
from securecart.landing import read_batches, still_there
from securecart.objects import list_objects
from securecart.partitions import registry
from securecart.rules import judge_rows
from securecart.tables import SOURCED_COLUMNS, snapshot_of

log = logging.getLogger(__name__)

#: Tables cleaned at the same time. Their Spark jobs are small, and while one waits for its plan another computes.
PARALLEL_TABLES = 4

#: Landing folders by dataset.
Batches = Mapping[str, list[str]]

#: Sources whose object (a drop, an item) is always extracted whole, so that what it no longer holds is gone.
_WHOLE_OBJECTS = ("csv", "dynamodb")

#: What identifies a version of an object.
_VERSION = ("_dataset", "_object", "_modified", "_batch")


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


def in_range(event_time: str | None, window: Mapping[str, str] | None) -> SparkColumn:
    """Whether a row's event lies in the backfill's days, both included; true without either."""
    if window is None or event_time is None:
        return F.lit(True)
    end = date.fromisoformat(window["to"]) + timedelta(days=1)
    time = F.col(event_time).cast("timestamp")
    return (time >= F.lit(window["from"]).cast("timestamp")) & (time < F.lit(end).cast("timestamp"))


def versions_of(records: DataFrame) -> DataFrame:
    """Every version of every object that is always extracted whole.

    Args:
        records: landing records, at least ``_dataset``, ``_kind``, ``_object``, ``_modified`` and ``_batch``.

    Returns:
        The columns of `_VERSION` and ``_age``, the number of newer versions. Of two versions of one instant that is the
        newer which landed later.
    """
    newest_first = Window.partitionBy("_dataset", "_object").orderBy(F.desc("_modified"), F.desc("_batch"))
    versions = records.filter(F.col("_kind").isin(*_WHOLE_OBJECTS)).select(*_VERSION).distinct()
    return versions.withColumn("_age", F.row_number().over(newest_first) - 1)


def with_ages(records: DataFrame, versions: DataFrame | None) -> DataFrame:
    """Records with the ``_age`` of their object's version; 0 for rows of a table, and for all without ``versions``."""
    if versions is None:
        return records.withColumn("_age", F.lit(0))
    aged = records.join(versions, list(_VERSION), "left")
    return aged.withColumn("_age", F.coalesce("_age", F.lit(0)))


def deduplicate(records: DataFrame, table: Contract) -> DataFrame:
    """Gives every record its outcome among the others; the order of input does not matter.

    Args:
        records: typed records with ``_reason``, ``_op``, ``_dataset``, ``_precedence``, ``_age``, ``version_at`` and
            ``row_hash``; of one table. An ``_outcome`` that they have already stays.
        table: the table's contract.

    Returns:
        The same rows with ``_outcome``: null for a record that stands, else why it does not. Rejected records
        (``quarantined``) and deletions (``deletion``) take no part in the comparison; but where a newer version of an
        object has a key only in rejected records, the last good record of that key stays in force.
    """
    usable = F.col("_outcome").isNull()
    of_key = Window.partitionBy("_dataset", "_object", *table.keys, F.col("_op"))
    good_age = F.min(F.when(usable, F.col("_age"))).over(of_key)
    in_all_newer = F.dense_rank().over(of_key.orderBy("_age")) - 1 == F.col("_age")
    superseded = (F.col("_age") > 0) & ~(in_all_newer & (F.col("_age") == good_age))
    df = records.withColumn("_outcome", F.when(usable & superseded, "older_version").otherwise(F.col("_outcome")))

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

    Returns:
        ``df`` and ``_confirms``: the table has the record, but from an older version or a source that yields. It counts
        as loaded already, yet the row must learn where it stands now, or what comes later would be judged by less.
    """
    known = present.select(
        *[F.col(k).alias(f"_t_{k}") for k in table.keys],
        F.col("version_at").alias("_t_version"),
        F.col("row_hash").alias("_t_hash"),
        F.col("source_system").alias("_t_dataset"),
        F.col("source_object").alias("_t_object"),
        _precedence_of("source_system", precedence).alias("_t_precedence"),
    )
    on = reduce(lambda a, b: a & b, [F.col(k) == F.col(f"_t_{k}") for k in table.keys])
    joined = df.join(known, on, "left")
    newer = F.col("version_at") > F.col("_t_version")
    same = F.col("version_at") == F.col("_t_version")
    before, after = F.col("_precedence") < F.col("_t_precedence"), F.col("_precedence") > F.col("_t_precedence")
    outcome = (
        F.when(F.col("row_hash") == F.col("_t_hash"), "already_loaded")
        .when(F.col("version_at") < F.col("_t_version"), "older_version")
        .when(same & after, "lower_precedence")
    )
    if table.version_column is None:
        # Two objects of one instant: deduplication has the same rule when they come in one batch. An object that comes
        # again is a newer version, whatever its time.
        other = (F.col("_dataset") != F.col("_t_dataset")) | (F.col("_object") != F.col("_t_object"))
        outcome = outcome.when(same & ~before & other & (F.col("row_hash") > F.col("_t_hash")), "older_version")
    confirms = F.col("_outcome").isNull() & (F.col("row_hash") == F.col("_t_hash")) & (newer | (same & before))
    judged = joined.withColumns({"_confirms": confirms, "_outcome": F.coalesce("_outcome", outcome)})
    return judged.select(*df.columns, "_confirms")


def _precedence_of(column: str, precedence: Mapping[str, int]) -> SparkColumn:
    whens = [F.when(F.col(column) == name, rank) for name, rank in precedence.items()]
    return F.coalesce(*whens, F.lit(max(precedence.values(), default=1)))


def withdrawn(present: DataFrame, records: DataFrame, alive: DataFrame, table: Contract) -> DataFrame:
    """Rows of the table that the landing records no longer bear out.

    The row's object was extracted again and its newest version has not the row's key, or has it in an older version
    (a rejected record leaves the row as it is); or the row's source was reconciled and no longer has its place.

    Args:
        present: the table's current rows, or those of some days.
        records: typed records with ``_reason`` and ``_age``, rejected ones and deletions included.
        alive: reconciliation's ``_dataset``, ``_object``, ``_position`` and ``_modified``; empty without one.
        table: the table's contract.

    Returns:
        Their keys and ``_withdrawn``, the version in which the table has them.
    """
    row_object = [F.col("_dataset").alias("source_system"), F.col("_object").alias("source_object")]
    whole = records.filter(F.col("_kind").isin(*_WHOLE_OBJECTS))
    good_version = F.when(F.col("_reason").isNull(), F.col("version_at"))
    borne_out = (
        whole.filter((F.col("_age") == 0) & (F.col("_op") == "U"))
        .groupBy(*row_object, *table.keys)
        .agg(F.max(good_version).alias("_good"), F.max(F.col("_reason").isNotNull()).alias("_rejected"))
    )
    holds = F.coalesce("_rejected", F.lit(False)) | F.coalesce(F.col("_good") >= F.col("version_at"), F.lit(False))
    of_object = ["source_system", "source_object"]
    by_object = present.join(whole.select(*row_object).distinct(), of_object, "left_semi")
    by_object = by_object.join(borne_out, [*of_object, *table.keys], "left").filter(~holds)

    reconciled = _last_reconciliation(alive)
    system = F.col("_dataset").alias("source_system")
    later = records.join(reconciled, "_dataset").filter((F.col("_op") == "U") & (F.col("_modified") > F.col("_at")))
    place = ["_dataset", "_object", "_position"]
    places = _places(alive, reconciled).select(*place).unionByName(later.select(*place))
    places = places.select(*row_object, F.col("_position").alias("source_position"))
    by_place = present.join(reconciled.select(system), "source_system", "left_semi")
    by_place = by_place.join(places, places.columns, "left_anti")
    found = [df.select(*table.keys, F.col("version_at").alias("_withdrawn")) for df in (by_object, by_place)]
    return found[0].unionByName(found[1]).dropDuplicates(list(table.keys))


def _last_reconciliation(alive: DataFrame) -> DataFrame:
    """``_dataset`` and ``_at``, when the dataset was reconciled last."""
    return alive.groupBy("_dataset").agg(F.max("_modified").alias("_at"))


def _places(alive: DataFrame, reconciled: DataFrame) -> DataFrame:
    """What the last reconciliation of each dataset found at the source."""
    return (
        alive.join(reconciled, "_dataset").filter(F.col("_modified") == F.col("_at")).select(*alive.columns).distinct()
    )


def without_deleted(records: DataFrame, alive: DataFrame) -> DataFrame:
    """Gives good records that a later reconciliation did not find at their source the outcome ``deleted_at_source``."""
    reconciled = _last_reconciliation(alive)
    place = ["_dataset", "_object", "_position"]
    last = _places(alive, reconciled).select(*place, F.lit(True).alias("_alive"))
    joined = records.join(F.broadcast(reconciled), "_dataset", "left").join(last, place, "left")
    known_then = (F.col("_modified") <= F.col("_at")) & F.col("_alive").isNull()
    return joined.withColumn("_outcome", F.coalesce("_outcome", F.when(known_then, "deleted_at_source"))).select(
        *records.columns
    )


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


@dataclass(frozen=True)
class _Landed:
    """Landing records of one table, typed and judged, and the places that reconciliations found at the sources."""

    records: DataFrame
    alive: DataFrame

    def union(self, other: _Landed) -> _Landed:
        return _Landed(self.records.unionByName(other.records), self.alive.unionByName(other.alive))


def _read_landed(job: Job, table: Contract, batches: Batches, own: bool) -> _Landed | None:
    """Reads landing batches of one table; None when there are none. ``_own`` marks the records of this run."""
    sources = [s for s in job.contracts.sources_of(table.name) if batches.get(s.name)]
    if not sources:
        return None
    raws = {s.name: read_batches(job.spark, batches[s.name], s, "_batch") for s in sources}
    parts = [_records(job, table, s, raws[s.name].filter(F.col("_op") != "K")) for s in sources]
    places = ("_object", "_position", "_modified")
    kept = [raws[s.name].filter(F.col("_op") == "K").select(F.lit(s.name).alias("_dataset"), *places) for s in sources]
    records = reduce(DataFrame.unionByName, parts).withColumn("_own", F.lit(own))
    apart = F.when(F.col("_reason").isNotNull(), "quarantined").when(F.col("_op") == "D", "deletion")
    return _Landed(records.withColumn("_outcome", apart), reduce(DataFrame.unionByName, kept))


def _several_versions(job: Job) -> bool:
    """Whether the run's own batch may hold more than one version of an object.

    Of a drop it has the newest, of an item one per export.
    """
    if job.plan.get("mode", "incremental") != "incremental":
        return True
    return any(len(e.get("exports", [])) > 1 for e in job.plan["extracts"])


def clean_table(job: Job, table: Contract, landing: Batches, history: Batches) -> dict[str, dict[str, Any]]:
    """Cleans all batches that feed one table; writes its candidates and quarantine.

    What the table is to hold follows from all that has landed: of every object the newest version, of every key the
    best record among them. An ordinary run gets there from the table and its own batch. Only for rows that its batch
    withdraws does it look into earlier batches, since another object may hold the same key. A backfill, and the replay
    of a batch that others followed, judge all batches together.

    Args:
        landing: landing folders of this run by dataset, oldest first.
        history: those that other runs have committed.

    Returns:
        Counts by dataset: read, loaded, deduplicated by reason, quarantined by reason, and rows removed.
    """
    own = _read_landed(job, table, landing, own=True)
    if own is None:
        raise JobError(f"the plan of batch {job.batch_id} has no landing folder for table '{table.name}'")
    past = _read_landed(job, table, history, own=False)
    present = job.spark.table(job.lake.table(table))
    first_load = snapshot_of(job.spark, job.lake.table(table)) is None
    backfill = job.plan.get("mode") == "backfill"
    overtaken = past is not None and job.plan.get("mode") == "replay" and _overtaken(landing, history)
    window = in_range(table.event_time, job.plan.get("range"))

    everything = own.union(past) if past is not None and overtaken else own
    versions = versions_of(everything.records) if backfill or _several_versions(job) else None
    records = with_ages(everything.records, versions)
    lost = None
    if not first_load:
        lost = withdrawn(present.filter(window), records, everything.alive, table).persist()
        if lost.isEmpty():
            lost = None
        elif past is not None and not overtaken:
            everything = own.union(past)
            versions = versions_of(everything.records)
            others = with_ages(past.records, versions).join(lost, list(table.keys), "left_semi")
            records = with_ages(own.records, versions).unionByName(others)
    if not everything.alive.isEmpty():
        records = without_deleted(records, everything.alive)
    settled = deduplicate(records, table)
    if first_load or backfill:
        settled = settled.withColumn("_confirms", F.lit(False))
    else:
        precedence = {s.name: s.precedence for s in job.contracts.sources_of(table.name)}
        staying = present if lost is None else present.join(lost, list(table.keys), "left_anti")
        settled = against_table(settled, staying, table, precedence)
    if lost is None:
        settled = settled.withColumn("_withdrawn", F.lit(None).cast("timestamp"))
    else:
        settled = settled.join(lost, list(table.keys), "left")
    if overtaken:
        # Only keys of the batch that is replayed are its affair, and rows that it turned out to withdraw.
        replayed = own.records.select(*table.keys, F.lit(True).alias("_replayed")).distinct()
        marked = settled.join(replayed, list(table.keys), "left")
        settled = marked.filter("_own OR _replayed OR _withdrawn IS NOT NULL").drop("_replayed")
    # Only now: what lies outside the days still decides about what lies inside, as a deletion or a newer version.
    settled = settled.filter(window | (F.col("_outcome").isNull() & F.col("_withdrawn").isNotNull()))
    settled = settled.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts = _counts(
            settled.filter("_own"), [s.name for s in job.contracts.sources_of(table.name) if s.name in landing]
        )
        changes = _candidates(settled.filter("_outcome IS NULL OR _confirms"), table, job.batch_id)
        if lost is not None:
            gone = lost.join(settled.filter("_outcome IS NULL"), list(table.keys), "left_anti")
            deletions = _deletions(present.join(gone, list(table.keys)), job.batch_id)
            first = next(iter(counts.values()))
            first["removed_rows"] = deletions.count()
            first["restored_rows"] = settled.filter("_outcome IS NULL AND NOT _own").count()
            changes = changes.unionByName(deletions)
        changes.write.mode("overwrite").parquet(job.lake.candidates(table.name, job.batch_id))
        for dataset, entry in counts.items():
            # A corrected contract may leave nothing to reject: what the batch's earlier try rejected goes then, too.
            if entry["quarantined"] or list_objects(job.lake.rejected(dataset, job.batch_id)):
                _quarantine(job, table, settled.filter("_own"), dataset)
        return counts
    finally:
        settled.unpersist()
        if lost is not None:
            lost.unpersist()


def _overtaken(landing: Batches, history: Batches) -> bool:
    """Whether a later batch has been committed than the one that is replayed; batch ids sort by their start."""
    newest = max((_batch_of(path) for paths in landing.values() for path in paths), default="")
    return any(_batch_of(path) > newest for paths in history.values() for path in paths)


def _batch_of(path: str) -> str:
    return path.rstrip("/").rpartition("batch=")[2]


def _candidates(accepted: DataFrame, table: Contract, batch_id: str) -> DataFrame:
    """Rows for the table, ``_op`` U; ``_over`` is the newest version of the row in the table that each may replace."""
    lineage = {
        "source_system": F.col("_dataset"),
        "source_object": F.col("_object"),
        "source_position": F.col("_position"),
        "version_at": F.col("version_at"),
        "batch_id": F.lit(batch_id),
        "row_hash": F.col("row_hash"),
    }
    technical = [lineage[name].cast(kind).alias(name) for name, kind in SOURCED_COLUMNS.items()]
    over = F.greatest("version_at", "_withdrawn")  # the one that is not null when there is one
    return accepted.select(*table.names, *technical, over.alias("_over"), F.lit("U").alias("_op"))


def _deletions(gone: DataFrame, batch_id: str) -> DataFrame:
    """The table's rows to delete, in the form of candidates."""
    marks = {"batch_id": F.lit(batch_id), "_over": F.col("_withdrawn"), "_op": F.lit("D")}
    return gone.withColumns(marks).drop("_withdrawn")


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
    folder = job.lake.rejected(dataset, job.batch_id)
    rejected.coalesce(1).write.mode("overwrite").parquet(folder)
    partition = {"dataset": dataset, "batch": job.batch_id}
    registry().register(job.options.quarantine_db, "records", partition, folder)


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


def _by_table(job: Job, folders: Sequence[Mapping[str, str]]) -> dict[str, dict[str, list[str]]]:
    """Landing folders of a plan by table, then by dataset."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry in folders:
        found[job.contracts[entry["dataset"]].feeds][entry["dataset"]].append(entry["path"])
    return found


def main(argv: list[str]) -> None:
    """Cleans every dataset of the plan, several tables at a time."""
    job = lake.start("clean", argv)
    landing = _by_table(job, job.plan["landing"])
    history = _by_table(job, still_there(job.plan.get("history", [])))
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        tables = [(job.contracts[name], by_dataset, history[name]) for name, by_dataset in landing.items()]
        results = pool.map(lambda t: clean_table(job, *t), tables)
        datasets = {name: counts for result in results for name, counts in result.items()}
    for name, counts in sorted(datasets.items()):
        log.info("%s: %s", name, counts)
    job.write_metrics(datasets)


if __name__ == "__main__":
    main(sys.argv[1:])
