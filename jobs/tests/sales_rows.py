"""Rows of the sales contracts for tests: a dict with what matters, the rest filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from securecart.contract import Contract

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

DEFAULTS: dict[str, dict[str, Any]] = {
    "orders": {
        "order_id": "O1",
        "customer_id": "C1",
        "ordered_at": NOON,
        "status": "paid",
        "channel": "web",
        "region": "us-east",
        "currency": "USD",
        "shipping_amount": Decimal("5.00"),
        "ip_address": None,
        "updated_at": NOON,
    },
    "order_items": {
        "order_id": "O1",
        "line_no": 1,
        "product_id": "P1",
        "quantity": 1,
        "unit_price": Decimal("10.00"),
        "discount_amount": Decimal("0.00"),
        "line_status": "sold",
        "updated_at": NOON,
    },
    "products": {
        "product_no": 1,
        "product_id": "P1",
        "product_name": "Thing",
        "category": "Toys",
        "list_price_usd": Decimal("10.00"),
        "updated_at": NOON,
    },
    "customers": {
        "customer_no": 1,
        "customer_id": "C1",
        "full_name": "Ada Example",
        "email": None,
        "birth_date": None,
        "country": "US",
        "segment": "consumer",
        "preferred_category": "Toys",
        "preferred_channel": "web",
        "marketing_consent": True,
        "updated_at": NOON,
    },
    "transactions": {
        "transaction_id": "T1",
        "order_id": "O1",
        "customer_id": "C1",
        "event_time": NOON,
        "amount": Decimal("10.00"),
        "currency": "USD",
        "payment_method": "card",
        "status": "captured",
        "region": "us-east",
        "ip_address": None,
        "note": None,
    },
    "exchange_rates": {"currency": "EUR", "valid_from": None, "rate_to_usd": Decimal("1.1")},
}


def rows(spark: SparkSession, contract: Contract, given: Iterable[Mapping[str, Any]]) -> DataFrame:
    """A DataFrame with the contract's columns and types; what a row does not say comes from `DEFAULTS`."""
    schema = T.StructType([T.StructField(c.name, c.spark_type) for c in contract.columns])
    filled = [DEFAULTS[contract.name] | dict(row) for row in given]
    return spark.createDataFrame([tuple(row[n] for n in contract.names) for row in filled], schema)
