"""Clickstream: the stream's records become events, sessions and behaviour tables, minutes after they happen.

The query keeps no state of its own. What is known lies in the Iceberg tables, and each batch

1. gives every record its outcome, looking up copies among the events (`securecart.click_events`),
2. appends the accepted events, once: the append carries the batch's name, and a batch that is repeated after a crash
   finds it,
3. computes the sessions anew that the events touch (`securecart.sessions`), then the days and visitors that these
   touch (`securecart.behaviour`), and brings each table from what it holds to what it should hold, by key,
4. writes what it did to the stream's progress.

A repeated batch therefore ends where the first try would have ended, from wherever that one was killed, and a lost
checkpoint costs a second reading but no wrong number within the deduplication's horizon.
"""

from __future__ import annotations

import argparse
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from securecart import lake
from securecart.behaviour import FEATURE_DAYS, abandoned_carts, product_behaviour, session_funnel, user_features
from securecart.click_events import ACCEPTED, QUARANTINED, Limits, enrich, read_records, settle
from securecart.curate import differences
from securecart.errors import JobError
from securecart.maintenance import compact, expire
from securecart.partitions import registry
from securecart.sessions import affected_spans, sessions_of
from securecart.snapshots import append, read_snapshots
from securecart.stream_progress import Counts, Progress
from securecart.stream_source import files, kinesis
from securecart.tables import merge_changes

log = logging.getLogger(__name__)

STREAM = "clickstream"
EVENTS, SESSIONS = "clickstream_events", "sessions"
FUNNEL, PRODUCTS, CARTS, FEATURES = "session_funnel", "product_behaviour", "abandoned_carts", "user_features"
TABLES = (EVENTS, SESSIONS, FUNNEL, PRODUCTS, CARTS, FEATURES)

#: Snapshot property of the events table: the batch that appended.
BATCH_PROPERTY = "securecart.stream-batch"

PARALLEL_TABLES = 4

#: Commits of a table kept whatever their age.
KEEP_LAST = 10


@dataclass(frozen=True)
class Outcomes:
    """The records of a batch with their outcomes (`click_events.settle`), and what was seen on the way.

    ``received``: how many came. ``arrived``: when the stream received the oldest. ``first``, ``last``: the times of the
    accepted events, in microseconds since 1970; 0 without any.
    """

    rows: DataFrame
    received: int
    arrived: datetime
    first: int
    last: int


