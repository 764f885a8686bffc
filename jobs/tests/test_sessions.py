"""The sessioniser against a plain one, and the edges of the gap."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart.sessions import affected_spans, sessionise, sessions_of
from tests.clicks import plain_sessions

GAP = 30
START = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)

#: Pauses around the gap, in microseconds, so that the edges come up often.
pauses = st.one_of(
    st.sampled_from([0, 1, 1_799_999_999, 1_800_000_000, 1_800_000_001, 1_800_001_000]),
    st.integers(0, 4_000_000_000),
)
visits = st.lists(st.tuples(st.sampled_from("abc"), pauses), min_size=1, max_size=30)


def timed(steps: list[tuple[str, int]]) -> list[tuple[str, datetime]]:
    """Events of several visitors; each pause is since the visitor's own last event."""
    clock: dict[str, datetime] = defaultdict(lambda: START)
    events = []
    for visitor, pause in steps:
        clock[visitor] += timedelta(microseconds=pause)
        events.append((visitor, clock[visitor]))
    return events


def spark_sessions(spark: SparkSession, events: list[tuple[str, datetime]]) -> set[tuple[str, int, int]]:
    """(visitor, start in microseconds, events) as the job finds them."""
    df = spark.createDataFrame(events, "visitor_id string, occurred_at timestamp")
    rows = sessionise(df, GAP).groupBy("visitor_id", F.unix_micros("session_started_at").alias("s")).count().collect()
    return {(r["visitor_id"], r["s"], r["count"]) for r in rows}


def micros(time: datetime) -> int:
    return round((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def expected_sessions(events: list[tuple[str, datetime]]) -> set[tuple[str, int, int]]:
    by_visitor = defaultdict(list)
    for visitor, at in events:
        by_visitor[visitor].append(at)
    return {
        (visitor, micros(session[0]), len(session))
        for visitor, times in by_visitor.items()
        for session in plain_sessions(times, timedelta(minutes=GAP))
    }


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=visits, order=st.randoms(use_true_random=False))
def test_sessions_are_those_of_the_plain_implementation(spark: SparkSession, steps, order) -> None:  # type: ignore[no-untyped-def]
    events = timed(steps)
    order.shuffle(events)
    assert spark_sessions(spark, events) == expected_sessions(events)


def test_a_pause_of_exactly_the_gap_keeps_a_session_and_a_millisecond_more_ends_it(spark: SparkSession) -> None:
    kept = START + timedelta(minutes=30)
    ended = kept + timedelta(minutes=30, milliseconds=1)
    assert spark_sessions(spark, [("a", START), ("a", kept), ("a", ended)]) == {
        ("a", micros(START), 2),
        ("a", micros(ended), 1),
    }


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=visits, order=st.randoms(use_true_random=False), cut=st.floats(0.1, 0.9))
def test_new_events_change_no_session_outside_of_their_span(spark: SparkSession, steps, order, cut) -> None:  # type: ignore[no-untyped-def]
    """Old sessions outside of the span, and those computed from the events inside, are the sessions of all events."""
    events = timed(steps)
    order.shuffle(events)
    old, new = events[: round(cut * len(events))], events[round(cut * len(events)) :]
    if not old or not new:
        return

    def full(rows: list[tuple[str, datetime]]):  # type: ignore[no-untyped-def]
        columns = "visitor_id string, occurred_at timestamp"
        return spark.createDataFrame(rows, columns).selectExpr(
            "*", "'u' user_id", "'page_view' event_type", "'/' page", "'p' product_id", "'direct' channel",
            "'app' device", "sha2(string(occurred_at), 256) row_hash",
        )  # fmt: skip

    sessions = sessions_of(full(old), GAP).localCheckpoint()
    touched = (
        full(new)
        .groupBy("visitor_id")
        .agg(F.min("occurred_at").alias("first_at"), F.max("occurred_at").alias("last_at"))
    )
    spans = {
        r["visitor_id"]: (r["f"], r["t"])
        for r in affected_spans(touched, sessions, GAP)
        .select("visitor_id", F.unix_micros("from_at").alias("f"), F.unix_micros("to_at").alias("t"))
        .collect()
    }

    def inside(visitor: str, at: int) -> bool:
        return visitor in spans and spans[visitor][0] <= at <= spans[visitor][1]

    kept = {s for s in expected_sessions(old) if not inside(s[0], s[1])}
    renewed = expected_sessions([e for e in events if inside(e[0], micros(e[1]))])
    assert kept | renewed == expected_sessions(events)
