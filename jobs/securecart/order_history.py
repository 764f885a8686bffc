"""Order history: one readable row per order with totals, payment, customer and place
(contracts/order_history.yaml).

* Amounts follow the rules of `securecart.order_lines`. A cancelled order keeps its row with no lines, units,
  amounts and shipping. What was captured for it stays visible, since that is the payment provider's fact and
  money that may be owed back.
* ``net_amount_usd`` is the sum over lines converted one by one, null without a rate for the order's local
  day.
* ``captured_amount`` is captured less refunded transactions in the order's currency. Transactions in another
  currency are not added, for an amount in two currencies is no amount. It is negative when more was refunded
  than captured.
* Age is counted in whole years on the order's local day; who was born on 29 February turns a year older on 1
  March in a year without that day.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from securecart.order_lines import CANCELLED, MONEY, USD, fits, line_totals, net, placed_orders, priced_lines

#: Upper bounds (exclusive) of age in years and the band below each.
AGE_BANDS = ((18, "under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (55, "45-54"), (65, "55-64"))
OLDEST_BAND = "65+"


def age_band(birth_date: Column, day: Column) -> Column:
    """The age band on a day; null when the birth date is unknown or after that day."""
    had_birthday = (F.month(day) * 100 + F.dayofmonth(day)) >= (F.month(birth_date) * 100 + F.dayofmonth(birth_date))
    age = F.year(day) - F.year(birth_date) - F.when(had_birthday, 0).otherwise(1)
    band = F.when(age < 0, F.lit(None))
    for bound, name in AGE_BANDS:
        band = band.when(age < bound, name)
    return band.when(age.isNotNull(), OLDEST_BAND)


def _captured(transactions: DataFrame) -> DataFrame:
    """Captured less refunded by order_id and currency."""
    signed = F.when(F.col("status") == "captured", F.col("amount")).otherwise(-F.col("amount"))
    return (
        transactions.where(F.col("status").isin("captured", "refunded"))
        .groupBy("order_id", "currency")
        .agg(fits(F.sum(signed), MONEY, "captured amount", "order_id").alias("captured_amount"))
    )


def order_history(
    orders: DataFrame,
    items: DataFrame,
    customers: DataFrame,
    transactions: DataFrame,
    rates: DataFrame,
    regions: Column,
    geo: DataFrame,
) -> DataFrame:
    """One row per order with the columns and types of contracts/order_history.yaml.

    Args:
        orders, items, customers, transactions, rates: rows of the contracts orders, order_items, customers,
            transactions and exchange_rates, each unique by its key. Rows that belong to no order are left
            out; an order without lines, transactions or a known customer has its row.
        regions: time zones by region (`order_lines.region_zones`).
        geo: ip_address, ip_country, one row per address (`geo.countries`).
    """
    placed = placed_orders(orders, rates, regions)
    sums = (
        priced_lines(placed, items)
        .groupBy("order_id")
        .agg(
            F.count("*").cast("int").alias("line_count"),
            F.sum(F.col("quantity").cast("bigint")).alias("units"),
            *line_totals(""),
            *line_totals("_usd"),
        )
    )
    totals = sums.select(
        "order_id",
        "line_count",
        "units",
        fits(F.col("gross"), MONEY, "gross amount", "order_id").alias("gross_amount"),
        fits(F.col("discount"), MONEY, "discount", "order_id").alias("discount_amount"),
        fits(F.col("returned"), MONEY, "returned amount", "order_id").alias("returned_amount"),
        fits(net(), MONEY, "net amount", "order_id").alias("net_amount"),
        fits(net("_usd"), USD, "net amount in US dollars", "order_id").alias("net_amount_usd"),
    )

    def total(name: str, sql_type: str) -> Column:
        """A total of the order's lines; zero when no line counts. (A sum that is null for any other reason stays.)"""
        return F.when(F.col("t.order_id").isNull(), F.lit(0)).otherwise(F.col(f"t.{name}")).cast(sql_type).alias(name)

    cancelled = F.col("o.status") == CANCELLED
    net_usd = F.when(F.col("o.rate_to_usd").isNotNull() & F.col("t.order_id").isNull(), F.lit(0).cast(USD))
    same_money = (F.col("o.order_id") == F.col("p.order_id")) & (F.col("o.currency") == F.col("p.currency"))
    return (
        placed.alias("o")
        .join(totals.alias("t"), F.col("o.order_id") == F.col("t.order_id"), "left")
        .join(_captured(transactions).alias("p"), same_money, "left")
        .join(customers.alias("c"), F.col("o.customer_id") == F.col("c.customer_id"), "left")
        .join(geo.alias("g"), F.col("o.ip_address") == F.col("g.ip_address"), "left")
        .select(
            "o.order_id",
            "o.customer_id",
            F.col("c.full_name").alias("customer_name"),
            "o.ordered_at",
            "o.order_date_local",
            "o.order_time_local",
            "o.time_zone",
            "o.region",
            "o.status",
            "o.channel",
            total("line_count", "int"),
            total("units", "bigint"),
            "o.currency",
            total("gross_amount", MONEY),
            total("discount_amount", MONEY),
            total("returned_amount", MONEY),
            total("net_amount", MONEY),
            F.when(cancelled, F.lit(0)).otherwise(F.col("o.shipping_amount")).cast("decimal(12,2)")
            .alias("shipping_amount"),
            net_usd.otherwise(F.col("t.net_amount_usd")).alias("net_amount_usd"),
            F.coalesce(F.col("p.captured_amount"), F.lit(0).cast(MONEY)).alias("captured_amount"),
            "o.ip_address",
            "g.ip_country",
            F.col("c.segment").alias("customer_segment"),
            age_band(F.col("c.birth_date"), F.col("o.order_date_local")).alias("age_band"),
            "c.preferred_category",
            "c.preferred_channel",
            "c.marketing_consent",
        )
    )  # fmt: skip