@dataclass(frozen=True)
class Batch:
    """One micro-batch: its name, the same whenever it is repeated, and the tables that it writes."""

    job: lake.Job
    batch_id: str
    limits: Limits
    now: datetime

    def table(self, name: str) -> str:
        return self.job.lake.table(self.job.contracts[name])

    def rows(self, name: str) -> DataFrame:
        return self.job.spark.table(self.table(name))

    def outcomes(self, records: DataFrame) -> Outcomes:
        """Every record with its outcome, kept where it was computed."""
        seen, settled = Observation(), Observation()
        read = read_records(records, self.job.contracts[STREAM], self.job.contracts.reference)
        counted = (F.count(F.lit(1)).alias("received"), F.min(F.unix_micros("arrived_at")).alias("since"))
        read = read.observe(seen, *counted).localCheckpoint()
        since = int(seen.get["since"] or 0)
        horizon = F.timestamp_micros(F.lit(since - round(self.limits.deduplication_hours * 3_600_000_000)))
        known = self.rows(EVENTS).where(
            # What an earlier try of this batch appended is no earlier event.
            (F.col("batch_id") != self.batch_id)
            & (F.col("occurred_at") >= horizon)
            & (F.col("event_date") >= F.to_date(horizon))
        )
        known = known.select("event_id", "row_hash", "occurred_at")
        when = F.when(F.col("_outcome") == ACCEPTED, F.unix_micros("occurred_at"))
        span = (F.min(when).alias("first"), F.max(when).alias("last"))
        rows = settle(read, known, self.limits).observe(settled, *span).localCheckpoint()
        return Outcomes(
            rows,
            received=int(seen.get["received"]),
            arrived=datetime.fromtimestamp(since / 1_000_000, UTC),
            first=int(settled.get["first"] or 0),
            last=int(settled.get["last"] or 0),
        )

    def append_events(self, accepted: DataFrame) -> None:
        """Adds the accepted events in one commit, unless an earlier try of this batch has."""
        table = self.table(EVENTS)
        if read_snapshots(self.job.spark, table, BATCH_PROPERTY).property == self.batch_id:
            return
        rows = accepted.select(
            *self.job.contracts[EVENTS].names,
            F.lit(STREAM).alias("source_system"),
            F.lit((self.job.contracts[STREAM].source or {})["stream"]).alias("source_object"),
            F.lit(None).cast("bigint").alias("source_position"),
            F.lit(self.now).alias("version_at"),
            F.lit(self.batch_id).alias("batch_id"),
            "row_hash",
        )
        append(table, rows, BATCH_PROPERTY, self.batch_id)

    def replace_rows(self, name: str, old: DataFrame, new: DataFrame, within: str = "TRUE") -> None:
        """Brings ``new`` into a table in place of ``old``; rows that do not change are not touched.

        Args:
            old: the table's rows that may change.
            new: those rows as they should be.
            within: where these rows lie, see `merge_changes`.
        """
        contract = self.job.contracts[name]
        if read_snapshots(self.job.spark, self.table(name)).current is None:
            # Into an empty table an append has the same effect, and needs no comparison.
            first = new.select(
                *contract.names, F.lit(self.now).alias("version_at"), F.lit(self.batch_id).alias("batch_id")
            )
            first.writeTo(self.table(name)).append()
            return
        counted = Observation()
        changed = F.col("_op") != "unchanged"
        changes = (
            differences(old, new.select(*contract.names), contract.keys)
            .where(changed)
            .observe(counted, F.count(F.lit(1)).alias("changed"))
            .localCheckpoint()
        )
        if int(counted.get["changed"]) == 0:
            return
        gone = F.col("new").isNull()
        rows = changes.select(
            *[F.when(gone, F.col(f"old.{c}")).otherwise(F.col(f"new.{c}")).alias(c) for c in contract.names],
            # The warehouse lets no older version win, whatever the clock did between two batches.
            F.greatest(F.lit(self.now), "version_at").alias("version_at"),
            F.lit(self.batch_id).alias("batch_id"),
            F.when(gone, "D").otherwise("U").alias("_op"),
        )
        merge_changes(self.table(name), rows, contract.keys, "TRUE", within)

    def renew(self, accepted: DataFrame, first: int, last: int) -> None:
        """Computes what the accepted events touch: sessions, then days and visitors.

        Args:
            first: the time of the earliest of them, in microseconds since 1970.
            last: that of the latest.
        """
        gap = self.limits.session_gap_minutes
        touched = accepted.groupBy("visitor_id").agg(
            F.min("occurred_at").alias("first_at"), F.max("occurred_at").alias("last_at")
        )
        pause = round(gap * 60_000_000)
        near = (F.col("ended_at") >= F.timestamp_micros(F.lit(first - pause))) & (
            F.col("started_at") <= F.timestamp_micros(F.lit(last + pause))
        )
        spans = affected_spans(touched, self.rows(SESSIONS).where(near), gap).localCheckpoint()
        # A session's day is that of an event of its span, also of a session that is replaced.
        every_day = F.explode(F.sequence(F.to_date("from_at"), F.to_date("to_at")))
        days: list[date] = [row[0] for row in spans.select(every_day.alias("day")).distinct().collect()]
        visitors = F.broadcast(spans.select("visitor_id"))

        def in_span(time: str) -> Column:
            within = F.col(f"e.{time}").between(F.col("p.from_at"), F.col("p.to_at"))
            return (F.col("e.visitor_id") == F.col("p.visitor_id")) & within

        def replace_days(name: str, day: str, new: DataFrame) -> None:
            self.replace_rows(name, self.rows(name).where(F.col(day).isin(days)), new, _on(day, days))

        with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
            day_events = self.rows(EVENTS).where(F.col("event_date").isin(days))
            done = [pool.submit(replace_days, PRODUCTS, "behaviour_date", product_behaviour(day_events))]

            events = day_events.alias("e").join(F.broadcast(spans).alias("p"), in_span("occurred_at")).select("e.*")
            old = self.rows(SESSIONS).where(F.col("session_date").isin(days)).alias("e")
            old = old.join(F.broadcast(spans).alias("p"), in_span("started_at"), "left_semi")
            self.replace_rows(SESSIONS, old, sessions_of(events, gap), _on("session_date", days))

            sessions = self.rows(SESSIONS).where(F.col("session_date").isin(days))
            done.append(pool.submit(replace_days, FUNNEL, "funnel_date", session_funnel(sessions)))
            done.append(pool.submit(replace_days, CARTS, "cart_date", abandoned_carts(sessions)))
            history = self.rows(SESSIONS).where(
                F.col("session_date") >= F.lit(min(days) - timedelta(days=FEATURE_DAYS))
            )
            features = user_features(history.join(visitors, "visitor_id", "left_semi"))
            known = self.rows(FEATURES).join(visitors, "visitor_id", "left_semi")
            done.append(pool.submit(self.replace_rows, FEATURES, known, features))
            for one in done:
                one.result()

    def quarantine(self, rejected: DataFrame) -> None:
        """Writes the rejected records in the layout of all quarantines; a repeated batch replaces its own."""
        folder = self.job.lake.rejected(STREAM, self.batch_id)
        rejected.select(
            F.lit((self.job.contracts[STREAM].source or {})["stream"]).alias("source_object"),
            F.lit(None).cast("bigint").alias("source_position"),
            F.col("event_id").alias("record_key"),
            F.col("_reason").alias("reason"),
            F.lit(None).cast("string").alias("detail"),
            F.col("_raw").alias("raw_record"),
            F.lit(self.now).alias("quarantined_at"),
        ).coalesce(1).write.mode("overwrite").parquet(folder)
        partition = {"dataset": STREAM, "batch": self.batch_id}
        registry().register(self.job.options.quarantine_db, "records", partition, folder)

    def run(self, records: DataFrame) -> tuple[Counts, datetime]:
        """Processes the batch. Returns its counts, and when the stream received its oldest record.

        Raises:
            JobError: when a record has no outcome or more than one.
        """
        outcomes = self.outcomes(records)
        counts = Counts.of(outcomes.rows)
        if counts.accounted != outcomes.received:
            raise JobError(
                f"batch {self.batch_id} of the stream {STREAM}: {outcomes.received} records came, but "
                f"{counts.accounted} are accounted for ({counts.document()}). Nothing was written; this is a defect of "
                "click_events.settle."
            )
        if counts.quarantined:
            self.quarantine(outcomes.rows.where(F.col("_outcome") == QUARANTINED))
        if counts.accepted:
            accepted = enrich(outcomes.rows.where(F.col("_outcome") == ACCEPTED), self.limits.own_hosts)
            self.append_events(accepted)
            self.renew(accepted, outcomes.first, outcomes.last)
        return counts, outcomes.arrived


