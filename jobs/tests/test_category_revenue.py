"""Category revenue by local day, region and category, and that it reconciles with the order history."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from securecart.category_revenue import category_revenue
from securecart.contract import Bundle
from securecart.order_history import order_history
from securecart.order_lines import region_zones
from tests.sales_rows import NOON, rows

Tables = Mapping[str, list[dict[str, Any]]]
DAY = date(2026, 3, 10)
MEASURES = ("gross", "discount", "returned", "net")


def compute(
    spark: SparkSession, contracts: Bundle, tables: Tables, days: list[tuple[date, str]] | None = None
) -> DataFrame:
    inputs = [
        rows(spark, contracts[name], tables.get(name, []))
        for name in ("orders", "order_items", "products", "exchange_rates")
    ]
    wanted = None if days is None else spark.createDataFrame(days, "order_date_local date, region string")
    orders, items, products, rates = inputs
    return category_revenue(orders, items, products, rates, region_zones(contracts.reference), wanted)


def amounts(*texts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(t) for t in texts)


def test_columns_are_the_contracts(spark: SparkSession, contracts: Bundle) -> None:
    empty = compute(spark, contracts, {})
    wanted = [(c.name, c.spark_type) for c in contracts["category_revenue"].columns]
    assert [(f.name, f.dataType) for f in empty.schema] == wanted
    assert empty.count() == 0


def test_what_counts_and_where(spark: SparkSession, contracts: Bundle) -> None:
    eur = {"region": "eu-south", "currency": "EUR"}
    tables: Tables = {
        "orders": [
            {"order_id": "O1"},
            {"order_id": "O2"},  # the same customer again
            {"order_id": "O3", "customer_id": "C2"},
            {"order_id": "cancelled", "status": "cancelled"},
            {"order_id": "late", "ordered_at": datetime(2026, 3, 10, 23, tzinfo=UTC), **eur},  # the 11th in Madrid
            {"order_id": "no_rate", "region": "apac", "currency": "JPY"},
        ],
        "order_items": [
            {"order_id": "O1", "line_no": 1, "quantity": 2, "discount_amount": Decimal("1.50")},
            {"order_id": "O1", "line_no": 2, "line_status": "returned", "discount_amount": Decimal("0.25")},
            {"order_id": "O1", "line_no": 3, "line_status": "cancelled"},
            {"order_id": "O1", "line_no": 4, "product_id": "P2"},
            {"order_id": "O2", "line_no": 1},
            {"order_id": "O3", "line_no": 1, "product_id": "P404"},
            {"order_id": "O3", "line_no": 2, "product_id": "P3"},
            {"order_id": "cancelled", "line_no": 1},
            {"order_id": "late", "line_no": 1},
            {"order_id": "no_rate", "line_no": 1},
        ],
        "products": [
            {"product_id": "P1"},
            {"product_id": "P2", "category": "Books"},
            {"product_id": "P3", "category": None},
        ],
        "exchange_rates": [{"valid_from": date(2026, 3, 1)}],
    }
    found = {tuple(r[:3]): tuple(r[3:]) for r in compute(spark, contracts, tables).collect()}
    assert found == {
        (DAY, "us-east", "Toys"): (*amounts("40", "1.75", "9.75", "28.5"), 2, 4, 1),
        (DAY, "us-east", "Books"): (*amounts("10", "0", "0", "10"), 1, 1, 1),
        (DAY, "us-east", "Uncategorised"): (*amounts("20", "0", "0", "20"), 1, 2, 1),
        (DAY + timedelta(days=1), "eu-south", "Toys"): (*amounts("11", "0", "0", "11"), 1, 1, 1),
    }


def test_only_the_days_asked_for(spark: SparkSession, contracts: Bundle) -> None:
    tables: Tables = {
        "orders": [
            {"order_id": "O1"},
            {"order_id": "O2", "region": "us-west"},
            {"order_id": "O3", "ordered_at": NOON + timedelta(days=1)},
        ],
        "order_items": [{"order_id": f"O{n}"} for n in (1, 2, 3)],
        "products": [{}],
    }
    found = compute(spark, contracts, tables, [(DAY, "us-east"), (DAY, "apac")]).collect()
    assert [(r["revenue_date"], r["region"], r["orders"]) for r in found] == [(DAY, "us-east", 1)]


def test_revenue_adds_up_to_the_order_history(spark: SparkSession, contracts: Bundle) -> None:
    """Net dollars by day and region are the same to the last digit in both tables."""
    chance = random.Random(7)
    orders: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for n in range(120):
        orders.append(
            {"order_id": f"O{n}", "region": chance.choice(["eu-south", "eu-north"]), "currency": "EUR",
             "ordered_at": NOON + timedelta(minutes=chance.randrange(3 * 1440)),
             "status": chance.choice(["paid", "paid", "cancelled"])}
        )  # fmt: skip
        for line in range(3):
            items.append(
                {"order_id": f"O{n}", "line_no": line, "product_id": chance.choice(["P1", "P2", "P3"]),
                 "quantity": chance.randrange(1, 5), "unit_price": Decimal(chance.randrange(10_000)) / 100,
                 "discount_amount": Decimal(chance.randrange(100)) / 100,
                 "line_status": chance.choice(["sold", "sold", "returned", "cancelled"])}
            )  # fmt: skip
    tables: Tables = {
        "orders": orders,
        "order_items": items,
        "products": [{"product_id": "P1"}, {"product_id": "P2", "category": "Books"}],
        "exchange_rates": [{"valid_from": date(2026, 3, 1), "rate_to_usd": Decimal("1.08765432")}],
    }
    revenue = compute(spark, contracts, tables).cache()
    history = order_history(
        rows(spark, contracts["orders"], orders),
        rows(spark, contracts["order_items"], items),
        rows(spark, contracts["customers"], []),
        rows(spark, contracts["transactions"], []),
        rows(spark, contracts["exchange_rates"], tables["exchange_rates"]),
        region_zones(contracts.reference),
        spark.createDataFrame([], "ip_address string, ip_country string"),
    )
    by_day = revenue.groupBy("revenue_date", "region").agg(F.sum("net_amount_usd"), F.sum("units")).collect()
    sold = history.where("line_count > 0").groupBy("order_date_local", "region")
    expected = sold.agg(F.sum("net_amount_usd"), F.sum("units")).collect()
    assert len(by_day) > 4
    assert sorted(map(tuple, by_day)) == sorted(map(tuple, expected))
    for row in revenue.collect():
        gross, discount, returned, net = (row[f"{m}_amount_usd"] for m in MEASURES)
        assert net == gross - discount - returned
    revenue.unpersist()
