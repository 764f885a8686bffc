"""Helpers of the clickstream tests: records as Kinesis holds them, the stream run on a folder of files."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

#: Events of the public online shop data as the shop here would send them.
SHOP_EVENTS = {
    "main": ("page_view", "/", None),
    "catalog": ("page_view", "/catalog", None),
    "product1": ("product_view", "/product/1", "product1"),
    "product2": ("product_view", "/product/2", "product2"),
    "cart": ("add_to_cart", "/cart", None),
    "delivery_choice": ("checkout", "/delivery", None),
    "delivery_courier": ("checkout", "/delivery/courier", None),
    "delivery_pickup": ("checkout", "/delivery/pickup", None),
    "payment_choice": ("checkout", "/payment", None),
    "payment_card": ("checkout", "/payment/card", None),
    "payment_cash": ("checkout", "/payment/cash", None),
    "payment_done": ("purchase", "/done", None),
}


@dataclass(frozen=True)
class Record:
    """What the stream holds: the sender's bytes and the moment of arrival."""

    data: bytes
    arrived_at: datetime


def event(
    event_id: str, user: str, at: datetime, kind: str = "page_view", page: str | None = "/", **more: Any
) -> dict[str, Any]:
    """An event as a browser sends it."""
    sent = {"event_id": event_id, "user_id": user, "event": kind, "page": page, "timestamp": at.isoformat(), **more}
    return {name: value for name, value in sent.items() if value is not None}


def record(sent: Mapping[str, Any] | bytes, arrived_at: datetime) -> Record:
    return Record(sent if isinstance(sent, bytes) else json.dumps(sent).encode(), arrived_at)


def shop_events(path: Path) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """The public data's events and when they happened; the event id is a hash of user, event and timestamp."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
            kind, page, product = SHOP_EVENTS[row["event"]]
            text = "|".join((row["user_id"], row["event"], row["timestamp"]))
            number = hashlib.sha256(text.encode()).hexdigest()
            yield at, event(number, row["user_id"], at, kind, page, product_id=product)


def shop_data() -> list[tuple[datetime, dict[str, Any]]] | None:
    """`shop_events` in order of time; None when the data is nowhere above the repository."""
    places = [folder / "shared/data/clickstream-onlineshop.csv" for folder in Path(__file__).resolve().parents[3:]]
    path = next((place for place in places if place.exists()), None)
    return sorted(shop_events(path), key=lambda pair: pair[0]) if path else None


def write_file(folder: Path, number: int, records: Iterable[Record]) -> None:
    """Puts a file of records into the folder as a whole; files are read by number."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(
            {
                "Data": base64.b64encode(r.data).decode(),
                "ApproximateArrivalTimestamp": f"{r.arrived_at.timestamp():.6f}",
            }
        )
        for r in records
    ]
    part = folder / f".{number:06d}"
    part.write_text("\n".join(lines) + "\n", "utf-8")
    os.utime(part, (1_700_000_000 + number,) * 2)
    part.rename(folder / f"{number:06d}.jsonl")


def plain_sessions(times: Sequence[datetime], gap: timedelta) -> list[list[datetime]]:
    """Sessions of one visitor, obviously right: one event after the other."""
    sessions: list[list[datetime]] = []
    for time in sorted(times):
        if sessions and time - sessions[-1][-1] <= gap:
            sessions[-1].append(time)
        else:
            sessions.append([time])
    return sessions
