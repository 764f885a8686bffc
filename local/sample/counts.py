"""Counts of what was written, per dataset: read, loaded, deduplicated and quarantined by reason."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

DATASETS = (
    "mysql_orders",
    "mysql_order_items",
    "dynamodb_orders",
    "dynamodb_order_items",
    "customers",
    "products",
    "inventory",
    "transactions",
    "campaigns",
    "exchange_rates",
)


@dataclass
class Tally:
    """One dataset: every record read is loaded, deduplicated or quarantined, each counted where it is decided."""

    read: int = 0
    loaded: int = 0
    deduplicated: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)

    def load(self, rows: int = 1) -> None:
        """Records that are good and win."""
        self.read += rows
        self.loaded += rows

    def lose(self, reason: str, rows: int = 1) -> None:
        """Good records that another one of the same key beats, by the reason of the deduplication."""
        self.read += rows
        self.deduplicated[reason] += rows

    def reject(self, code: str) -> None:
        """A record that goes to quarantine."""
        self.read += 1
        self.quarantined[code] += 1

    def document(self) -> dict[str, Json]:
        """The dataset's part of truth.json."""
        return {
            "read": self.read,
            "loaded": self.loaded,
            "deduplicated": dict(sorted(self.deduplicated.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }


class Schedule:
    """Spreads defects evenly: every n-th eligible record takes the next kind, so small samples have every kind.

    The share stays between 1 in 150 and 1 in 45, below the contracts' maxFailedShare.
    """

    def __init__(self, kinds: tuple[str, ...], expected: int) -> None:
        self._kinds = kinds
        self._every = min(150, max(45, expected // (len(kinds) + 1)))
        self._seen = 0

    def next(self) -> str | None:
        """The defect of the next eligible record, or None for a good one."""
        self._seen += 1
        turn, rest = divmod(self._seen, self._every)
        return None if rest else self._kinds[(turn - 1) % len(self._kinds)]