def _on(column: str, days: list[date]) -> str:
    """The SQL condition that a row of the table ``t`` lies on one of these days."""
    return f"t.`{column}` IN ({', '.join(f'DATE {str(day)!r}' for day in days)})"


def batch_name(query: str, number: int) -> str:
    """A batch's name: its number is unique in its query, whose id lives and dies with the checkpoint."""
    return f"{STREAM}-{query[:8]}-{number:08d}"


def source_of(job: lake.Job) -> DataFrame:
    """The stream that the arguments name."""
    options = job.options
    if options.stream_arn:
        return kinesis(job.spark, options.stream_arn)
    if options.stream_folder:
        return files(job.spark, options.stream_folder, options.files_a_batch)
    raise JobError("clickstream needs --stream-arn (Kinesis, on Glue) or --stream-folder (files of records)")


def main(argv: list[str]) -> None:
    """Runs the stream until it is stopped, or with ``--available-now`` until all that is there was read.

    Arguments: ``--stream-arn`` or ``--stream-folder``; ``--checkpoint``, a prefix of its own; ``--window-seconds``,
    from one batch to the next; ``--files-a-batch``, of a folder; ``--compact-every``, batches from one compaction to
    the next; ``--keep-snapshot-hours``, of the tables' history.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stream-arn")
    parser.add_argument("--stream-folder")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--available-now", action="store_true")
    parser.add_argument("--window-seconds", type=int, default=60)
    parser.add_argument("--files-a-batch", type=int)
    parser.add_argument("--compact-every", type=int, default=60)
    parser.add_argument("--keep-snapshot-hours", type=float, default=48)
    job = lake.start(STREAM, argv, parser)
    options = job.options
    limits = Limits.of(job.contracts[STREAM])
    progress = Progress(job.lake)

    def on_batch(records: DataFrame, number: int) -> None:
        started = datetime.now(UTC)
        query = job.spark.sparkContext.getLocalProperty("sql.streaming.queryId")
        batch = Batch(job, batch_name(str(query), number), limits, started)
        counts, arrived = batch.run(records)
        progress.note(batch.batch_id, started, arrived, counts)
        log.info("%s: %s", batch.batch_id, counts.document())
        # In the same process and between two batches, so that a compaction never competes with a commit.
        if number % options.compact_every == options.compact_every - 1:
            for table in map(batch.table, TABLES):
                compacted = compact(job.spark, table)
                expired = expire(job.spark, table, started - timedelta(hours=options.keep_snapshot_hours), KEEP_LAST)
                log.info("%s: compacted %d files, expired %d snapshots", table, compacted, expired)

    writer = source_of(job).writeStream.queryName(STREAM).option("checkpointLocation", options.checkpoint)
    trigger = (
        {"availableNow": True} if options.available_now else {"processingTime": f"{options.window_seconds} seconds"}
    )
    writer.foreachBatch(on_batch).trigger(**trigger).start().awaitTermination()


if __name__ == "__main__":
    main(sys.argv[1:])
