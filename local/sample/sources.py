"""Writes clean orders as the two order systems hold them, with the defects of each system."""

import json
from collections import Counter
from heapq import heappop, heappush
from random import Random
from typing import Any, NamedTuple

from .catalogue import product_id
from .counts import Schedule, Tally
from .model import Line, Order
from .mysql import ITEM_COLUMNS, ORDER_COLUMNS, csv_line
from .output import Sink
from .text import EPOCH_MS, FORMAT_NAMES, dynamo_number, money, utc, utc_iso, written
from .world import World

MYSQL_ORDER_DEFECTS = (
    "INVALID_VALUE_REGION",
    "BAD_TYPE_ORDERED_AT",
    "MISSING_ORDER_ID",
    "MISSING_CUSTOMER_ID",
    "MISSING_REGION",
    "BELOW_MINIMUM_SHIPPING_AMOUNT",
    "INVALID_VALUE_STATUS",
    "MISSING_ORDERED_AT",
)
MYSQL_ITEM_DEFECTS = (
    "BELOW_MINIMUM_UNIT_PRICE",
    "MISSING_PRODUCT_ID",
    "BELOW_MINIMUM_QUANTITY",
    "MISSING_ORDER_ID",
    "BELOW_MINIMUM_UNIT_PRICE",
    "MISSING_QUANTITY",
    "INVALID_VALUE_LINE_STATUS",
)
DYNAMODB_ORDER_DEFECTS = (
    "INVALID_VALUE_REGION",
    "BAD_TYPE_ORDERED_AT",
    "MISSING_CUSTOMER_ID",
    "BAD_TYPE_SHIPPING_AMOUNT",
    "INVALID_VALUE_CURRENCY",
)
DYNAMODB_ITEM_DEFECTS = (
    "BELOW_MINIMUM_UNIT_PRICE",
    "BAD_TYPE_QUANTITY",
    "MISSING_PRODUCT_ID",
    "BAD_TYPE_UNIT_PRICE",
)
UNKNOWN_REGIONS = ("atlantis", "eu-west", "narnia", "moon")
BAD_TIMES = ("yesterday", "2026-13-45T25:61:00Z", "31.02.2026", "soon")


class Written(NamedTuple):
    """What of an order is good: the order row itself, and which of its lines; `touched` when either had a defect."""

    good: bool
    lines: list[Line]
    touched: bool


class Spelling:
    """Writes the same value in the ways that people and systems write it; all conform to the canonical one."""

    def __init__(self, world: World, rng: Random, variants: Counter[str]) -> None:
        self._world = world
        self._draw = rng.random
        self._variants = variants

    def region(self, order: Order) -> str:
        """The canonical name, or in one of ten cases an alias."""
        if self._draw() >= 0.1:
            return order.region.name
        self._variants["region_spellings"] += 1
        spellings = order.region.spellings
        return spellings[int(self._draw() * len(spellings))]

    def currency(self, order: Order) -> str:
        """The ISO code, or in one of twenty cases an alias."""
        code = order.region.currency
        if self._draw() >= 0.05:
            return code
        self._variants["currency_spellings"] += 1
        spellings = self._world.currencies[code]
        return spellings[int(self._draw() * len(spellings))]

    def word(self, word: str) -> str:
        """Lower case as a rule, sometimes not."""
        if self._draw() >= 0.03:
            return word
        self._variants["case_variants"] += 1
        return word.capitalize()

    def time(self, order: Order) -> str:
        """The order's instant in the order's format."""
        self._variants[f"ordered_at {FORMAT_NAMES[order.style]}"] += 1
        return written(self._world.zones, order.at, order.style, order.region.time_zone)


