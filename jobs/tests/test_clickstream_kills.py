"""Whatever the network and the machine do to the stream, the tables come out the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from securecart import clickstream
from securecart.stream_progress import NAME
from tests.click_stream import LANDING, Stream
from tests.clicks import Record, event, record, shop_data

KILLS = 10
BATCHES = 30
#: Made-up events where the public data are not at hand, and how many of those there are.
EVENTS = 6_000
LATENESS = timedelta(minutes=119)

Timed = tuple[datetime, dict[str, Any]]


def some_events() -> list[Timed]:
    """The public data; where they are not at hand, made-up ones of the same kind."""
    if events := shop_data():
        return events
    warnings.warn("clickstream-onlineshop.csv is not there: made-up events are used instead", stacklevel=1)
    chance = random.Random(7)
    start = datetime.fromisoformat("2026-03-01T00:00:00+00:00")
    times = sorted(start + timedelta(seconds=chance.uniform(0, 6 * 86_400)) for _ in range(EVENTS))
    kinds = ("page_view", "product_view", "add_to_cart", "purchase")
    return [
        (
            at,
            event(
                f"e{n}", f"u{chance.randrange(700)}", at, chance.choice(kinds), product_id=f"p{chance.randrange(40)}"
            ),
        )
        for n, at in enumerate(times)
    ]


def displaced(events: list[Timed], lateness: timedelta, repeated: float, chance: random.Random) -> list[Record]:
    """The events as a bad network delivers them: each late by up to ``lateness``, some of them twice, by arrival."""
    sent = [record(e, at + lateness * chance.random()) for at, e in events]
    sent += [
        record(e, at + lateness + timedelta(hours=chance.random() * 20))
        for at, e in chance.sample(events, round(len(events) * repeated))
    ]
    return sorted(sent, key=lambda one: one.arrived_at)


def send_in_pieces(stream: Stream, records: list[Record], pieces: int, chance: random.Random) -> None:
    """Cuts the records at random places, one piece a micro-batch."""
    cuts = [0, *sorted(chance.sample(range(1, len(records)), pieces - 1)), len(records)]
    for start, end in pairwise(cuts):
        stream.send(*records[start:end])


def tables(stream: Stream) -> dict[str, list[dict[str, Any]]]:
    return {name: stream.table(name) for name in clickstream.TABLES}


@dataclass(frozen=True)
class Done:
    """How far the job is: batches that ended, and the seconds that the last one took (a guess before the first)."""

    batches: int
    took: float


def done(lake_root: Path) -> Done:
    """What the job says of its progress."""
    progress = lake_root / LANDING / NAME
    if not progress.exists():
        return Done(0, 15)
    document = json.loads(progress.read_text("utf-8"))
    started, ended = (datetime.fromisoformat(document[when]) for when in ("started_at", "ended_at"))
    return Done(int(document["batch_id"][-8:]) + 1, (ended - started).total_seconds())


def run_and_kill(stream: Stream, lake_root: Path, scratch: Path, chance: random.Random) -> list[int]:
    """Runs the job in processes that are killed at random moments, spread over all of its batches.

    Returns:
        For each kill the batches that had ended by then.
    """
    kills: list[int] = []
    command = [sys.executable, str(Path(__file__).with_name("clickstream_process.py")), str(lake_root), str(scratch)]
    command += [*stream.arguments, "--checkpoint", stream.checkpoint, "--compact-every", "7"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for number in range(KILLS + 1):
        errors = scratch.with_name(f"errors-{number}")
        with errors.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
            assert process.stdout is not None
            process.stdout.readline()
            if number < KILLS:
                # Somewhere in one batch of this share of them, be the machine fast or slow.
                batch = chance.randrange(number * BATCHES // KILLS, (number + 1) * BATCHES // KILLS)
                while (now := done(lake_root)).batches < batch:
                    assert process.poll() is None, errors.read_text("utf-8")[-3000:]
                    time.sleep(0.05)
                time.sleep(chance.uniform(0, now.took))
                os.killpg(process.pid, signal.SIGKILL)
                kills.append(done(lake_root).batches)
            process.communicate()
        assert process.returncode == (-signal.SIGKILL if number < KILLS else 0), errors.read_text("utf-8")[-3000:]
    return kills


@pytest.mark.slow
def test_displaced_repeated_and_killed_the_tables_are_identical(
    spark: SparkSession, lake_root: Path, bundle_uri: str, tmp_path: Path
) -> None:
    events = some_events()
    undisturbed = Stream(spark, lake_root, bundle_uri, "undisturbed")
    undisturbed.send(*[record(e, at) for at, e in events])
    assert undisturbed.run().accepted == len(events)
    expected = tables(undisturbed)

    chance = random.Random(20261122)
    stream = Stream(spark, lake_root, bundle_uri, "killed")
    send_in_pieces(stream, displaced(events, LATENESS, 0.2, chance), BATCHES, chance)
    kills = run_and_kill(stream, lake_root, tmp_path / "scratch", chance)
    print(f"killed after so many batches: {kills}")
    totals = stream.run()
    found = tables(stream)
    for name in clickstream.TABLES:
        assert found[name] == expected[name], name
    assert totals.accepted == len(events)
    assert totals.deduplicated == {"same_event": round(len(events) * 0.2)}
    assert totals.quarantined == {}
    assert len(kills) == KILLS
    assert len(set(kills)) > KILLS // 2, "kills at one and the same place show little"


@pytest.mark.slow
def test_displaced_beyond_the_watermark_the_counts_add_up(
    spark: SparkSession, lake_root: Path, bundle_uri: str
) -> None:
    events = some_events()
    chance = random.Random(3)
    stream = Stream(spark, lake_root, bundle_uri, "late")
    records = displaced(events, LATENESS * 2, 0, chance)
    send_in_pieces(stream, records, 5, chance)
    totals = stream.run()
    assert totals.accounted == len(records)
    sent = [(json.loads(r.data), r.arrived_at) for r in records]
    limit = timedelta(minutes=120)
    late = {e["event_id"] for e, arrived in sent if arrived - datetime.fromisoformat(e["timestamp"]) > limit}
    assert totals.quarantined == {"LATE": len(late)}
    assert totals.accepted == len(events) - len(late) > 0
    raw = stream.spark.read.parquet("s3://securecart-local-quarantine/records/dataset=clickstream/").collect()
    assert late <= {row["record_key"] for row in raw if row["reason"] == "LATE"}
    print(f"{len(records)} received = {totals.accepted} accepted + {len(late)} late")
