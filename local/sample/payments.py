"""Payment transactions and the CSV drops that bring them: duplicates, corrections, late rows and broken lines."""

from bisect import bisect_right
from collections import Counter
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from .counts import Schedule, Tally
from .model import Order, Period
from .mysql import csv_line
from .output import Output, Sink
from .sources import BAD_TIMES, UNKNOWN_REGIONS
from .text import EPOCH_MS, FORMAT_NAMES, ISO, PLAIN, fit, money, pick_format, written
from .world import DAY, Region, World, day_number

HEADER = (
    "TransactionId",
    "OrderId",
    "CustomerId",
    "EventTime",
    "Amount",
    "Currency",
    "PaymentMethod",
    "Status",
    "Region",
    "IpAddress",
    "Note",
)
DEFECTS = (
    "TRUNCATED_LINE",
    "BAD_ENCODING",
    "BELOW_MINIMUM_AMOUNT",
    "BAD_TYPE_EVENT_TIME",
    "INVALID_VALUE_REGION",
    "MISSING_TRANSACTION_ID",
    "BAD_TYPE_AMOUNT",
    "TOO_MANY_FIELDS",
    "MISSING_ORDER_ID",
    "MISSING_AMOUNT",
    "INVALID_VALUE_CURRENCY",
    "INVALID_VALUE_PAYMENT_METHOD",
)
METHODS = ("card", "wallet", "transfer", "invoice")
NOTES = ("gift, wrapped", 'card says "thank you"', "Übergröße", "配送指定: 夜間", "leave at door", "São João", None)
BAD_AMOUNTS = ("twelve", "12.3.4", "--", "1O.00")
DROPS = 12
BOM_DROP, CORRECTED_DROP, CRLF_DROP = 3, 4, 7
LATEST_DAYS = 30


class Payment(NamedTuple):
    """One transaction; amount in hundredths of the region's currency, `at` in epoch seconds."""

    number: int
    order: str
    customer: str
    at: int
    amount: int
    method: str
    status: str
    region: Region
    ip: str | None
    note: str | None

    @property
    def key(self) -> str:
        """The business key, transaction_id."""
        return f"T{self.number:011d}"

    @property
    def booked(self) -> int:
        """What it adds to the order's captured amount."""
        return {"captured": self.amount, "refunded": -self.amount}.get(self.status, 0)


class Drop:
    """One CSV file: its sink, its counts, and the copies that its end holds."""

    def __init__(self, path: str, modified: int, sink: Sink, end: bytes = b"\n", mark: bytes = b"") -> None:
        self.path = path
        self.modified = modified
        self.tally = Tally()
        self.copies: list[list[str | None]] = []
        self._sink = sink
        self._end = end
        sink.write(mark + ",".join(HEADER).encode() + end)

    def row(self, values: list[str | None]) -> None:
        """Writes a line from its values."""
        self.raw(csv_line(values).encode())

    def raw(self, line: bytes) -> None:
        """Writes a line as it is."""
        self._sink.write(line + self._end)

    def close(self) -> None:
        """Ends with the repeated lines: exact copies of earlier ones."""
        for values in self.copies:
            self.tally.lose("exact_copy")
            self.row(values)


class Later(NamedTuple):
    """What the second step does to the payments of the first: at most `most` of each kind, and where it puts them."""

    drop: Drop
    most: int


