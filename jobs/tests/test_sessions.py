"""The sessioniser against a plain one, and the edges of the gap."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart.click_events import enrich
from securecart.sessions import PAGES, affected_spans, sessionise, sessions_of
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


#: What a browser sends, as the job has read it; the pause is since the event before, whoever's that was.
sent = st.fixed_dictionaries(
    {
        # An anonymous id may read like a user, and both may be there.
        "who": st.sampled_from([("u1", None), ("u1", "a1"), (None, "u1"), (None, "a1")]),
        "pause": st.one_of(st.just(0), pauses),
        "event_type": st.sampled_from(["page_view", "product_view", "search", "add_to_cart", "checkout", "purchase"]),
        "page": st.sampled_from([None, "/", "/a"]),
        "product_id": st.sampled_from([None, "p1", "p2"]),
        "referrer": st.sampled_from([None, "https://www.google.com/", "https://own.example/"]),
        "device": st.sampled_from(["desktop", "mobile", "app"]),
    }
)


def by_id(session: dict[str, Any]) -> str:
    return str(session["session_id"])


def plain_rows(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Whole sessions, obviously right: one visitor after the other, one event after the other; times as numbers."""
    by_visitor = defaultdict(list)
    for one in events:
        known = f"u:{one['user_id']}" if one["user_id"] is not None else f"a:{one['anonymous_id']}"
        by_visitor[hashlib.sha256(known.encode()).hexdigest()].append(one)
    rows = []
    for visitor, own in by_visitor.items():
        in_order = sorted(own, key=lambda e: (e["occurred_at"], e["row_hash"]))
        taken = 0
        for times in plain_sessions([e["occurred_at"] for e in own], timedelta(minutes=GAP)):
            session = in_order[taken : taken + len(times)]
            taken += len(times)
            first, last = session[0], session[-1]
            carts = [e for e in session if e["event_type"] == "add_to_cart"]
            products = [e["product_id"] for e in session if e["product_id"] is not None]
            sources = {None: "direct", "https://www.google.com/": "search", "https://own.example/": "internal"}
            row: dict[str, Any] = {
                "session_id": hashlib.sha256(f"{visitor}|{micros(first['occurred_at'])}".encode()).hexdigest(),
                "visitor_id": visitor,
                "user_id": first["user_id"],
                "session_date": first["occurred_at"].date(),
                "started_at": micros(first["occurred_at"]),
                "ended_at": micros(last["occurred_at"]),
                "duration_seconds": (last["occurred_at"] - first["occurred_at"]) // timedelta(seconds=1),
                "event_count": len(session),
                "page_views": sum(e["event_type"] in PAGES for e in session),
                "product_views": sum(e["event_type"] == "product_view" for e in session),
                "cart_adds": len(carts),
                "checkouts": sum(e["event_type"] == "checkout" for e in session),
                "purchases": sum(e["event_type"] == "purchase" for e in session),
                "cart_products": len({e["product_id"] for e in carts} - {None}),
                "last_cart_at": micros(carts[-1]["occurred_at"]) if carts else None,
                "last_product_id": products[-1] if products else None,
                "entry_page": first["page"],
                "exit_page": last["page"],
                "channel": sources[first["referrer"]],
                "device": first["device"],
            }
            rows.append(row)
    return rows


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(sent, min_size=1, max_size=25), order=st.randoms(use_true_random=False))
def test_whole_sessions_are_those_of_the_plain_implementation(spark: SparkSession, steps, order) -> None:  # type: ignore[no-untyped-def]
    """Equal times, several devices in one session, visitors without a user, and every column of the table."""
    clock = START
    events = []
    for number, step in enumerate(steps):
        clock += timedelta(microseconds=step["pause"])
        user, anonymous = step["who"]
        told = {name: step[name] for name in ("event_type", "page", "product_id", "referrer", "device")}
        # Of events of the same instant the hash decides, whatever it is.
        row_hash = hashlib.sha256(str(order.random()).encode()).hexdigest()
        more = {"event_id": str(number), "occurred_at": clock, "row_hash": row_hash}
        events.append({"user_id": user, "anonymous_id": anonymous, **told, **more})
    shuffled = order.sample(events, len(events))
    types = ", ".join(f"{name} {'timestamp' if name == 'occurred_at' else 'string'}" for name in events[0])
    read = spark.createDataFrame([tuple(e.values()) for e in shuffled], types)
    found = sessions_of(enrich(read, ("own.example",)), GAP)
    # As numbers, because a time that is collected loses its zone.
    for name in ("started_at", "ended_at", "last_cart_at"):
        found = found.withColumn(name, F.unix_micros(name))
    rows = [row.asDict() for row in found.collect()]
    assert sorted(rows, key=by_id) == sorted(plain_rows(events), key=by_id)
