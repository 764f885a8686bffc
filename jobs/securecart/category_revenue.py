"""Revenue by local day, region and category in US dollars (contracts/category_revenue.yaml).

Amounts follow the rules of `securecart.order_lines`: cancelled orders and lines do not count; a returned line
counts in gross, units, orders and customers and is taken off in net. An order whose currency has no rate on
its day cannot be added up in dollars: it is left out, and `curate` counts such orders and warns, so that
revenue is never silently too low. A line of a product that is missing or has no category counts under
``Uncategorised``.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from securecart.order_lines import USD, fits, line_totals, net, placed_orders, priced_lines

UNCATEGORISED = "Uncategorised"


def category_revenue(
    orders: DataFrame,
    items: DataFrame,
    products: DataFrame,
    rates: DataFrame,
    regions: Column,
    days: DataFrame | None = None,
) -> DataFrame:
    """One row per day, region and category with sales; columns and types of contracts/category_revenue.yaml.

    Args:
        orders, items, products, rates: rows of the contracts orders, order_items, products and
        exchange_rates. regions: time zones by region (`order_lines.region_zones`).
        days: the days to compute, as order_date_local and region; all when None.
    """
    placed = placed_orders(orders, rates, regions).where(F.col("rate_to_usd").isNotNull())
    if days is not None:
        placed = placed.join(F.broadcast(days), ["order_date_local", "region"], "left_semi")
    category = F.when(F.trim("category") != "", F.col("category")).otherwise(UNCATEGORISED)
    # First by order: an order counts once in a category however many of its lines are there, and counting its
    # customers afterwards needs one distinct set instead of two.
    by_order = (
        priced_lines(placed, items)
        .join(products.select("product_id", "category"), "product_id", "left")
        .withColumn("category", category)
        .groupBy("order_date_local", "region", "category", "order_id", "customer_id")
        .agg(*line_totals("_usd"), F.sum(F.col("quantity").cast("bigint")).alias("units"))
    )
    sums = by_order.groupBy(F.col("order_date_local").alias("revenue_date"), "region", "category").agg(
        *[F.sum(f"{amount}_usd").alias(f"{amount}_usd") for amount in ("gross", "discount", "returned")],
        F.count("*").alias("orders"),
        F.sum("units").alias("units"),
        F.countDistinct("customer_id").alias("customers"),
    )
    amounts = {n: F.col(f"{n}_usd") for n in ("gross", "discount", "returned")} | {"net": net("_usd")}
    return sums.select(
        "revenue_date",
        "region",
        "category",
        *[
            fits(amount, USD, f"{name} revenue", "revenue_date").alias(f"{name}_amount_usd")
            for name, amount in amounts.items()
        ],
        "orders",
        "units",
        "customers",
    )
