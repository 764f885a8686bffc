"""Order history: totals, local time, money and enrichment, against values worked out by hand and in plain Python."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from securecart.contract import Bundle
from securecart.order_history import age_band, order_history
from securecart.order_lines import region_zones
from tests.sales_rows import rows

Tables = Mapping[str, list[dict[str, Any]]]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def compute(spark: SparkSession, contracts: Bundle, tables: Tables, geo: list[tuple[str, str | None]]) -> DataFrame:
    def table(name: str) -> DataFrame:
        return rows(spark, contracts[name], tables.get(name, []))

    return order_history(
        table("orders"),
        table("order_items"),
        table("customers"),
        table("transactions"),
        table("exchange_rates"),
        region_zones(contracts.reference),
        spark.createDataFrame(geo, "ip_address string, ip_country string"),
    )


CASES: Tables = {
    "orders": [
        {"order_id": "mixed", "ip_address": "8.8.8.8"},
        {"order_id": "cancelled", "status": "cancelled"},
        {"order_id": "no_lines"},
        {"order_id": "stranger", "customer_id": "C404", "ip_address": "10.0.0.1"},
        {"order_id": "euro", "region": "eu-south", "currency": "EUR", "ordered_at": at("2026-03-31T22:00:00")},
        {"order_id": "euro_eve", "region": "eu-south", "currency": "EUR", "ordered_at": at("2026-03-31T21:59:59")},
        {"order_id": "no_rate", "region": "apac", "currency": "JPY"},
        {"order_id": "too_early", "region": "eu-south", "currency": "EUR", "ordered_at": at("2025-12-31T22:59:59")},
        {"order_id": "rounding", "region": "latam", "currency": "BRL"},
        {"order_id": "paid_twice"},
        {"order_id": "large", "region": "eu-north", "currency": "EUR"},
        # Clocks in New York go forward on 8 March 2026 at 07:00 UTC and back on 1 November at 06:00 UTC.
        {"order_id": "before_gap", "ordered_at": at("2026-03-08T06:59:59")},
        {"order_id": "after_gap", "ordered_at": at("2026-03-08T07:00:00")},
        {"order_id": "first_one_thirty", "ordered_at": at("2026-11-01T05:30:00")},
        {"order_id": "second_one_thirty", "ordered_at": at("2026-11-01T06:30:00")},
        {"order_id": "midnight_west", "region": "us-west", "ordered_at": at("2026-01-01T00:00:00")},
        {"order_id": "midnight_apac", "region": "apac", "ordered_at": at("2026-01-01T00:00:00")},
    ],
    "order_items": [
        {"order_id": "mixed", "line_no": 1, "quantity": 3, "unit_price": Decimal("19.99"),
         "discount_amount": Decimal("9.97")},
        {"order_id": "mixed", "line_no": 2, "quantity": 2, "unit_price": Decimal("5.05"),
         "discount_amount": Decimal("0.10"), "line_status": "returned"},
        {"order_id": "mixed", "line_no": 3, "quantity": 7, "unit_price": Decimal("100.00"),
         "line_status": "cancelled"},
        {"order_id": "cancelled"},
        {"order_id": "stranger"},
        {"order_id": "euro"},
        {"order_id": "euro_eve"},
        {"order_id": "no_rate"},
        {"order_id": "too_early"},
        # 0.01 and 0.03 at 0.015: 0.00015 and 0.00045 round up to 0.0002 and 0.0005; their sum 0.0006 would stay.
        {"order_id": "rounding", "line_no": 1, "unit_price": Decimal("0.01")},
        {"order_id": "rounding", "line_no": 2, "unit_price": Decimal("0.03")},
        {"order_id": "large", "quantity": 80_000, "unit_price": Decimal("999999999.99")},
        {"order_id": "of_no_order"},
    ],
    "customers": [{"customer_id": "C1", "birth_date": date(2008, 3, 11)}],
    "transactions": [
        {"transaction_id": "T1", "order_id": "mixed", "amount": Decimal("65.00")},
        {"transaction_id": "T2", "order_id": "mixed", "amount": Decimal("10.00"), "status": "refunded"},
        {"transaction_id": "T3", "order_id": "mixed", "amount": Decimal("99.00"), "status": "declined"},
        {"transaction_id": "T4", "order_id": "mixed", "amount": Decimal("99.00"), "currency": "EUR"},
        {"transaction_id": "T5", "order_id": "cancelled", "amount": Decimal("15.00")},
        {"transaction_id": "T6", "order_id": "paid_twice", "amount": Decimal("15.00")},
        {"transaction_id": "T7", "order_id": "paid_twice", "amount": Decimal("15.00")},
    ],
    "exchange_rates": [
        {"currency": "EUR", "valid_from": date(2026, 1, 1), "rate_to_usd": Decimal("1.1")},
        {"currency": "EUR", "valid_from": date(2026, 4, 1), "rate_to_usd": Decimal("1.2")},
        {"currency": "BRL", "valid_from": date(2026, 1, 1), "rate_to_usd": Decimal("0.015")},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def history(spark: SparkSession, contracts: Bundle) -> dict[str, Row]:
    computed = compute(spark, contracts, CASES, [("8.8.8.8", "US"), ("10.0.0.1", None)])
    found = computed.withColumn("ordered_at", F.date_format("ordered_at", "yyyy-MM-dd HH:mm:ss")).collect()
    by_order = {r["order_id"]: r for r in found}
    assert len(by_order) == len(found) == len(CASES["orders"])
    return by_order


def test_columns_are_the_contracts(spark: SparkSession, contracts: Bundle) -> None:
    empty = compute(spark, contracts, {}, [])
    wanted = [(c.name, c.spark_type) for c in contracts["order_history"].columns]
    assert [(f.name, f.dataType) for f in empty.schema] == wanted
    assert empty.count() == 0


def test_cancelled_lines_are_left_out_and_returned_lines_taken_off(history: dict[str, Row]) -> None:
    order = history["mixed"]
    assert (order["line_count"], order["units"]) == (2, 5)
    assert order["gross_amount"] == Decimal("70.07")
    assert order["discount_amount"] == Decimal("10.07")
    assert order["returned_amount"] == Decimal("10.00")
    assert order["net_amount"] == Decimal("50.00")
    assert order["net_amount_usd"] == Decimal("50.0000")
    assert order["shipping_amount"] == Decimal("5.00")


def test_captured_amount_is_net_of_refunds_in_the_orders_currency(history: dict[str, Row]) -> None:
    assert history["mixed"]["captured_amount"] == Decimal("55.00")
    assert history["paid_twice"]["captured_amount"] == Decimal("30.00")
    assert history["no_lines"]["captured_amount"] == Decimal("0.00")


def test_a_cancelled_order_keeps_its_row_without_amounts(history: dict[str, Row]) -> None:
    order = history["cancelled"]
    assert (order["line_count"], order["units"]) == (0, 0)
    amounts = ("gross_amount", "discount_amount", "returned_amount", "net_amount", "shipping_amount", "net_amount_usd")
    assert [order[a] for a in amounts] == [0] * 6
    assert order["captured_amount"] == Decimal("15.00")  # money that may be owed back


def test_an_order_without_lines_has_zero_amounts(history: dict[str, Row]) -> None:
    order = history["no_lines"]
    assert (order["line_count"], order["gross_amount"], order["net_amount_usd"]) == (0, 0, 0)
    assert order["shipping_amount"] == Decimal("5.00")


def test_the_rate_is_that_of_the_local_day(history: dict[str, Row]) -> None:
    # 22:00 UTC is midnight in Madrid in summer time: the first second of April and of its rate.
    assert history["euro"]["order_date_local"] == date(2026, 4, 1)
    assert history["euro"]["order_time_local"] == "00:00:00"
    assert history["euro"]["net_amount_usd"] == Decimal("12.0000")
    assert history["euro_eve"]["order_date_local"] == date(2026, 3, 31)
    assert history["euro_eve"]["net_amount_usd"] == Decimal("11.0000")


def test_without_a_rate_dollars_are_null(history: dict[str, Row]) -> None:
    assert history["no_rate"]["net_amount_usd"] is None
    assert history["no_rate"]["net_amount"] == Decimal("10.00")
    assert history["too_early"]["net_amount_usd"] is None


def test_conversion_rounds_half_up_line_by_line(history: dict[str, Row]) -> None:
    assert history["rounding"]["net_amount_usd"] == Decimal("0.0007")


def test_large_amounts_stay_exact(history: dict[str, Row]) -> None:
    gross = 80_000 * Decimal("999999999.99")
    assert history["large"]["gross_amount"] == gross
    assert history["large"]["net_amount_usd"] == gross * Decimal("1.1")


def test_an_amount_that_does_not_fit_fails_the_job(spark: SparkSession, contracts: Bundle) -> None:
    line = {"quantity": 2_147_483_647, "unit_price": Decimal("9999999999.99")}
    computed = compute(spark, contracts, {"orders": [{}], "order_items": [line]}, [])
    with pytest.raises(Exception, match=r"gross of O1 does not fit decimal\(18,2\)"):
        computed.collect()


def test_an_unknown_region_fails_the_job(spark: SparkSession, contracts: Bundle) -> None:
    computed = compute(spark, contracts, {"orders": [{"region": "mars"}]}, [])
    with pytest.raises(Exception, match=r"order O1 has region 'mars'.*reference\.json"):
        computed.collect()


@pytest.mark.parametrize(
    ("order_id", "day", "time"),
    [
        ("before_gap", date(2026, 3, 8), "01:59:59"),
        ("after_gap", date(2026, 3, 8), "03:00:00"),
        ("first_one_thirty", date(2026, 11, 1), "01:30:00"),
        ("second_one_thirty", date(2026, 11, 1), "01:30:00"),
        ("midnight_west", date(2025, 12, 31), "16:00:00"),
        ("midnight_apac", date(2026, 1, 1), "09:00:00"),
    ],
)
def test_local_time(history: dict[str, Row], order_id: str, day: date, time: str) -> None:
    order = history[order_id]
    assert (order["order_date_local"], order["order_time_local"]) == (day, time)


def test_utc_and_zone_stay_beside_the_local_time(history: dict[str, Row]) -> None:
    order = history["second_one_thirty"]
    assert (order["ordered_at"], order["time_zone"]) == ("2026-11-01 06:30:00", "America/New_York")


def test_customer_and_place(history: dict[str, Row]) -> None:
    order = history["mixed"]
    assert order["customer_name"] == "Ada Example"
    assert (order["customer_segment"], order["preferred_category"]) == ("consumer", "Toys")
    assert (order["preferred_channel"], order["marketing_consent"]) == ("web", True)
    assert order["age_band"] == "under 18"  # 18 on the day after
    assert order["ip_country"] == "US"


def test_an_unknown_customer_leaves_nulls_and_the_amounts(history: dict[str, Row]) -> None:
    order = history["stranger"]
    personal = ("customer_name", "customer_segment", "age_band", "preferred_category", "marketing_consent")
    assert [order[c] for c in personal] == [None] * 5
    assert (order["customer_id"], order["net_amount"]) == ("C404", Decimal("10.00"))
    assert (order["ip_address"], order["ip_country"]) == ("10.0.0.1", None)


def test_age_bands(spark: SparkSession) -> None:
    cases = [
        ("2008-03-10", "2026-03-09", "under 18"),
        ("2008-03-10", "2026-03-10", "18-24"),
        ("2008-02-29", "2026-02-28", "under 18"),
        ("2008-02-29", "2026-03-01", "18-24"),
        ("2004-02-29", "2029-02-28", "18-24"),
        ("2004-02-29", "2028-02-29", "18-24"),
        ("2001-03-11", "2026-03-10", "18-24"),
        ("2001-03-10", "2026-03-10", "25-34"),
        ("1991-03-10", "2026-03-10", "35-44"),
        ("1981-03-10", "2026-03-10", "45-54"),
        ("1971-03-10", "2026-03-10", "55-64"),
        ("1961-03-11", "2026-03-10", "55-64"),
        ("1961-03-10", "2026-03-10", "65+"),
        ("2026-03-10", "2026-03-10", "under 18"),
        ("2026-03-11", "2026-03-10", None),
        (None, "2026-03-10", None),
    ]
    days = spark.createDataFrame([c[:2] for c in cases], "born string, day string")
    bands = days.select(age_band(F.to_date("born"), F.to_date("day"))).collect()
    assert [r[0] for r in bands] == [c[2] for c in cases]


def test_totals_equal_a_plain_computation(spark: SparkSession, contracts: Bundle) -> None:
    """Two hundred random orders: every total against decimals and zoneinfo in plain Python."""
    chance = random.Random(20260310)
    regions = contracts.reference["regions"]
    orders: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    transactions: list[dict[str, Any]] = []
    rates: list[dict[str, Any]] = []
    for currency in ("EUR", "JPY", "BRL"):
        for month in range(2, 7):
            rate = Decimal(chance.randrange(1, 3 * 10**8)) / 10**8
            rates.append({"currency": currency, "valid_from": date(2026, month, 1), "rate_to_usd": rate})
    for n in range(200):
        order_id, region = f"O{n}", chance.choice(list(regions))
        placed = at("2026-01-30T00:00:00") + timedelta(seconds=chance.randrange(150 * 86400))
        status = chance.choice(["paid", "paid", "shipped", "returned", "cancelled"])
        currency = regions[region]["currency"]
        orders.append(
            {"order_id": order_id, "region": region, "currency": currency, "status": status, "ordered_at": placed}
        )
        for line in range(chance.randrange(5)):
            price = Decimal(chance.randrange(100_000)) / 100
            line_status = chance.choice(["sold", "sold", "returned", "cancelled"])
            items.append(
                {"order_id": order_id, "line_no": line + 1, "quantity": chance.randrange(1, 9), "unit_price": price,
                 "discount_amount": (price * chance.randrange(30) / 100).quantize(Decimal("0.01")),
                 "line_status": line_status}
            )  # fmt: skip
        for t in range(chance.randrange(3)):
            transactions.append(
                {"transaction_id": f"T{n}.{t}", "order_id": order_id, "currency": chance.choice([currency, "USD"]),
                 "amount": Decimal(chance.randrange(10_000)) / 100,
                 "status": chance.choice(["captured", "refunded", "declined"])}
            )  # fmt: skip
    tables = {"orders": orders, "order_items": items, "transactions": transactions, "exchange_rates": rates}

    def expected(order: dict[str, Any]) -> tuple[Any, ...]:
        local = order["ordered_at"].astimezone(ZoneInfo(regions[order["region"]]["time_zone"]))
        valid = [r for r in rates if r["currency"] == order["currency"] and r["valid_from"] <= local.date()]
        rate = max(valid, key=lambda r: r["valid_from"])["rate_to_usd"] if valid else None
        rate = Decimal(1) if order["currency"] == "USD" else rate

        def dollars(amount: Decimal) -> Decimal:
            assert rate is not None
            return (amount * rate).quantize(Decimal("0.0001"), ROUND_HALF_UP)

        live = order["status"] != "cancelled"
        lines = [i for i in items if live and i["order_id"] == order["order_id"] and i["line_status"] != "cancelled"]
        gross = sum((i["quantity"] * i["unit_price"] for i in lines), Decimal(0))
        discount = sum((i["discount_amount"] for i in lines), Decimal(0))
        sold = [i for i in lines if i["line_status"] == "sold"]
        net = sum((i["quantity"] * i["unit_price"] - i["discount_amount"] for i in sold), Decimal(0))
        usd = None if rate is None else sum(
            (dollars(i["quantity"] * i["unit_price"]) - dollars(i["discount_amount"]) for i in sold), Decimal(0)
        )  # fmt: skip
        sign = {"captured": 1, "refunded": -1, "declined": 0}
        own = [t for t in transactions if (t["order_id"], t["currency"]) == (order["order_id"], order["currency"])]
        captured = sum((sign[t["status"]] * t["amount"] for t in own), Decimal(0))
        return (
            order["order_id"], local.date(), local.strftime("%H:%M:%S"), len(lines),
            sum(i["quantity"] for i in lines), gross, discount, gross - discount - net, net, usd, captured,
        )  # fmt: skip

    columns = [
        "order_id", "order_date_local", "order_time_local", "line_count", "units", "gross_amount", "discount_amount",
        "returned_amount", "net_amount", "net_amount_usd", "captured_amount",
    ]  # fmt: skip
    found = [tuple(r) for r in compute(spark, contracts, tables, []).select(*columns).collect()]
    assert sorted(found) == sorted(expected(o) for o in orders)