class MysqlOrders:
    """Tables orders and order_items, appended in the order of the surrogate numbers."""

    def __init__(
        self, files: tuple[Sink, Sink], tallies: tuple[Tally, Tally], spelling: Spelling, expected: int
    ) -> None:
        self._orders, self._items = files
        self._order_tally, self._item_tally = tallies
        self._spelling = spelling
        self._order_defects = Schedule(MYSQL_ORDER_DEFECTS, expected * 6 // 10)
        self._item_defects = Schedule(MYSQL_ITEM_DEFECTS, expected * 16 // 10)
        self.order_no = 0
        self.item_no = 0
        self._orders.write((",".join(ORDER_COLUMNS) + "\n").encode())
        self._items.write((",".join(ITEM_COLUMNS) + "\n").encode())

    def write(self, order: Order) -> Written:
        """An order that only MySQL has: loaded, or quarantined with one defect."""
        row = self.order_row(order)
        defect = self._order_defects.next()
        if defect is None:
            self._order_tally.load()
        else:
            self._order_tally.reject(defect)
            spoil_order(row, defect, order.number)
        self._orders.write((csv_line(row) + "\n").encode())
        good = [line for number, line in enumerate(order.lines, 1) if self._write_line(order, number, line)]
        return Written(defect is None, good, defect is not None or len(good) < len(order.lines))

    def write_copy(self, order: Order, lost: str | None) -> None:
        """An order that DynamoDB has too: `lost` is the reason why this copy goes, None when it stays."""
        self._orders.write((csv_line(self.order_row(order)) + "\n").encode())
        count(self._order_tally, 1, lost)
        for number, line in enumerate(order.lines, 1):
            self._items.write((csv_line(self.item_row(order, number, line)) + "\n").encode())
        count(self._item_tally, len(order.lines), lost)

    def _write_line(self, order: Order, number: int, line: Line) -> bool:
        row = self.item_row(order, number, line)
        defect = self._item_defects.next()
        if defect is None:
            self._item_tally.load()
        else:
            self._item_tally.reject(defect)
            spoil_item(row, defect)
        self._items.write((csv_line(row) + "\n").encode())
        return defect is None

    def order_row(self, order: Order) -> list[str | None]:
        """The next row of orders."""
        self.order_no += 1
        spelling = self._spelling
        return [
            str(self.order_no),
            order.key,
            order.customer,
            spelling.time(order),
            spelling.word(order.status),
            spelling.word(order.channel),
            spelling.region(order),
            spelling.currency(order),
            money(order.shipping),
            order.ip,
            utc(order.updated),
        ]

    def item_row(self, order: Order, number: int, line: Line) -> list[str | None]:
        """The next row of order_items."""
        self.item_no += 1
        return [
            str(self.item_no),
            order.key,
            str(number),
            product_id(line.product),
            str(line.quantity),
            money(line.price),
            money(line.discount),
            self._spelling.word(line.state),
            utc(order.updated),
        ]


def spoil_order(row: list[str | None], defect: str, number: int) -> None:
    """Puts one defect into a row of orders."""
    if defect == "INVALID_VALUE_REGION":
        row[6] = UNKNOWN_REGIONS[number % len(UNKNOWN_REGIONS)]
    elif defect == "BAD_TYPE_ORDERED_AT":
        row[3] = BAD_TIMES[number % len(BAD_TIMES)]
    elif defect == "BELOW_MINIMUM_SHIPPING_AMOUNT":
        row[8] = "-4.99"
    elif defect == "INVALID_VALUE_STATUS":
        row[4] = "lost"
    else:
        row[ORDER_COLUMNS.index(defect.removeprefix("MISSING_").lower())] = None


def spoil_item(row: list[str | None], defect: str) -> None:
    """Puts one defect into a row of order_items."""
    if defect == "BELOW_MINIMUM_UNIT_PRICE":
        row[5] = f"-{row[5]}"
    elif defect == "BELOW_MINIMUM_QUANTITY":
        row[4] = "0"
    elif defect == "INVALID_VALUE_LINE_STATUS":
        row[7] = "lost"
    else:
        row[ITEM_COLUMNS.index(defect.removeprefix("MISSING_").lower())] = None


def count(tally: Tally, rows: int, lost: str | None) -> None:
    """Counts good rows that stay, or go for a reason."""
    if lost is None:
        tally.load(rows)
    else:
        tally.lose(lost, rows)


Item = dict[str, dict[str, Any]]
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


class DynamoOrders:
    """The change log of the DynamoDB table orders, in the order of time."""

    def __init__(self, log: Sink, tallies: tuple[Tally, Tally], spelling: Spelling, expected: int) -> None:
        self._log = log
        self._order_tally, self._item_tally = tallies
        self._spelling = spelling
        self._order_defects = Schedule(DYNAMODB_ORDER_DEFECTS, expected * 3 // 10)
        self._item_defects = Schedule(DYNAMODB_ITEM_DEFECTS, expected * 8 // 10)
        self._pending: list[tuple[int, int, bytes]] = []
        self._sequence = 0
        self.deleted = 0

    def write(self, order: Order) -> Written | None:
        """An order that only DynamoDB has; None for the few that are deleted again and so in no export."""
        item = self.item(order)
        if order.number % 199 == 7:
            self._put(order, item)
            self._change(order.updated, order.number % 1_000_000 + 1, "DELETE", order.key, None)
            self.deleted += 1
            return None
        defect = self._order_defects.next()
        if defect is None:
            self._order_tally.load()
        else:
            self._order_tally.reject(defect)
            spoil_attributes(item, defect, order.number)
        good = []
        for line, element in zip(order.lines, item["items"]["L"], strict=True):
            line_defect = self._item_defects.next()
            if line_defect is None:
                self._item_tally.load()
                good.append(line)
            else:
                self._item_tally.reject(line_defect)
                spoil_element(element["M"], line_defect)
        touched = defect is not None or len(good) < len(order.lines)
        if not touched and order.status != "placed" and order.number % 3 == 0:
            sold = tuple(line._replace(state="sold") for line in order.lines)
            self._put(order, self.item(order._replace(status="placed", updated=order.at, lines=sold)), order.at)
        self._put(order, item)
        return Written(defect is None, good, touched)

    def write_copy(self, order: Order, lost: str | None) -> None:
        """An order that MySQL has too: `lost` is the reason why this copy goes, None when it stays."""
        self._put(order, self.item(order))
        count(self._order_tally, 1, lost)
        count(self._item_tally, len(order.lines), lost)

    def _put(self, order: Order, item: Item, at: int | None = None) -> None:
        self._change(order.updated if at is None else at, order.number % 1_000_000, "PUT", order.key, item)

    def _change(self, at: int, micros: int, op: str, key: str, item: Item | None) -> None:
        line = change_line(at, micros, op, key, item)
        self._sequence += 1
        heappush(self._pending, (at * 1_000_000 + micros, self._sequence, line))

    def flush(self, before: int | None) -> None:
        """Writes the changes older than an instant (epoch seconds); all of them for None."""
        while self._pending and (before is None or self._pending[0][0] < before * 1_000_000):
            self._log.write(heappop(self._pending)[2])

    def item(self, order: Order) -> Item:
        """The item as DynamoDB JSON."""
        spelling = self._spelling
        time = spelling.time(order)
        micros = updated_micros(order)
        item: Item = {
            "orderId": {"S": order.key},
            "customerId": {"S": order.customer},
            "placedAt": {"N" if order.style == EPOCH_MS else "S": time},
            "status": {"S": spelling.word(order.status)},
            "region": {"S": spelling.region(order)},
            "currency": {"S": spelling.currency(order)},
            "shipping": {"N": dynamo_number(order.shipping)},
            "channel": {"S": spelling.word(order.channel)},
            "updatedAt": {"S": utc_iso(order.updated, micros)},
            "items": {"L": [{"M": self._element(line)} for line in order.lines]},
        }
        if order.ip is not None:
            item["ip"] = {"S": order.ip}
        elif order.number % 2:
            item["ip"] = {"NULL": True}
        return item

    def _element(self, line: Line) -> Item:
        return {
            "sku": {"S": product_id(line.product)},
            "qty": {"N": str(line.quantity)},
            "unitPrice": {"N": dynamo_number(line.price)},
            "discount": {"N": dynamo_number(line.discount)},
            "state": {"S": self._spelling.word(line.state)},
        }


def updated_micros(order: Order) -> int | None:
    """Orders that MySQL has too change on whole seconds, as MySQL keeps them; the others mostly do not."""
    if order.source == "both":
        return 0 if order.number % 2 else None
    return order.number % 1_000_000 if order.number % 10 < 7 else None


def change_line(at: int, micros: int, op: str, key: str, item: Item | None) -> bytes:
    """One line of the change log; a DELETE has no item."""
    entry: dict[str, Any] = {"at": utc_iso(at, micros), "op": op, "keys": {"orderId": {"S": key}}}
    if item is not None:
        entry["item"] = item
    return ENCODER.encode(entry).encode() + b"\n"


def spoil_attributes(item: Item, defect: str, number: int) -> None:
    """Puts one defect into an item's own attributes."""
    if defect == "INVALID_VALUE_REGION":
        item["region"] = {"S": UNKNOWN_REGIONS[number % len(UNKNOWN_REGIONS)]}
    elif defect == "BAD_TYPE_ORDERED_AT":
        item["placedAt"] = {"S": BAD_TIMES[number % len(BAD_TIMES)]}
    elif defect == "BAD_TYPE_SHIPPING_AMOUNT":
        item["shipping"] = {"S": "free"}
    elif defect == "INVALID_VALUE_CURRENCY":
        item["currency"] = {"S": "XTS"}
    else:
        del item["customerId"]


def spoil_element(element: Item, defect: str) -> None:
    """Puts one defect into an element of the list `items`."""
    if defect == "BELOW_MINIMUM_UNIT_PRICE":
        element["unitPrice"] = {"N": f"-{element['unitPrice']['N']}"}
    elif defect == "BAD_TYPE_QUANTITY":
        element["qty"] = {"S": "two"}
    elif defect == "BAD_TYPE_UNIT_PRICE":
        element["unitPrice"] = {"S": "tba"}
    else:
        del element["sku"]
