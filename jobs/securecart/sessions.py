"""Sessions: the events of a visitor between pauses of more than the gap (contracts/sessions.yaml).

A session is known by its visitor and its start, so the same events give the same sessions in whatever order they
came. A late event may join a session, move its start (and with it the session's id), or close the gap between two;
`affected_spans` says which events have to be looked at again.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

#: Types of events that count as a page seen.
PAGES = ("page_view", "product_view", "search")


def _count(*types: str) -> Column:
    return F.count(F.when(F.col("event_type").isin(*types), 1))


def sessionise(events: DataFrame, gap_minutes: float) -> DataFrame:
    """Adds ``session_started_at`` to every event.

    Args:
        events: visitor_id and occurred_at, and whatever else.
        gap_minutes: a pause longer than this ends a session; one exactly as long does not.
    """
    gap = round(gap_minutes * 60_000_000)
    in_order = Window.partitionBy("visitor_id").orderBy("occurred_at")
    so_far = in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    pause = F.unix_micros("occurred_at") - F.unix_micros(F.lag("occurred_at").over(in_order))
    begins = F.when(pause.isNull() | (pause > gap), F.col("occurred_at"))
    return (
        events.withColumn("_begins", begins)
        .withColumn("session_started_at", F.max("_begins").over(so_far))
        .drop("_begins")
    )


def session_id(visitor: Column, started_at: Column) -> Column:
    """SHA-256 of the visitor and the start in microseconds since 1970."""
    return F.sha2(F.concat_ws("|", visitor, F.unix_micros(started_at).cast("string")), 256)


def sessions_of(events: DataFrame, gap_minutes: float) -> DataFrame:
    """One row per session with the columns of contracts/sessions.yaml.

    Args:
        events: rows of contracts/clickstream_events.yaml with ``row_hash``, which orders events of the same instant.
            All events of a session must be among them.
    """
    order = F.struct("occurred_at", "row_hash")
    carted = F.col("event_type") == "add_to_cart"
    sums = (
        sessionise(events, gap_minutes)
        .groupBy("visitor_id", "session_started_at")
        .agg(
            F.max("user_id").alias("user_id"),
            F.max("occurred_at").alias("ended_at"),
            F.count("*").alias("event_count"),
            _count(*PAGES).alias("page_views"),
            _count("product_view").alias("product_views"),
            _count("add_to_cart").alias("cart_adds"),
            _count("checkout").alias("checkouts"),
            _count("purchase").alias("purchases"),
            F.countDistinct(F.when(carted, F.col("product_id"))).alias("cart_products"),
            F.max(F.when(carted, F.col("occurred_at"))).alias("last_cart_at"),
            F.max_by("product_id", F.when(F.col("product_id").isNotNull(), order)).alias("last_product_id"),
            F.min_by(F.struct("page", "channel", "device"), order).alias("first"),
            F.max_by("page", order).alias("exit_page"),
        )
    )
    started = F.col("session_started_at")
    return sums.select(
        session_id(F.col("visitor_id"), started).alias("session_id"),
        "visitor_id",
        "user_id",
        F.to_date(started).alias("session_date"),
        started.alias("started_at"),
        "ended_at",
        F.expr("timestampdiff(SECOND, session_started_at, ended_at)").cast("bigint").alias("duration_seconds"),
        "event_count",
        "page_views",
        "product_views",
        "cart_adds",
        "checkouts",
        "purchases",
        "cart_products",
        "last_cart_at",
        "last_product_id",
        F.col("first.page").alias("entry_page"),
        "exit_page",
        F.col("first.channel").alias("channel"),
        F.col("first.device").alias("device"),
    )


def affected_spans(touched: DataFrame, sessions: DataFrame, gap_minutes: float) -> DataFrame:
    """The span of time of each visitor in which sessions may change.

    The sessions that new events can join are those that reach into the gap before the first or after the last of
    them; between these and any other session there is a pause longer than the gap, so no event outside of the span
    can belong to a session inside of it.

    Args:
        touched: visitor_id, first_at and last_at of a visitor's new events.
        sessions: the sessions as they are, without the new events.

    Returns:
        visitor_id, from_at, to_at (both included).
    """
    gap = F.expr(f"make_interval(0, 0, 0, 0, 0, 0, {gap_minutes * 60})")
    near = (
        (F.col("s.visitor_id") == F.col("t.visitor_id"))
        & (F.col("s.ended_at") >= F.col("t.first_at") - gap)
        & (F.col("s.started_at") <= F.col("t.last_at") + gap)
    )
    return (
        touched.alias("t")
        .join(sessions.alias("s"), near, "left")
        .groupBy("t.visitor_id")
        .agg(
            F.least(F.min("t.first_at"), F.min("s.started_at")).alias("from_at"),
            F.greatest(F.max("t.last_at"), F.max("s.ended_at")).alias("to_at"),
        )
    )
