"""Typing: every way a source writes a value, and every reason for which it cannot be taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart.conform import Dialect, conform, content_hash, text_of, typed_value
from securecart.contract import Bundle, Column, TimeFormat
from securecart.lake import SETTINGS
from tests.support import landing_records

GOOD = {
    "transaction_id": "T1",
    "order_id": "O1",
    "customer_id": "C1",
    "event_time": "2026-03-08 12:00:00",
    "amount": "10.50",
    "currency": "USD",
    "payment_method": "card",
    "status": "captured",
    "region": "us-east",
}


@pytest.fixture(autouse=True)
def _settings(spark: SparkSession) -> None:
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)


def read(spark: SparkSession, column: Column, *texts: str | None, dialect: Dialect | None = None) -> list[Any]:
    """The texts as values of the column."""
    dialect = dialect or Dialect()
    df = spark.createDataFrame([(i, t) for i, t in enumerate(texts)], "i int, raw string").coalesce(1)
    text = text_of("raw", column, dialect, {})
    typed = df.select("i", typed_value(text, column, dialect).alias("value")).orderBy("i")
    # Instants come back as epoch microseconds: how a session's zone shows them must not matter here.
    if column.physical_type == "timestamp":
        typed = typed.select("i", F.unix_micros("value").alias("value"))
    return [r["value"] for r in typed.collect()]


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def plain(contracts: Bundle, physical_type: str, *formats: TimeFormat) -> Column:
    base = contracts["transactions"].column("note")
    return replace(base, physical_type=physical_type, formats=formats)


def test_five_timestamp_formats_end_in_the_same_instant(spark: SparkSession, contracts: Bundle) -> None:
    column = contracts["transactions"].column("event_time")
    same = (
        "2026-07-01T14:30:00+02:00",
        "2026-07-01 12:30:00",
        "1782909000000",
        "07/01/2026 08:30",
        "01.07.2026 14:30:00",
    )
    assert read(spark, column, *same) == [micros("2026-07-01 12:30:00")] * 5


def test_leap_second_is_the_first_second_of_the_next_minute(spark: SparkSession, contracts: Bundle) -> None:
    column = contracts["transactions"].column("event_time")
    values = read(spark, column, "2016-12-31T23:59:60+00:00", "2016-12-31 23:59:60", "2016-12-31 23:59:61")
    assert values == [micros("2017-01-01 00:00:00")] * 2 + [None]


def test_dst_gap_moves_forward_and_overlap_takes_the_earlier_instant(spark: SparkSession, contracts: Bundle) -> None:
    column = contracts["transactions"].column("event_time")
    # New York skips 02:00-03:00 on 2026-03-08 and repeats 01:00-02:00 on 2026-11-01; Berlin likewise in between.
    values = read(spark, column, "03/08/2026 02:30", "11/01/2026 01:30", "29.03.2026 02:30:00", "25.10.2026 02:30:00")
    expected = ["2026-03-08 07:30:00", "2026-11-01 05:30:00", "2026-03-29 01:30:00", "2026-10-25 00:30:00"]
    assert values == [micros(e) for e in expected]


@pytest.mark.parametrize("text", ["2026-02-30 00:00:00", "13/13/2026 00:00", "yesterday", "20260701", "12:30"])
def test_impossible_times_are_refused(spark: SparkSession, contracts: Bundle, text: str) -> None:
    assert read(spark, contracts["transactions"].column("event_time"), text) == [None]


def test_dates_by_the_contracts_patterns_only(spark: SparkSession, contracts: Bundle) -> None:
    us = plain(contracts, "date", TimeFormat("M/d/yyyy"))
    assert read(spark, us, "11/8/2018", "2/29/2024", "2/29/2023", "2018-11-08") == [
        date(2018, 11, 8),
        date(2024, 2, 29),
        None,
        None,
    ]
    assert read(spark, plain(contracts, "date"), "2018-11-08", "11/8/2018") == [date(2018, 11, 8), None]


def test_decimals_are_exact_and_never_rounded(spark: SparkSession, contracts: Bundle) -> None:
    column = plain(contracts, "decimal(12,2)")
    texts = ("0.10", "-0.05", "9999999999.99", "1.2300", "7", "+7.5", "10000000000.00", "1.234", "1e3", "NaN", "1,5")
    expected = ["0.10", "-0.05", "9999999999.99", "1.23", "7.00", "7.50", None, None, None, None, None]
    assert read(spark, column, *texts) == [None if e is None else Decimal(e) for e in expected]


def test_a_decimal_needs_no_digit_before_its_point(spark: SparkSession, contracts: Bundle) -> None:
    texts = (".50", "0.50", "00.5", "-.05", ".", "", "1.50")
    shares = [None if e is None else Decimal(e) for e in ("0.50", "0.50", "0.50", "-0.05", None, None, None)]
    assert read(spark, plain(contracts, "decimal(2,2)"), *texts) == shares
    assert read(spark, plain(contracts, "decimal(12,2)"), *texts)[-1] == Decimal("1.50")


def test_separators_of_the_dialect(spark: SparkSession, contracts: Bundle) -> None:
    german = Dialect(null_values=("", "n/a"), decimal_separator=",", thousands_separator=".")
    column = plain(contracts, "decimal(12,2)")
    assert read(spark, column, "1.234,50", "n/a", "0,5", dialect=german) == [Decimal("1234.50"), None, Decimal("0.50")]


def test_integers_and_booleans(spark: SparkSession, contracts: Bundle) -> None:
    assert read(spark, plain(contracts, "int"), "7", "7.0", "-3", "2147483648", "7.5", "x") == [
        7,
        7,
        -3,
        None,
        None,
        None,
    ]
    assert read(spark, plain(contracts, "boolean"), "TRUE", "0", "yes", "maybe") == [True, False, True, None]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"transaction_id": None}, "MISSING_TRANSACTION_ID"),
        ({"transaction_id": "  "}, "MISSING_TRANSACTION_ID"),
        ({"order_id": "NULL"}, "MISSING_ORDER_ID"),
        ({"event_time": "soon"}, "BAD_TYPE_EVENT_TIME"),
        ({"amount": "12,50"}, "BAD_TYPE_AMOUNT"),
        ({"region": "Mars"}, "INVALID_VALUE_REGION"),
        ({"currency": "XXX"}, "INVALID_VALUE_CURRENCY"),
        ({"transaction_id": "T" * 25}, "TOO_LONG_TRANSACTION_ID"),
        ({"transaction_id": "ü" * 13}, "TOO_LONG_TRANSACTION_ID"),  # 13 characters, 26 bytes
        ({"transaction_id": "ü" * 12}, None),
        ({"_error": "TRUNCATED_LINE", "amount": "?"}, "TRUNCATED_LINE"),
    ],
)
def test_reasons(spark: SparkSession, contracts: Bundle, change: dict[str, Any], reason: str | None) -> None:
    contract = contracts["transactions"]
    raw = landing_records(spark, contract, [{**GOOD, **change}])
    assert [r["_reason"] for r in conform(raw, contract, contract, contracts.reference).collect()] == [reason]


def test_regions_currencies_and_case_are_conformed(spark: SparkSession, contracts: Bundle) -> None:
    contract = contracts["transactions"]
    spelled = {**GOOD, "region": " US_East ", "currency": "us$", "payment_method": "CARD", "status": "Captured"}
    row = conform(landing_records(spark, contract, [spelled]), contract, contract, contracts.reference).first()
    assert row is not None
    assert (row["region"], row["currency"], row["payment_method"], row["status"]) == (
        "us-east",
        "USD",
        "card",
        "captured",
    )
    assert row["_reason"] is None


def test_a_product_without_category_stays_visible(spark: SparkSession, contracts: Bundle) -> None:
    contract = contracts["products"]
    product = {
        "product_no": "1",
        "product_id": "P1",
        "product_name": "Thing",
        "list_price_usd": "1.00",
        "updated_at": "2026-01-01 00:00:00",
    }
    row = conform(landing_records(spark, contract, [product]), contract, contract, contracts.reference).first()
    assert row is not None
    assert (row["category"], row["_reason"]) == ("Uncategorised", None)


def test_content_hash_tells_null_empty_and_microseconds_apart(spark: SparkSession, contracts: Bundle) -> None:
    contract = contracts["customers"]
    base = dict.fromkeys(contract.names)
    rows = [
        {**base, "full_name": None},
        {**base, "full_name": ""},
        {**base, "updated_at": datetime(2026, 1, 1, 0, 0, 0, 1)},
        {**base, "updated_at": datetime(2026, 1, 1, 0, 0, 0, 2)},
    ]
    schema = ", ".join(f"{c.name} {c.spark_type.simpleString()}" for c in contract.columns)
    df = spark.createDataFrame([tuple(r.values()) for r in rows], schema)
    assert df.select(content_hash(contract).alias("h")).distinct().count() == 4


def test_nothing_in_nothing_out(spark: SparkSession, contracts: Bundle) -> None:
    contract = contracts["transactions"]
    assert conform(landing_records(spark, contract, []), contract, contract, contracts.reference).count() == 0