class Payments:
    """Draws the payments of an order and writes them to the drop of their day."""

    def __init__(
        self, world: World, output: Output, period: Period, rng: Random, expected: int, later: Later | None = None
    ) -> None:
        self._world = world
        self._rng = rng
        # Of its own, so that a second step that leaves lines out still draws the same payments.
        self._spelling = Random(rng.getrandbits(64))
        self._last = period.last_second
        self._schedule = Schedule(DEFECTS, expected)
        self._later = later
        self._ends = [day_number(period.start) + (k + 1) * period.days // DROPS for k in range(DROPS)]
        self.drops = [self._open(output, k, period.start) for k in range(DROPS)]
        self.variants: Counter[str] = Counter()
        self.number = 0
        self._good = 0
        self._corrections = Counter[str]()

    def _open(self, output: Output, k: int, start: date) -> Drop:
        last_day = start + timedelta(days=self._ends[k] - 1 - day_number(start))
        path = f"drops/transactions/transactions-{last_day.isoformat()}.csv"
        modified = self._ends[k] * DAY + 2 * 3600
        end = b"\r\n" if k == CRLF_DROP else b"\n"
        mark = b"\xef\xbb\xbf" if k == BOM_DROP else b""
        return Drop(path, modified, output.open(path, modified), end, mark)

    def write(self, order: Order) -> tuple[int, int]:
        """Writes an order's payments; returns how many reach the clean table and what they book (hundredths)."""
        rows = booked = 0
        for payment, style in self.draw(order):
            final = self._place(payment, style)
            if final is not None:
                rows += 1
                booked += final.booked
        return rows, booked

    def draw(self, order: Order) -> list[tuple[Payment, int]]:
        """The clean payments of an order, each with the format of its time."""
        draw = self._rng.random
        method = METHODS[int(draw() * draw() * len(METHODS))]
        paid: list[tuple[Payment, int]] = []
        for status, amount, moment in events(order, draw()):
            at, style = fit(self._world.zones, min(moment, max(self._last, order.at)), pick_format(draw))
            note = NOTES[int(draw() * len(NOTES))] if draw() < 0.15 else None
            self.number += 1
            payment = Payment(
                self.number, order.key, order.customer, at, amount, method, status, order.region, order.ip, note
            )
            paid.append((payment, style))
        return paid

    def _place(self, payment: Payment, style: int) -> Payment | None:
        """Writes a payment where it belongs; returns what of it ends up in the clean table, None when nothing."""
        own = min(bisect_right(self._ends, payment.at // DAY), DROPS - 1)
        defect = self._schedule.next()
        if defect is not None:
            self.reject(self.drops[own], payment, style, defect)
            return None
        self._good += 1
        if self._good % 97 == 0:
            own = self._late(own, payment.at)
        elif self._good % 60 == 0:
            return self._related(payment, style, own)
        elif self._later is not None:
            return self._correct(payment, style, own, self._later)
        self.load(self.drops[own], payment, style)
        return payment

    def _late(self, own: int, at: int) -> int:
        """A later drop, at most 30 days after the event; the own one where there is none."""
        late = own + 1 + self._good % 3
        while late >= DROPS or self._ends[late] - 1 - at // DAY > LATEST_DAYS:
            late -= 1
        if late > own:
            self.variants["late_rows"] += 1
        return max(late, own)

    def _related(self, payment: Payment, style: int, own: int) -> Payment:
        """A payment that comes twice: in its own drop, or in a later one as a copy or as a newer version.

        The drop that is corrected in the second step takes no part across files: its rows become the newest then.
        """
        other = min(own + 1 + self._good // 60 % 2, DROPS - 1)
        kind = self._good // 60 % 3
        if kind == 0 or other == own or CORRECTED_DROP in (own, other):
            self.load(self.drops[own], payment, style)
            self.drops[own].copies.append(self.values(payment, style))
            self.variants["copies_within_file"] += 1
            return payment
        if kind == 1:
            self.load(self.drops[other], payment, ISO if style in (PLAIN, EPOCH_MS) else EPOCH_MS)
            self.drops[own].tally.lose("exact_copy")
            self.drops[own].row(self.values(payment, style))
            self.variants["copies_across_files"] += 1
            return payment
        self.drops[own].tally.lose("older_version")
        self.drops[own].row(self.values(payment, style))
        newer = payment._replace(amount=reduced(payment), note="corrected by provider")
        self.load(self.drops[other], newer, style)
        self.variants["newer_versions"] += 1
        return newer

    def _correct(self, payment: Payment, style: int, own: int, later: Later) -> Payment | None:
        """The second step: rows of the corrected drop change or go, rows of other drops get a newer version."""
        kind = {5: "removed", 10: "corrected"}.get(self._good % 13) if own == CORRECTED_DROP else None
        if own != CORRECTED_DROP and self._good % 50 == 25:
            kind = "superseded"
        if kind is None or self._corrections[kind] >= later.most:
            self.load(self.drops[own], payment, style)
            return payment
        self._corrections[kind] += 1
        if kind == "removed":
            return None
        changed = payment._replace(amount=reduced(payment), note="corrected by provider")
        self.load(later.drop if kind == "superseded" else self.drops[own], changed, style)
        return changed

    @property
    def corrections(self) -> dict[str, int]:
        """How many rows the second step removed, corrected in their drop, or superseded by its own drop."""
        return {kind: self._corrections[kind] for kind in ("corrected", "removed", "superseded")}

    def load(self, drop: Drop, payment: Payment, style: int) -> None:
        """Writes a good line that wins."""
        drop.tally.load()
        drop.row(self.values(payment, style))

    def reject(self, drop: Drop, payment: Payment, style: int, defect: str) -> None:
        """Writes a line with one defect."""
        drop.tally.reject(defect)
        drop.raw(spoil(self.values(payment, style), defect, payment.number))

    def values(self, payment: Payment, style: int) -> list[str | None]:
        """The line's values; region and currency sometimes under an alias."""
        draw = self._spelling.random
        region = payment.region
        name, currency, method = region.name, region.currency, payment.method
        spelling = draw()
        if spelling < 0.10:
            name = region.spellings[int(draw() * len(region.spellings))]
        elif spelling < 0.15:
            spellings = self._world.currencies[currency]
            currency = spellings[int(draw() * len(spellings))]
        elif spelling < 0.18:
            method = method.upper()
        if name != region.name or currency != region.currency:
            self.variants["alias_lines"] += 1
        self.variants[f"EventTime {FORMAT_NAMES[style]}"] += 1
        return [
            payment.key,
            payment.order,
            payment.customer,
            written(self._world.zones, payment.at, style, region.time_zone),
            money(payment.amount),
            currency,
            method,
            payment.status,
            name,
            payment.ip,
            payment.note if payment.note is not None or spelling < 0.5 else "NULL",
        ]

    def close(self) -> None:
        """Ends every drop."""
        for drop in self.drops:
            drop.close()


def reduced(payment: Payment) -> int:
    """A tenth less, in whole units where the currency has no fraction."""
    amount = payment.amount * 9 // 10
    return amount - amount % 100 if payment.region.currency == "JPY" else amount


def events(order: Order, luck: float) -> list[tuple[str, int, int]]:
    """Status, amount and instant of an order's payments; `luck` in [0, 1) decides about declined ones."""
    owed = sum(line.quantity * line.price - line.discount for line in order.lines if line.state != "cancelled")
    back = sum(line.quantity * line.price - line.discount for line in order.lines if line.state == "returned")
    total = owed + order.shipping
    at = order.at + 30 + int(luck * 1800)
    if order.status == "placed" or total <= 0:
        return [("declined", total, at)] if luck < 0.2 and total > 0 else []
    if order.status == "cancelled":
        if luck < 0.5:
            return [("declined", total, at)]
        return [("captured", total, at), ("refunded", total, max(order.updated, at + 60))]
    found = [("declined", total, at - 20)] if luck < 0.04 else []
    found.append(("captured", total, at))
    if back > 0:
        found.append(("refunded", back, max(order.updated, at + 60)))
    return found


def spoil(values: list[str | None], defect: str, number: int) -> bytes:
    """The line with one defect, as bytes."""
    if defect == "TRUNCATED_LINE":
        # Before the note, so that no quote is open, and inside a value, as a broken transfer leaves it.
        kept = csv_line(values[: 3 + number % 6])
        return kept[:-1].encode()
    if defect == "BAD_ENCODING":
        values[10] = "café réservé"
        return csv_line(values).encode("latin-1", "replace")
    if defect == "TOO_MANY_FIELDS":
        return csv_line([*values, "extra"]).encode()
    if defect == "BELOW_MINIMUM_AMOUNT":
        values[4] = f"-{values[4]}"
    elif defect == "BAD_TYPE_EVENT_TIME":
        values[3] = BAD_TIMES[number % len(BAD_TIMES)]
    elif defect == "BAD_TYPE_AMOUNT":
        values[4] = BAD_AMOUNTS[number % len(BAD_AMOUNTS)]
    elif defect == "INVALID_VALUE_REGION":
        values[8] = UNKNOWN_REGIONS[number % len(UNKNOWN_REGIONS)]
    elif defect == "INVALID_VALUE_CURRENCY":
        values[5] = "XTS"
    elif defect == "INVALID_VALUE_PAYMENT_METHOD":
        values[6] = "cheque"
    else:
        column = {"MISSING_TRANSACTION_ID": 0, "MISSING_ORDER_ID": 1, "MISSING_AMOUNT": 4}[defect]
        values[column] = "NULL" if number % 2 else None
    return csv_line(values).encode()
