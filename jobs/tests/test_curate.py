"""The incremental computation against the full one, on real Iceberg tables."""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart import curate
from securecart.contract import Bundle
from securecart.lake import Job, Lake
from securecart.maintenance import compact
from securecart.objects import read_text, write_text
from securecart.tables import create_or_evolve, merge_changes
from tests.sales_rows import NOON, rows

ROOT = Path(__file__).resolve().parents[2]
DATABASE = str(ROOT / "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb")
NOTHING = {"affected": 0, "inserted": 0, "updated": 0, "deleted": 0, "unchanged": 0}


class Shop:
    """The sales tables in databases of their own, and the curate job over them."""

    numbers = itertools.count(1)

    def __init__(self, spark: SparkSession, contracts: Bundle) -> None:
        self.spark, self.contracts = spark, contracts
        name = f"curate_{next(self.numbers)}"
        buckets = {z: f"securecart-local-{z}" for z in ("landing", "staging", "curated", "quarantine", "artifacts")}
        self.lake = Lake(**buckets, staging_db=name, curated_db=name)
        for dataset in (*curate.SOURCES, curate.HISTORY, curate.REVENUE):
            create_or_evolve(spark, self.table(dataset), contracts[dataset], contracts)
        self.batch = 0

    def table(self, dataset: str) -> str:
        return self.lake.table(self.contracts[dataset])

    def add(self, dataset: str, *given: Mapping[str, Any]) -> None:
        """Appends rows with new keys, which is quicker than `put`."""
        table = self.table(dataset)
        added = rows(self.spark, self.contracts[dataset], given).coalesce(1)
        # Where a row came from matters to no test here.
        self.spark.table(table).limit(0).unionByName(added, allowMissingColumns=True).writeTo(table).append()

    def put(self, dataset: str, *given: Mapping[str, Any], gone: Iterable[Mapping[str, Any]] = ()) -> None:
        """Inserts or replaces rows by key and deletes those of ``gone``, in one commit."""
        contract = self.contracts[dataset]
        kept = rows(self.spark, contract, given).withColumn("_op", F.lit("U"))
        lost = rows(self.spark, contract, gone).withColumn("_op", F.lit("D"))
        merge_changes(self.table(dataset), kept.union(lost).coalesce(1), contract.keys, "TRUE")

    def job(self) -> Job:
        self.batch += 1
        return Job(
            name="curate",
            spark=self.spark,
            lake=self.lake,
            contracts=self.contracts,
            plan={},
            batch_id=f"b{self.batch}",
            options=argparse.Namespace(),
            started_at=datetime(2026, 5, 1, tzinfo=UTC) + timedelta(minutes=self.batch),
        )

    def curate(self, full: bool = False) -> dict[str, Any]:
        return curate.curate(self.job(), DATABASE, full)

    def history(self, *columns: str) -> list[tuple[Any, ...]]:
        found = self.spark.table(self.table(curate.HISTORY)).select("order_id", *columns).collect()
        return sorted(tuple(r) for r in found)

    def revenue(self, *columns: str) -> list[tuple[Any, ...]]:
        found = self.spark.table(self.table(curate.REVENUE)).select("category", *columns).collect()
        return sorted(tuple(r) for r in found)


@pytest.fixture
def shop(spark: SparkSession, contracts: Bundle) -> Shop:
    return Shop(spark, contracts)


def counts(affected: int, inserted: int, updated: int, deleted: int) -> dict[str, int]:
    unchanged = affected - inserted - updated - deleted
    found = {"affected": affected, "inserted": inserted, "updated": updated, "deleted": deleted}
    return found | {"unchanged": unchanged}


