"""What a stream has done so far: one small object that planning, people and `npm run stream` read.

It is written by key like everything else of the stream: it names its batch and holds the totals before it, so a
repeated batch writes the same totals again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame

from securecart.click_events import ACCEPTED, QUARANTINED
from securecart.lake import Lake
from securecart.objects import exists, read_text, write_text

NAME = "plans/streams/clickstream.json"


@dataclass
class Counts:
    """Where records went: ``accepted + deduplicated + quarantined`` are all that were received."""

    accepted: int = 0
    deduplicated: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def of(outcomes: DataFrame) -> Counts:
        """Counts settled records (`click_events.settle`)."""
        counts = Counts()
        for outcome, reason, number in outcomes.groupBy("_outcome", "_reason").count().collect():
            if outcome == ACCEPTED:
                counts.accepted += number
            elif outcome == QUARANTINED:
                counts.quarantined[reason] = number
            else:
                counts.deduplicated[outcome] = number
        return counts

    @staticmethod
    def read(document: dict[str, Any]) -> Counts:
        return Counts(document["accepted"], document["deduplicated"], document["quarantined"])

    @property
    def accounted(self) -> int:
        return self.accepted + sum(self.deduplicated.values()) + sum(self.quarantined.values())

    def plus(self, other: Counts) -> Counts:
        def added(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
            return {name: a.get(name, 0) + b.get(name, 0) for name in sorted({*a, *b})}

        return Counts(
            self.accepted + other.accepted,
            added(self.deduplicated, other.deduplicated),
            added(self.quarantined, other.quarantined),
        )

    def document(self) -> dict[str, Any]:
        return {
            "received": self.accounted,
            "accepted": self.accepted,
            "deduplicated": self.deduplicated,
            "quarantined": self.quarantined,
        }


class Progress:
    """The progress object of the stream, in the landing bucket beside the plans, where planning may look."""

    def __init__(self, lake: Lake) -> None:
        self.uri = f"s3://{lake.landing}/{NAME}"

    def note(self, batch_id: str, started: datetime, arrived: datetime, batch: Counts) -> None:
        """Notes a batch whose tables are written; ``changed_at`` is when a batch last changed them.

        Args:
            started: when its processing began.
            arrived: when the stream received its oldest record: from then to now is the latency, end to end.
        """
        last: dict[str, Any] = json.loads(read_text(self.uri)) if exists(self.uri) else {}
        ended = _text(datetime.now(UTC))
        if last.get("batch_id") == batch_id:
            before = Counts.read(last["before"])
        else:
            before = Counts.read(last["total"]) if last else Counts()
        document = {
            "batch_id": batch_id,
            "started_at": _text(started),
            "first_arrived_at": _text(arrived),
            "ended_at": ended,
            "changed_at": ended if batch.accepted else last.get("changed_at"),
            "batch": batch.document(),
            "before": before.document(),
            "total": before.plus(batch).document(),
        }
        write_text(self.uri, json.dumps(document, indent=1))


def _text(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, which sorts as the instants do."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
