"""The shop's clickstream of the last two days: records as Kinesis' GetRecords gives them, and what they amount to.

Visits are drawn whole, then a bad network is played: events arrive late, twice, or damaged, and some visits are sent
again under other event ids. The truth is counted while drawing, and sessions are found event by event.
"""

import base64
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random

from .counts import Json, Tally
from .output import Output

PATH = "sources/kinesis/clickstream.jsonl"

VISITS_AT_SCALE_1 = 1_200
GAP = timedelta(minutes=30)
DEVICES = ("desktop", "mobile", "mobile", "tablet", "app")
REFERRERS = (
    None,
    None,
    "https://www.google.com/search?q=shop",
    "https://www.instagram.com/p/1",
    "https://blog.example/a",
)

#: Each kind befalls one event in this many, taken in turn.
EVERY = 40
DEFECTS = ("same_event", "delayed", "LATE", "BAD_JSON", "CLOCK_AHEAD", "INVALID_VALUE_EVENT_TYPE", "CLOCK_BEHIND")
#: One visit in this many is sent again as a whole.
SENT_AGAIN = 50

Event = dict[str, str]


@dataclass
class Clicks:
    """Draws visits and keeps the books."""

    chance: Random
    end: date
    records: list[tuple[datetime, bytes]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    accepted: dict[str, list[tuple[datetime, str]]] = field(default_factory=lambda: defaultdict(list))
    drawn: int = 0

    def visit(self, number: int) -> None:
        """One visit: pages, perhaps products, a cart, a purchase; some pauses are longer than a session's gap."""
        chance = self.chance
        at = datetime(self.end.year, self.end.month, self.end.day, tzinfo=UTC) - timedelta(days=1)
        at += timedelta(seconds=chance.uniform(0, 2 * 86_400 - 4 * 3_600))
        person = chance.randrange(1, 400)
        who = {"user_id": f"C{person:06d}"} if person % 3 else {"anonymous_id": f"a-{person:06d}"}
        device, referrer = chance.choice(DEVICES), chance.choice(REFERRERS)
        sent: list[tuple[datetime, Event]] = []
        for step, (kind, page, product) in enumerate(self.path()):
            pause = chance.choice((1900, 2400)) if chance.random() < 0.02 else chance.uniform(2, 240)
            at += timedelta(seconds=pause)
            event = {"event_id": f"{self.end:%Y%m%d}-{number:06d}-{step:02d}", **who, "event": kind, "page": page}
            event |= {"device": device, "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
            if product:
                event["product_id"] = product
            if referrer and step == 0:
                event["referrer"] = referrer
            sent.append((at, event))
        undamaged = [self.send(at, event) for at, event in sent]
        if all(undamaged) and number % SENT_AGAIN == 0:
            for at, event in sent:
                self.arrive(at + timedelta(minutes=5), {**event, "event_id": f"{event['event_id']}-again"})
                self.tally.lose("repeated_event")

    def path(self) -> list[tuple[str, str, str | None]]:
        """Kinds, pages and products of a visit's events."""
        chance = self.chance
        steps: list[tuple[str, str, str | None]] = [("page_view", "/", None)]
        products = [f"P{chance.randrange(1, 120):05d}" for _ in range(chance.randrange(4))]
        steps += [("product_view", f"/products/{product}", product) for product in products]
        if products and chance.random() < 0.45:
            steps.append(("add_to_cart", "/cart", products[-1]))
            if chance.random() < 0.6:
                steps.append(("checkout", "/checkout?token=secret", None))
                if chance.random() < 0.7:
                    steps.append(("purchase", "/done", products[-1]))
        return steps

    def send(self, at: datetime, event: Event) -> bool:
        """Sends an event, every `EVERY`-th with the next defect. Returns whether it arrives undamaged and in time."""
        chance = self.chance
        self.drawn += 1
        turn, rest = divmod(self.drawn, EVERY)
        defect = None if rest else DEFECTS[(turn - 1) % len(DEFECTS)]
        arrival = at + timedelta(seconds=chance.uniform(0.05, 3))
        if defect == "BAD_JSON":
            self.arrive(arrival, json.dumps(event)[: chance.randrange(1, 60)].encode())
        elif defect == "INVALID_VALUE_EVENT_TYPE":
            self.arrive(arrival, {**event, "event": "teleport"})
        elif defect in ("CLOCK_AHEAD", "CLOCK_BEHIND"):
            year = "2099" if defect == "CLOCK_AHEAD" else "1970"
            self.arrive(
                arrival,
                {**event, "timestamp": f"{year}{event['timestamp'][4:10].replace('-02-29', '-02-28')}T00:00:00Z"},
            )
        elif defect == "LATE":
            self.arrive(at + timedelta(minutes=chance.uniform(125, 600)), event)
        else:
            self.arrive(at + timedelta(minutes=chance.uniform(20, 110)) if defect == "delayed" else arrival, event)
            if defect == "same_event":
                self.arrive(arrival + timedelta(minutes=chance.uniform(0, 15)), event)
                self.tally.lose("same_event")
            self.tally.load()
            self.accepted[event.get("user_id") or event["anonymous_id"]].append((at, event["event"]))
            return defect is None
        self.tally.reject(defect)
        return False

    def arrive(self, arrival: datetime, event: Event | bytes) -> None:
        self.records.append((arrival, event if isinstance(event, bytes) else json.dumps(event).encode()))

    def sessions(self) -> list[list[str]]:
        """Kinds of the events of each session, found one event after the other."""
        found: list[list[str]] = []
        for events in self.accepted.values():
            last: datetime | None = None
            for at, kind in sorted(events):
                if last is None or at - last > GAP:
                    found.append([])
                found[-1].append(kind)
                last = at
        return found

    def truth(self) -> dict[str, Json]:
        sessions = self.sessions()
        with_any = {
            kind: sum(kind in session for session in sessions) for kind in ("product_view", "add_to_cart", "purchase")
        }
        abandoned = sum("add_to_cart" in session and "purchase" not in session for session in sessions)
        kinds = Counter(kind for session in sessions for kind in session)
        return {
            **self.tally.document(),
            "visitors": len(self.accepted),
            "sessions": len(sessions),
            "sessions_with": dict(with_any),
            "abandoned_carts": abandoned,
            "events": dict(sorted(kinds.items())),
        }


def write_clicks(output: Output, seed: int, scale: float, end: date) -> dict[str, Json]:
    """Writes the records in the order of their arrival; returns their truth. The same arguments give the same bytes."""
    clicks = Clicks(Random(f"{seed}:clicks"), end)
    for number in range(max(150, round(VISITS_AT_SCALE_1 * scale))):
        clicks.visit(number)
    sink = output.open(PATH)
    for number, (arrival, data) in enumerate(sorted(clicks.records), start=1):
        line = {
            "SequenceNumber": f"{number:020d}",
            "ApproximateArrivalTimestamp": f"{arrival.timestamp():.6f}",
            "PartitionKey": f"{number % 4}",
            "Data": base64.b64encode(data).decode(),
        }
        sink.write((json.dumps(line) + "\n").encode())
    return clicks.truth()