@pytest.mark.slow
def test_each_kind_of_change_reaches_the_orders_it_touches(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    eur = {"region": "eu-south", "currency": "EUR"}
    second = {"order_id": "O2", "customer_id": "C2", "ip_address": "10.0.0.1"}
    shop.add("orders", {"order_id": "O1"}, second, {"order_id": "O3", **eur})
    shop.add("order_items", *[{"order_id": f"O{n}", "product_id": f"P{n}"} for n in (1, 2, 3)])
    shop.add("products", {"product_id": "P1"}, {"product_id": "P2"}, {"product_id": "P3"})
    shop.add("customers", {}, {"customer_id": "C2", "full_name": "Bob Example"})
    with caplog.at_level(logging.WARNING):
        found = shop.curate()
    assert found[curate.HISTORY] == counts(3, 3, 0, 0)
    assert found[curate.REVENUE] == counts(1, 1, 0, 0) | {"without_rate": 1}
    assert "1 orders are left out of category_revenue" in caplog.text
    assert shop.revenue("gross_amount_usd", "orders") == [("Toys", Decimal("20"), 2)]
    assert shop.curate() == {curate.HISTORY: NOTHING, curate.REVENUE: NOTHING | {"without_rate": 1}}

    april = {"valid_from": date(2026, 4, 1)}
    shop.add("exchange_rates", {"valid_from": date(2026, 1, 1)}, april)
    found = shop.curate()
    assert found[curate.HISTORY] == counts(1, 0, 1, 0)
    assert found[curate.REVENUE] == counts(1, 1, 0, 0) | {"without_rate": 0}

    shop.put("exchange_rates", gone=[april])  # its period holds no order
    shop.put("products", {"product_id": "P2", "category": "Books"})
    found = shop.curate()
    assert found[curate.HISTORY] == counts(1, 0, 0, 0)  # categories are not in the history
    assert found[curate.REVENUE] == counts(2, 1, 1, 0) | {"without_rate": 0}
    assert [r[0] for r in shop.revenue()] == ["Books", "Toys", "Toys"]

    shop.put("customers", {"customer_id": "C2", "segment": "premium"})
    shop.add("transactions", {"order_id": "O1"})
    assert shop.curate()[curate.HISTORY] == counts(2, 0, 2, 0)
    # A corrected drop names another order: the one that was named before loses the payment.
    shop.put("transactions", {"order_id": "O2"})
    assert shop.curate()[curate.HISTORY] == counts(2, 0, 2, 0)
    assert shop.history("captured_amount") == [("O1", 0), ("O2", 10), ("O3", 0)]

    # An order on another day and in another region leaves its old day; what is unknown now is null again.
    moved = {"order_id": "O2", "customer_id": "C404", "region": "us-west", "ordered_at": NOON - timedelta(days=9)}
    shop.put("orders", moved)
    assert shop.curate()[curate.REVENUE] == counts(3, 1, 0, 1) | {"without_rate": 0}
    assert shop.history("customer_segment", "ip_address")[1] == ("O2", None, None)
    again = shop.curate(full=True)
    assert again[curate.HISTORY] == counts(3, 0, 0, 0)
    assert again[curate.REVENUE] == counts(3, 0, 0, 0) | {"without_rate": 0}

    shop.put("orders", gone=[{"order_id": "O2"}])
    found = shop.curate()
    assert found[curate.HISTORY] == counts(1, 0, 0, 1)
    assert found[curate.REVENUE] == counts(1, 0, 0, 1) | {"without_rate": 0}
    # Each row says by which batch it last changed.
    assert shop.history("batch_id") == [("O1", "b6"), ("O3", "b3")]


@pytest.mark.slow
def test_incremental_and_full_give_the_same_tables(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of random changes: after each, computing everything anew finds nothing to change."""
    monkeypatch.setattr("securecart.maintenance.SMALL_FILES", 1)
    chance, compacted = random.Random(42), 0
    regions = shop.contracts.reference["regions"]
    orders: dict[str, dict[str, Any]] = {}
    items: dict[tuple[str, int], dict[str, Any]] = {}
    payments: dict[str, dict[str, Any]] = {}

    def random_order(order_id: str) -> dict[str, Any]:
        region = chance.choice(list(regions))
        return {
            "order_id": order_id, "region": region, "currency": regions[region]["currency"],
            "customer_id": f"C{chance.randrange(6)}", "ordered_at": NOON + timedelta(hours=chance.randrange(24 * 60)),
            "status": chance.choice(["paid", "paid", "cancelled"]),
            "ip_address": chance.choice(["8.8.8.8", "10.0.0.1", None]),
        }  # fmt: skip

    def random_item(key: tuple[str, int]) -> dict[str, Any]:
        return {
            "order_id": key[0], "line_no": key[1], "product_id": f"P{chance.randrange(6)}",
            "quantity": chance.randrange(1, 5), "unit_price": Decimal(chance.randrange(9999)) / 100,
            "line_status": chance.choice(["sold", "sold", "returned", "cancelled"]),
        }  # fmt: skip

    def random_payment(transaction_id: str) -> dict[str, Any]:
        order = chance.choice(list(orders.values()))
        return {
            "transaction_id": transaction_id, "order_id": order["order_id"], "currency": order["currency"],
            "amount": Decimal(chance.randrange(9999)) / 100, "status": chance.choice(["captured", "refunded"]),
        }  # fmt: skip

    def some(keys: Iterable[Any], n: int) -> list[Any]:
        return chance.sample(sorted(keys), n)

    for round_no in range(3):
        new = [f"O{round_no}.{n:02}" for n in range(30 if round_no == 0 else 4)]
        changed = [*new, *(some(orders, 5) if orders else [])]
        orders |= {o: random_order(o) for o in changed}
        touched = [(o, line) for o in new for line in (1, 2)] + (some(items, 6) if items else [])
        items |= {key: random_item(key) for key in touched}
        paid = [f"T{round_no}.{n}" for n in range(10)] + (some(payments, 3) if payments else [])
        payments |= {t: random_payment(t) for t in paid}
        lost_orders, lost_items, lost_payments = (
            (some(orders, 3), some(items, 3), some(payments, 2)) if round_no > 0 else ([], [], [])
        )
        gone_orders = [orders.pop(o) for o in lost_orders]
        gone_items = [items.pop(k) for k in lost_items]
        gone_payments = [payments.pop(t) for t in lost_payments]
        shop.put("orders", *[orders[o] for o in changed if o in orders])
        shop.put("orders", gone=gone_orders)  # a commit of its own: the changes since the last run are net
        shop.put("order_items", *[items[k] for k in touched if k in items], gone=gone_items)
        shop.put("transactions", *[payments[t] for t in paid if t in payments], gone=gone_payments)
        category = chance.choice(["Toys", "Books", ""])
        shop.put("products", {"product_id": f"P{chance.randrange(6)}", "category": category})
        shop.put("customers", {"customer_id": f"C{chance.randrange(6)}", "full_name": f"name {round_no}"})
        shop.put("exchange_rates", {"currency": chance.choice(["EUR", "JPY", "BRL"]),
                                    "valid_from": date(2026, 3 + round_no % 2, 1 + round_no * 7)})  # fmt: skip
        if round_no == 1:
            # The upkeep of tables between two runs changes nothing of what they have to do.
            for dataset in (*curate.SOURCES, curate.HISTORY, curate.REVENUE):
                compacted += compact(shop.spark, shop.table(dataset))
        found = shop.curate()
        assert found[curate.HISTORY]["affected"] > 0
        assert (found[curate.HISTORY]["affected"] < len(orders)) == (round_no > 0)
        again = shop.curate(full=True)
        assert again[curate.HISTORY] == counts(len(orders), 0, 0, 0)
        assert again[curate.REVENUE]["affected"] == again[curate.REVENUE]["unchanged"] > 0
    assert [r[0] for r in shop.history()] == sorted(orders)
    assert compacted > 0


def test_a_rolled_back_run_is_made_up_for(shop: Shop) -> None:
    """Tables set back to an earlier snapshot are computed from what they then say they were computed from."""
    shop.add("orders", {"order_id": "O1"})
    shop.curate()
    before = {
        name: shop.spark.sql(f"SELECT snapshot_id FROM {shop.table(name)}.refs").collect()[0][0]
        for name in (curate.HISTORY, curate.REVENUE)
    }
    shop.add("orders", {"order_id": "O2"})
    assert shop.curate()[curate.HISTORY] == counts(1, 1, 0, 0)

    def roll_back(name: str) -> None:
        catalog, table = shop.table(name).split(".", 1)
        shop.spark.sql(f"CALL {catalog}.system.rollback_to_snapshot('{table}', {before[name]})")

    roll_back(curate.HISTORY)
    # One table alone was set back: the two do not agree, so both are computed anew.
    assert shop.curate()[curate.HISTORY] == counts(2, 1, 0, 0)
    roll_back(curate.HISTORY)
    roll_back(curate.REVENUE)
    assert shop.curate()[curate.HISTORY] == counts(1, 1, 0, 0)
    assert [r[0] for r in shop.history()] == ["O1", "O2"]


def test_empty_sources_give_empty_tables(shop: Shop) -> None:
    expected = {curate.HISTORY: NOTHING, curate.REVENUE: NOTHING | {"without_rate": 0}}
    assert shop.curate() == expected
    assert shop.curate() == expected
    shop.add("orders", {"order_id": "O1"})
    assert shop.curate()[curate.HISTORY] == counts(1, 1, 0, 0)


def test_a_version_never_goes_back(shop: Shop) -> None:
    shop.add("orders", {"order_id": "O1"})
    shop.curate()
    shop.put("orders", {"order_id": "O1", "status": "shipped"})
    shop.batch = -10_000  # a clock behind the one of the last run
    shop.curate()
    assert shop.history("status", F.date_format("version_at", "yyyy-MM-dd HH:mm")) == [  # type: ignore[arg-type]
        ("O1", "shipped", "2026-05-01 00:01")
    ]


def test_main_writes_metrics_and_computes_nothing_without_order_history(
    contracts: Bundle, bundle_uri: str, shop: Shop
) -> None:
    def run(bundle: str, batch_id: str) -> dict[str, Any]:
        buckets = [f"--{z}=securecart-local-{z}" for z in ("landing", "staging", "curated", "quarantine", "artifacts")]
        databases = [f"--staging-db={shop.lake.staging_db}", f"--curated-db={shop.lake.curated_db}"]
        more = [f"--contracts={bundle}", f"--batch-id={batch_id}", f"--geo-database={DATABASE}", "--JOB_NAME=any"]
        curate.main([*buckets, *databases, *more])
        found: dict[str, Any] = json.loads(read_text(shop.lake.run_file(batch_id, "curate")))
        return found

    shop.add("orders", {"order_id": "O1"})
    own = {"contracts": [], "reference": contracts.reference}
    write_text(own_uri := f"s3://{shop.lake.artifacts}/own.json", json.dumps(own))
    assert run(own_uri, "curate-m0")["datasets"] == {}
    metrics = run(bundle_uri, "curate-m1")
    assert metrics["step"] == "curate"
    assert metrics["datasets"][curate.HISTORY] == counts(1, 1, 0, 0)
    assert shop.history("batch_id") == [("O1", "curate-m1")]
