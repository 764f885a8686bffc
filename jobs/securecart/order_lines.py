"""Orders on their local day and their lines with amounts: what the order history and the revenue both stand
on.

Rules, in one place so that both tables reconcile to the last digit:

* A cancelled line does not count, and every line of a cancelled order counts as cancelled.
* A returned line counts in gross and discount and is taken off again: returned = gross - discount, net = 0.
  The line's own status decides; an order in state ``returned`` whose lines are ``sold`` keeps their net.
* Money stays decimal. A line is converted to US dollars at the rate of the order's local day: gross and
  discount each rounded HALF_UP to 4 decimals, returned and net derived from the two, so that
  net = gross - discount - returned holds in dollars too.
* The rate of a day is the one with the latest ``valid_from`` not after it. US dollars need no rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

#: The currency that amounts are converted to.
REPORTING_CURRENCY = "USD"

CANCELLED = "cancelled"
RETURNED = "returned"

MONEY = "decimal(18,2)"
RATE = "decimal(18,8)"
USD = "decimal(18,4)"


def fits(total: Column, sql_type: str, what: str, of: str) -> Column:
    """An aggregate as ``sql_type``, rounded HALF_UP; fails the job where it does not fit (Spark would give null).

    Args:
        what: what the total is, for the message.
        of: the grouping column that says whose total it is.
    """
    narrowed = total.cast(sql_type)
    lost = F.when(total.isNotNull() & narrowed.isNull(), _refuse(what, sql_type, of).cast(sql_type))
    return lost.otherwise(narrowed)


def _refuse(what: str, sql_type: str, of: str) -> Column:
    remedy = f" does not fit {sql_type}: correct quantity, unit price or rate at the source"
    return F.raise_error(F.concat(F.lit(f"{what} of "), F.col(of).cast("string"), F.lit(remedy)))


def region_zones(reference: Mapping[str, Any]) -> Column:
    """The contracts' reference data as a constant map from region to time zone (IANA)."""
    return F.create_map(
        *[F.lit(text) for region, facts in reference["regions"].items() for text in (region, facts["time_zone"])]
    )


def rate_periods(rates: DataFrame) -> DataFrame:
    """Rates with the day on which the next one takes over.

    Args:
        rates: currency, valid_from, rate_to_usd; one row per currency and valid_from.

    Returns:
        currency, valid_from, valid_to (exclusive; null for the latest), rate_to_usd.
    """
    following = Window.partitionBy("currency").orderBy("valid_from")
    return rates.select("currency", "valid_from", F.lead("valid_from").over(following).alias("valid_to"), "rate_to_usd")


def placed_orders(orders: DataFrame, rates: DataFrame, regions: Column) -> DataFrame:
    """Orders with their place in local time and their day's rate.

    Args:
        orders: rows of the orders contract; ``ordered_at`` UTC, in a session whose time zone is UTC.
        rates: rows of the exchange_rates contract.
        regions: time zones by region (`region_zones`).

    Returns:
        The orders' columns and order_date_local, order_time_local (HH:mm:ss), time_zone, rate_to_usd (null
        where no rate applies). An order of a region that is not in ``regions`` fails the job.
    """
    unknown = F.concat(
        F.lit("order "), "order_id", F.lit(" has region '"), "region",
        F.lit("', which contracts/reference.json does not list: add it with its time zone and run again"),
    )  # fmt: skip
    zoned = (
        orders.withColumn("time_zone", F.coalesce(regions[F.col("region")], F.raise_error(unknown).cast("string")))
        .withColumn("_local", F.from_utc_timestamp("ordered_at", F.col("time_zone")))
        .withColumn("order_date_local", F.to_date("_local"))
        .withColumn("order_time_local", F.date_format("_local", "HH:mm:ss"))
        .drop("_local")
    )
    applies = (
        (F.col("o.currency") == F.col("r.currency"))
        & (F.col("o.order_date_local") >= F.col("r.valid_from"))
        & (F.col("r.valid_to").isNull() | (F.col("o.order_date_local") < F.col("r.valid_to")))
    )
    one = F.lit(Decimal(1)).cast(RATE)
    rate = F.when(F.col("o.currency") == REPORTING_CURRENCY, one).otherwise(F.col("r.rate_to_usd").cast(RATE))
    return (
        zoned.alias("o")
        .join(F.broadcast(rate_periods(rates)).alias("r"), applies, "left")
        .select("o.*", rate.alias("rate_to_usd"))
    )


def priced_lines(placed: DataFrame, items: DataFrame) -> DataFrame:
    """Lines that count, with their amounts.

    Args:
        placed: orders as `placed_orders` gives them.
        items: rows of the order_items contract.

    Returns:
        One row per line that is not cancelled: order_id, customer_id, region, order_date_local, product_id, quantity,
        is_returned, gross and discount in the order's currency, and gross_usd and discount_usd, null without a rate.
    """
    # An int has at most ten digits, so the product is exact before it is narrowed. Each expression names its input
    # once: Spark puts projections into one another, and repeated inputs would multiply.
    gross = (F.col("quantity").cast("decimal(10,0)") * F.col("unit_price")).cast(MONEY)
    counted = items.where(F.col("line_status") != CANCELLED).select(
        "order_id",
        "product_id",
        "quantity",
        (F.col("line_status") == RETURNED).alias("is_returned"),
        F.coalesce(gross, _refuse("line gross", MONEY, "order_id").cast(MONEY)).alias("gross"),
        F.col("discount_amount").cast(MONEY).alias("discount"),
    )
    live = placed.where(F.col("status") != CANCELLED).select(
        "order_id", "customer_id", "region", "order_date_local", "rate_to_usd"
    )
    # decimal(18,2) times decimal(18,8) is decimal(37,10): exact, so rounding happens once.
    dollars = [F.round(F.col(n) * F.col("rate_to_usd"), 4).alias(f"{n}_usd") for n in ("gross", "discount")]
    return live.join(counted, "order_id").select("*", *dollars).drop("rate_to_usd")


def line_totals(suffix: str) -> list[Column]:
    """Aggregates over `priced_lines`: gross, discount and returned, in currency (``""``) or dollars (``"_usd"``)."""
    gross, discount = F.col(f"gross{suffix}"), F.col(f"discount{suffix}")
    returned = F.when(F.col("is_returned"), gross - discount).otherwise(F.lit(0))
    return [
        F.sum(gross).alias(f"gross{suffix}"),
        F.sum(discount).alias(f"discount{suffix}"),
        F.sum(returned).alias(f"returned{suffix}"),
    ]


def net(suffix: str = "") -> Column:
    """Net of `line_totals`; null where gross is."""
    return F.col(f"gross{suffix}") - F.col(f"discount{suffix}") - F.col(f"returned{suffix}")
