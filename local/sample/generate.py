"""Generates the sample: python -m local.sample.generate --out DIR [--seed 42] [--scale 1.0] [--end-date 2026-10-31].

With --step 2 it adds to an existing sample what happens after the first run. See README.md for the files.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

from . import mysql as shop
from .api_logs import write_api_logs
from .campaigns import Campaigns
from .catalogue import Catalogue
from .changes import MOST, Changes, new_drop
from .clicks import write_clicks
from .counts import DATASETS, Json, Tally
from .ledger import Ledger
from .model import BOTH, MYSQL, Line, Order, OrderModel, Period
from .output import Output, Sink, claim
from .payments import CORRECTED_DROP, Drop, Later, Payments
from .rates import Rates, rate_lines
from .sources import DynamoOrders, MysqlOrders, Spelling
from .text import utc_iso
from .world import DAY, load_world

ORDERS_AT_SCALE_1 = 20_000


class Sample:
    """One pass over the sample's world; with `changes` it is the second step."""

    def __init__(self, output: Output, seed: int, scale: float, end: date, changes: Changes | None) -> None:
        self.output = output
        self.seed = seed
        self.scale = scale
        self.period = Period.ending(end)
        self.changes = changes
        self.count = max(50, round(ORDERS_AT_SCALE_1 * scale))
        self.world = load_world()
        self.tallies = {dataset: Tally() for dataset in DATASETS}
        self.variants: Counter[str] = Counter()
        self.rates = Rates(self.world, self._random("rates"), self.period.start, end)
        self.catalogue = Catalogue(self.world, self._random("catalogue"), scale, self.period.last_second)
        self.ledger = Ledger(self.world, self.rates, self.catalogue.categories)
        spelling = Spelling(self.world, self._random("spelling"), self.variants)
        self.mysql = MysqlOrders(
            (output.open("sources/mysql/orders.csv"), output.open("sources/mysql/order_items.csv")),
            (self.tallies["mysql_orders"], self.tallies["mysql_order_items"]),
            spelling,
            self.count,
        )
        self.dynamo = DynamoOrders(
            output.open("sources/dynamodb/orders.jsonl"),
            (self.tallies["dynamodb_orders"], self.tallies["dynamodb_order_items"]),
            spelling,
            self.count,
        )
        self.late_drop = self._late_drop()
        later = Later(self.late_drop, MOST) if self.late_drop is not None else None
        self.payments = Payments(self.world, output, self.period, self._random("payments"), self.count, later)
        self.model = OrderModel(self.world, self.rates, self.catalogue, self.period, self._random("orders"))
        self.campaigns = Campaigns(self.world, self._random("campaigns"), end, self.tallies["campaigns"])
        self.files: list[Json] = []

    def _random(self, purpose: str) -> Random:
        """A generator for each purpose, so that a change in one leaves the others as they are."""
        return Random(f"{self.seed}:{purpose}")

    def _late_drop(self) -> Drop | None:
        if self.changes is None:
            return None
        at = self.changes.at
        path = f"step-2/drops/transactions/transactions-{utc_iso(at)[:10]}-step-2.csv"
        return Drop(path, at, self.output.open(path, at))

    def run(self) -> dict[str, Json]:
        """Draws everything, writes what is to be written, returns the truth."""
        self._table("customers", self.catalogue.customer_rows(self.tallies["customers"]))
        self._table("products", self.catalogue.product_rows(self.tallies["products"]))
        self._table("inventory", self.catalogue.inventory_rows(self.tallies["inventory"]))
        if self.changes is not None:
            self.changes.catalogue(self.catalogue, self.tallies)
        for order in self.model.orders(self.count):
            self.dynamo.flush(order.at - 60)
            self._order(order)
        if self.changes is not None:
            self._new_orders(self.changes)
        self.dynamo.flush(None)
        self.payments.close()
        self._small_files()
        return self._truth()

    def _table(self, table: str, rows: Iterable[tuple[str | None, ...]]) -> None:
        sink = self.output.open(f"sources/mysql/{table}.csv")
        sink.write((",".join(shop.TABLES[table]) + "\n").encode())
        write_lines(sink, (shop.csv_line(row) for row in rows))

    def _order(self, order: Order) -> None:
        if order.source == BOTH:
            self._both(order)
            self._settle(order, list(order.lines))
            return
        written = self.mysql.write(order) if order.source == MYSQL else self.dynamo.write(order)
        if written is None:
            return
        if not written.good:
            payments, _ = self.payments.write(order)
            self.ledger.orphans(len(written.lines), payments)
            return
        final = order if self.changes is None or written.touched else self.changes.apply(order, self.dynamo)
        if final is None:
            payments, _ = self.payments.write(order)
            self.ledger.orphans(0, payments)
            return
        self._settle(final, written.lines if final is order else list(final.lines), order)

    def _both(self, order: Order) -> None:
        """The same order in both systems: half of them alike, the others newer in one of the two."""
        sold = tuple(line._replace(state="sold") for line in order.lines)
        stale = order._replace(status="paid", updated=order.at + (order.updated - order.at) // 2, lines=sold)
        newer = order.number % 4
        self.mysql.write_copy(stale if newer == 3 else order, "older_version" if newer == 3 else None)
        lost = {2: "older_version", 3: None}.get(newer, "lower_precedence")
        self.dynamo.write_copy(stale if newer == 2 else order, lost)

    def _settle(self, final: Order, lines: list[Line], paid: Order | None = None) -> None:
        """Books an order of the final table with its payments, which follow from the order as it was paid."""
        _, booked = self.payments.write(paid or final)
        self.ledger.add(final, lines, booked, self.catalogue.segment(final.customer))

    def _new_orders(self, changes: Changes) -> None:
        orders = changes.new_orders(self.model, self.count + 1, self.mysql, self.dynamo)
        if self.late_drop is None:
            raise AssertionError("the second step has a drop")
        booked = new_drop(self.payments, self.late_drop, orders)
        for order in orders:
            segment = self.catalogue.segment(order.customer)
            self.ledger.add(order, list(order.lines), booked.get(order.key, 0), segment)

    def _small_files(self) -> None:
        lines = rate_lines(self.world, self.rates)
        tally = self.tallies["exchange_rates"]
        tally.load(len(lines) - 2)
        tally.lose("exact_copy")
        self._drop("exchange_rates", f"exchange_rates-{self.period.start.isoformat()}.csv", lines)
        for name, rows in self.campaigns.files():
            self._drop("campaigns", name, rows)
        self.output.text("sources/mysql/schema.sql", shop.SCHEMA)
        self.output.text("sources/mysql/load-mariadb.sql", shop.load_mariadb())

    def _drop(self, dataset: str, name: str, lines: list[str]) -> None:
        path = f"drops/{dataset}/{name}"
        day = datetime.fromisoformat(f"{Path(name).stem[-10:]}T00:00:00+00:00")
        modified = int(day.timestamp()) + DAY + 2 * 3600
        self.files.append({"dataset": dataset, "path": path, "modified": utc_iso(modified), "read": len(lines) - 1})
        self.output.text(path, "\n".join(lines) + "\n", modified)

    def _truth(self) -> dict[str, Json]:
        if self.changes is None:
            return self._first_truth()
        return self._second_truth(self.changes)

    def _parameters(self) -> dict[str, Json]:
        return {
            "seed": self.seed,
            "scale": self.scale,
            "start_date": self.period.start.isoformat(),
            "end_date": self.period.end.isoformat(),
        }

    def _tables(self, transactions: int) -> dict[str, Json]:
        gains = {name: 0 if self.changes is None else self.changes.net(name) for name in DATASETS}
        rows: dict[str, Json] = {
            name: self.tallies[name].loaded + gains[name]
            for name in ("customers", "products", "inventory", "campaigns", "exchange_rates")
        }
        return {**rows, "orders": self.ledger.orders, "order_items": self.ledger.lines, "transactions": transactions}

    def _first_truth(self) -> dict[str, Json]:
        for drop in self.payments.drops:
            add(self.tallies["transactions"], drop.tally)
            self.files.append(drop_document(drop, drop.path))
        self.variants.update(self.payments.variants)
        self.variants["dynamodb_orders_deleted_again"] = self.dynamo.deleted
        return {
            "parameters": self._parameters(),
            "datasets": {name: tally.document() for name, tally in self.tallies.items()},
            "tables": self._tables(self.tallies["transactions"].loaded),
            **self.ledger.document(),
            "campaigns_rows": self.campaigns.clean_rows(),
            "values_written": {name: self.variants[name] for name in sorted(self.variants)},
            "files": sorted(self.files, key=lambda file: str(file)),
        }

    def _second_truth(self, changes: Changes) -> dict[str, Json]:
        if self.late_drop is None:
            raise AssertionError("the second step has a drop")
        self.output.text("sources/mysql/changes-2.sql", "\n".join(changes.statements) + "\n")
        self.output.open("sources/dynamodb/changes-2.jsonl").write(b"".join(changes.log))
        corrected = self.payments.drops[CORRECTED_DROP]
        path = f"step-2/{corrected.path}"
        loaded = self.late_drop.tally.loaded + sum(drop.tally.loaded for drop in self.payments.drops)
        superseded = self.payments.corrections["superseded"]
        return {
            "parameters": {**self._parameters(), "at": utc_iso(changes.at)},
            "changes": changes.document(),
            "transactions": {
                "new": self.late_drop.tally.loaded - superseded,
                "unchanged": corrected.tally.loaded - self.payments.corrections["corrected"],
                **self.payments.corrections,
            },
            "tables": self._tables(loaded),
            **self.ledger.document(),
            "files": [drop_document(self.late_drop, self.late_drop.path), drop_document(corrected, path)],
        }


def write_lines(sink: Sink, lines: Iterable[str]) -> None:
    """Writes text lines as UTF-8."""
    for line in lines:
        sink.write((line + "\n").encode())


def add(total: Tally, part: Tally) -> None:
    """Adds one file's counts to its dataset's."""
    total.read += part.read
    total.loaded += part.loaded
    total.deduplicated.update(part.deduplicated)
    total.quarantined.update(part.quarantined)


def drop_document(drop: Drop, path: str) -> Json:
    """A transactions drop and its counts."""
    return {"dataset": "transactions", "path": path, "modified": utc_iso(drop.modified), **drop.tally.document()}


def write_json(path: Path, document: dict[str, Json]) -> None:
    """Readable JSON, keys in the order given."""
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def generate(out: Path, seed: int = 42, scale: float = 1.0, end: date = date(2026, 10, 31)) -> dict[str, Json]:
    """Fills the folder `out` with the sample and returns its truth, which is also `out`/truth.json.

    The same seed, scale and end give the same bytes. A folder with anything but a sample in it is refused.
    """
    claim(out)
    with Output(out) as output:
        truth = Sample(output, seed, scale, end, None).run()
        truth["clickstream"] = write_clicks(output, seed, scale, end)
        truth["api_events"] = write_api_logs(output, load_world(), seed, scale, end)
    write_json(out / "truth.json", truth)
    return truth


def generate_more(out: Path, at: int | None = None) -> dict[str, Json]:
    """Adds the second step to the sample in `out`; returns the truth after it, also in `out`/truth-2.json.

    `at` (epoch seconds) is when everything changes: a real run passes the clock of now, because its watermarks are
    already past the sample's period. The default is 06:00 UTC of the day after the end.
    """
    file = out / "truth.json"
    if not file.is_file():
        raise SystemExit(f"sample: {file} does not exist; generate the first step there before the second")
    parameters = json.loads(file.read_text("utf-8"))["parameters"]
    end = date.fromisoformat(parameters["end_date"])
    period = Period.ending(end)
    moment = period.last_second + 1 + 6 * 3600 if at is None else at
    if moment <= period.last_second:
        raise SystemExit(f"sample: the second step ({utc_iso(moment)}) must be later than {parameters['end_date']}")
    changes = Changes(moment, Random(f"{parameters['seed']}:changes"))
    corrected = corrected_path(period)
    step = "step-2/drops/transactions"
    moved = {corrected: f"{step}/{Path(corrected).name}"}
    late = f"{step}/transactions-{utc_iso(moment)[:10]}-step-2.csv"
    keep = {path: path for path in (late, "sources/mysql/changes-2.sql", "sources/dynamodb/changes-2.jsonl")}
    with Output(out, moved | keep) as output:
        truth = Sample(output, parameters["seed"], parameters["scale"], end, changes).run()
    write_json(out / "truth-2.json", truth)
    return truth


def corrected_path(period: Period) -> str:
    """Path of the drop that the second step corrects."""
    days = (CORRECTED_DROP + 1) * period.days // 12
    last = date.fromordinal(period.start.toordinal() + days - 1)
    return f"drops/transactions/transactions-{last.isoformat()}.csv"


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sample", description="Generates the seeded sample data.")
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--scale", type=float, default=1.0, help="0.01 to 50; 1 is 20,000 orders")
    parser.add_argument("--end-date", type=date.fromisoformat, default=date(2026, 10, 31), help="last day")
    parser.add_argument("--step", type=int, choices=(1, 2), default=1, help="2: what happens after the first run")
    parser.add_argument("--at", type=datetime.fromisoformat, help="instant of step 2, ISO 8601 with offset")
    arguments = parser.parse_args(argv)
    if not 0.01 <= arguments.scale <= 50:
        parser.error("--scale must be between 0.01 and 50")
    if arguments.at is not None and arguments.at.tzinfo is None:
        arguments.at = arguments.at.replace(tzinfo=UTC)
    return arguments


def main(argv: list[str]) -> None:
    """Generates a step and says what it wrote."""
    arguments = parse(argv)
    began = time.perf_counter()
    if arguments.step == 1:
        truth = generate(arguments.out, arguments.seed, arguments.scale, arguments.end_date)
    else:
        truth = generate_more(arguments.out, None if arguments.at is None else int(arguments.at.timestamp()))
    seconds = time.perf_counter() - began
    print(f"sample: step {arguments.step} in {arguments.out}, {seconds:.1f} s: {json.dumps(truth['tables'])}")


if __name__ == "__main__":
    main(sys.argv[1:])
