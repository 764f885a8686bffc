"""The clickstream job on files of records: outcomes, sessions, late events, repeated batches, the public data."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart import clickstream
from securecart.objects import write_text
from securecart.snapshots import append
from securecart.stream_progress import NAME
from securecart.tables import merge_changes
from spark_session import BUCKETS
from tests.click_stream import Stream
from tests.clicks import Record, event, record, shop_data

T0 = datetime(2026, 3, 9, 23, 40, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return T0 + timedelta(minutes=count)


@pytest.fixture
def stream(spark: SparkSession, lake_root: Path, bundle_uri: str, request: pytest.FixtureRequest) -> Stream:
    return Stream(spark, lake_root, bundle_uri, request.node.name)


def test_every_record_is_accepted_a_copy_or_quarantined(stream: Stream) -> None:
    def sent(number: str, at: datetime = T0, **more: Any) -> dict[str, Any]:
        return event(number, "u1", at, **more)

    good = sent(
        "1", page="https://shop.example/cart?email=a@b.c#x", referrer="https://user:pw@www.google.com/search?q=x"
    )
    bad: dict[str, dict[str, Any] | bytes] = {
        "BAD_JSON": b'{"event_id": "half',
        "TOO_LARGE": json.dumps(sent("2", page="x" * 5_000_000)).encode(),
        "CLOCK_BEHIND": sent("3", datetime(1970, 1, 1, tzinfo=UTC)),
        "CLOCK_AHEAD": sent("4", datetime(2099, 1, 1, tzinfo=UTC)),
        "INVALID_VALUE_EVENT_TYPE": sent("5", kind="teleport"),
        "LATE": sent("6", T0 - timedelta(minutes=121)),
        "MISSING_OCCURRED_AT": {"event_id": "7", "user_id": "u1", "event": "search"},
        "BAD_TYPE_OCCURRED_AT": {"event_id": "8", "user_id": "u1", "event": "search", "timestamp": "yesterday"},
        "MISSING_VISITOR": {"event_id": "9", "event": "search", "timestamp": T0.isoformat()},
        "BAD_ENCODING": json.dumps(sent("10", page="/\ud800")).encode(),
        "CONFLICTING_EVENT_ID": sent("1", page="/other"),
    }
    more: dict[str, list[dict[str, Any] | bytes]] = {
        "BAD_JSON": [b'{"a": 1} {"b": 2}', b"[]", b"null", b'[{"event_id": "1"}]', b"", b"5", b'{"a":1},{"b":2}'],
        "BAD_ENCODING": [json.dumps(sent("11", page="/\x00")).encode(), b'{"event_id": "\xff"}'],
        "LATE": [sent("12", T0 - timedelta(hours=25)), sent("13", T0 - timedelta(minutes=120, milliseconds=1))],
    }
    records = [record(good, T0), record(good, T0 + timedelta(seconds=1))]
    records += [record(sent("other id", page=good["page"], referrer=good["referrer"]), T0 + timedelta(seconds=2))]
    records += [record(one, T0 + timedelta(seconds=3)) for one in bad.values()]
    records += [record(one, T0) for several in more.values() for one in several]
    records += [
        record(sent("edge", T0 - timedelta(minutes=120), kind="SEARCH"), T0),
        record(sent("quotes", page='/"a\\"b\'c\\\\"'), T0),
        record(sent("crlf", page="/a"), T0),
    ]
    records[-1] = Record(records[-1].data + b"\r\n", T0)
    stream.send(*records)
    totals = stream.run()
    assert totals.accounted == len(records)
    assert totals.accepted == 4
    assert totals.deduplicated == {"same_event": 1, "repeated_event": 1}
    assert totals.quarantined == {reason: 1 + len(more.get(reason, [])) for reason in bad}
    assert set(stream.quarantine()) >= set(bad)
    assert len(stream.quarantine()["TOO_LARGE"]) > 5_000_000

    events = {e["event_id"]: e for e in stream.table("clickstream_events")}
    assert events["1"]["page"] == "/cart"
    assert (events["1"]["referrer_host"], events["1"]["channel"]) == ("www.google.com", "search")
    assert (events["edge"]["event_type"], events["edge"]["device"]) == ("search", "unknown")
    assert events["quotes"]["page"] == '/"a\\"b\'c\\\\"'


def test_lines_of_the_source_that_hold_no_record_are_quarantined_as_they_are(stream: Stream) -> None:
    stream.send(record(event("1", "u1", T0), T0))
    with (stream.folder / "000000.jsonl").open("ab") as file:
        file.write(b'no json\n{"Data": "***", "ApproximateArrivalTimestamp": 1}\n{"Data": "e30=", "Approx\n\xff\xfe\n')
    totals = stream.run()
    assert (totals.accepted, totals.quarantined) == (1, {"BAD_JSON": 3, "BAD_ENCODING": 1})
    rows = stream.spark.read.parquet(f"s3://{BUCKETS['quarantine']}/records/dataset=clickstream/").collect()
    assert {"no json", '{"Data": "e30=", "Approx', "\ufffd\ufffd"} <= {row["raw_record"] for row in rows}


@pytest.mark.slow
def test_a_million_events_of_one_user_are_one_session(stream: Stream) -> None:
    half = 500_000
    for batch in range(2):
        times = [T0 + timedelta(milliseconds=n) for n in range(batch * half, (batch + 1) * half)]
        records = [record(event(f"e{batch}-{n}", "u1", at), at) for n, at in enumerate(times)]
        stream.send(*records, *records[:1000])
    totals = stream.run()
    assert (totals.accepted, totals.deduplicated, totals.quarantined) == (2 * half, {"same_event": 2000}, {})
    assert stream.sessions() == [("u1", 0, 2 * half)]
    [features] = stream.table("user_features")
    assert (features["sessions_30d"], features["events_30d"]) == (1, 2 * half)


def test_a_late_event_joins_moves_and_merges_sessions(stream: Stream) -> None:
    def at(number: str, when: float, arrived: float) -> Record:
        return record(
            event(number, "u1", minutes(when), "add_to_cart" if number == "a" else "page_view"), minutes(arrived)
        )

    # Two sessions on two days; then what closes the gap; then what comes before the first; then what is too late.
    stream.send(at("a", 30, 30), at("b", 61, 61))
    stream.run()
    assert stream.sessions() == [("u1", 30, 1), ("u1", 61, 1)]
    assert [c["cart_date"].isoformat() for c in stream.table("abandoned_carts")] == ["2026-03-10"]
    stream.send(at("c", 45, 62))
    stream.run()
    assert stream.sessions() == [("u1", 30, 3)]
    stream.send(at("d", 0, 63), at("e", -56, 63), at("f", -61, 63))
    totals = stream.run()
    assert stream.sessions() == [("u1", -56, 1), ("u1", 0, 4)]
    assert totals.quarantined == {"LATE": 1}
    # The session begins on the day before now, and everything has moved there with it.
    assert [(f["funnel_date"].isoformat(), f["sessions"]) for f in stream.table("session_funnel")] == [
        ("2026-03-09", 2)
    ]
    assert [c["cart_date"].isoformat() for c in stream.table("abandoned_carts")] == ["2026-03-09"]
    [features] = stream.table("user_features")
    assert (features["sessions_30d"], features["events_30d"], features["open_cart"]) == (2, 5, True)


def test_copies_of_known_events_are_told_in_later_batches(stream: Stream) -> None:
    visit = [event(str(n), "u1", minutes(n)) for n in range(3)]
    stream.send(*[record(e, minutes(3)) for e in visit])
    again = [record(e, minutes(5)) for e in visit]
    other_ids = [record({**e, "event_id": f"new {e['event_id']}"}, minutes(6)) for e in visit]
    # Too late to be an event, but known: a copy. After the horizon nobody can tell.
    stream.send(*again, *other_ids, record(visit[0], minutes(23 * 60)), record(visit[0], minutes(25 * 60)))
    totals = stream.run()
    assert totals.accepted == 3
    assert totals.deduplicated == {"same_event": 4, "repeated_event": 3}
    assert totals.quarantined == {"LATE": 1}
    assert stream.sessions() == [("u1", 0, 3)]


@pytest.mark.slow
def test_a_batch_that_is_repeated_at_any_point_ends_the_same(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is killed between its commits; the repeated batch must make up for it.

    The tables' commits run side by side, so a kill is told by what it leaves: which tables have their commit, and which
    have not.
    """

    class KilledError(Exception):
        pass

    def visit(name: str, kind: str, *times: float, arrived: float) -> None:
        sent = [event(f"{u}{name}{n}", u, minutes(n), kind, product_id="p") for u in "xy" for n in times]
        stream.send(*[record(one, minutes(arrived)) for one in sent])

    def killed(work: Callable[..., Any], before: tuple[str, ...], after: tuple[str, ...]) -> Callable[..., Any]:
        """``work``, which is killed when it is about to write one of ``before``, or has written one of ``after``."""

        def work_or_die(target: str, *rest: Any) -> Any:
            if target.endswith(before):
                raise KilledError(f"killed before {target}")
            result = work(target, *rest)
            if target.endswith(after):
                raise KilledError(f"killed after {target}")
            return result

        return work_or_die

    def run_killed(*, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("securecart.clickstream.append", killed(append, before, after))
            patch.setattr("securecart.clickstream.merge_changes", killed(merge_changes, before, after))
            patch.setattr("securecart.stream_progress.write_text", killed(write_text, before, after))
            with pytest.raises(Exception, match=r"killed (before|after)"):
                stream.run()

    def seen() -> tuple[list[tuple[str, int, int]], list[tuple[int, int]]]:
        """Sessions, and (views, cart adds) of the product by day."""
        products = sorted(stream.table("product_behaviour"), key=lambda row: row["behaviour_date"])
        return stream.sessions(), [(row["views"], row["cart_adds"]) for row in products]

    visit("a", "add_to_cart", 0, 40, 80, arrived=90)
    stream.run()
    sessions, products = seen()
    assert (len(sessions), products) == (6, [(0, 2), (0, 4)])

    visit("b", "product_view", -20, 20, 60, arrived=91)
    run_killed(after=(clickstream.EVENTS,))
    assert seen() == (sessions, products)
    run_killed(after=(clickstream.SESSIONS,), before=(clickstream.PRODUCTS,))
    sessions = [("x", -20, 6), ("y", -20, 6)]
    assert seen() == (sessions, products)
    run_killed(before=(clickstream.FUNNEL, clickstream.FEATURES))
    products = [(2, 2), (4, 4)]
    assert seen() == (sessions, products)
    run_killed(after=(NAME,))

    visit("c", "product_view", 10, arrived=92)
    run_killed(before=(clickstream.SESSIONS,))
    products = [(4, 2), (4, 4)]
    assert seen() == (sessions, products)

    totals = stream.run()
    assert (totals.accepted, totals.deduplicated, totals.quarantined) == (14, {}, {})
    assert seen() == ([("x", -20, 7), ("y", -20, 7)], products)
    assert [f["sessions"] for f in stream.table("session_funnel")] == [2]
    assert [c["cart_adds"] for c in stream.table("abandoned_carts")] == [3, 3]
    assert [f["events_30d"] for f in stream.table("user_features")] == [7, 7]


@pytest.mark.slow
def test_a_lost_checkpoint_and_a_compaction_change_no_table(stream: Stream) -> None:
    for n in range(3):
        stream.send(record(event(str(n), "u1", minutes(n), "product_view", product_id="p"), minutes(n)))
    stream.run("--compact-every", "2", "--keep-snapshot-hours", "0")
    before = {name: stream.table(name) for name in clickstream.TABLES}
    assert sum(day["views"] for day in before["product_behaviour"]) == 3
    stream.checkpoint += "-new"
    totals = stream.run()
    assert (totals.accepted, totals.deduplicated) == (3, {"same_event": 3})
    assert {name: stream.table(name) for name in clickstream.TABLES} == before


@pytest.mark.slow
def test_the_public_shop_data_give_the_known_number_of_sessions(stream: Stream) -> None:
    events = shop_data()
    if events is None:
        warnings.warn("clickstream-onlineshop.csv is not there: its 6,454 sessions were NOT checked", stacklevel=1)
        pytest.skip("the public clickstream data are not on this machine")
    stream.send(*[record(sent, at) for at, sent in events])
    totals = stream.run()
    assert (totals.accepted, totals.deduplicated, totals.quarantined) == (32_283, {}, {})
    sessions = stream.spark.table("curated.lake.sessions")
    row = sessions.agg(F.count("*"), F.sum("event_count"), F.countDistinct("visitor_id")).collect()[0]
    assert tuple(row) == (6454, 32_283, 3751)
