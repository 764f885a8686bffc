"""What visitors' behaviour adds up to: the funnel, interest in products, abandoned carts, features of a visitor.

Each function computes whole rows from sessions or events, so that a day or a visitor can be computed again whenever
something of it changed.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

#: Days before a visitor's last event that the features look at.
FEATURE_DAYS = 30


def _share(part: Column, whole: Column, sql_type: str) -> Column:
    """part / whole, rounded half up; null when there is no whole."""
    return (part.cast("decimal(18,0)") / F.when(whole != 0, whole).cast("decimal(18,0)")).cast(sql_type)


def session_funnel(sessions: DataFrame) -> DataFrame:
    """Sessions by day and device, and how many have an event of each stage (contracts/session_funnel.yaml)."""

    def with_any(count: str) -> Column:
        return F.count(F.when(F.col(count) > 0, 1))

    return (
        sessions.groupBy(F.col("session_date").alias("funnel_date"), "device")
        .agg(
            F.count("*").alias("sessions"),
            F.countDistinct("visitor_id").alias("visitors"),
            with_any("product_views").alias("viewed_product"),
            with_any("cart_adds").alias("added_to_cart"),
            with_any("checkouts").alias("began_checkout"),
            with_any("purchases").alias("purchased"),
        )
        .withColumn("conversion_rate", _share(F.col("purchased"), F.col("sessions"), "decimal(9,6)"))
    )


def product_behaviour(events: DataFrame) -> DataFrame:
    """Views, carts and purchases by day and product (contracts/product_behaviour.yaml)."""

    def times(kind: str) -> Column:
        return F.count(F.when(F.col("event_type") == kind, 1))

    def visitors(kind: str) -> Column:
        return F.countDistinct(F.when(F.col("event_type") == kind, F.col("visitor_id")))

    return (
        events.where(F.col("product_id").isNotNull())
        .groupBy(F.col("event_date").alias("behaviour_date"), "product_id")
        .agg(
            times("product_view").alias("views"),
            visitors("product_view").alias("viewers"),
            times("add_to_cart").alias("cart_adds"),
            visitors("add_to_cart").alias("cart_visitors"),
            times("purchase").alias("purchases"),
            visitors("purchase").alias("buyers"),
        )
        .withColumn("conversion_rate", _share(F.col("buyers"), F.col("viewers"), "decimal(18,6)"))
    )


def abandoned_carts(sessions: DataFrame) -> DataFrame:
    """Sessions with a product put into the cart and no purchase (contracts/abandoned_carts.yaml)."""
    return sessions.where((F.col("cart_adds") > 0) & (F.col("purchases") == 0)).select(
        "session_id",
        F.col("session_date").alias("cart_date"),
        "visitor_id",
        "user_id",
        "device",
        "cart_adds",
        "cart_products",
        "last_product_id",
        "last_cart_at",
        (F.col("checkouts") > 0).alias("reached_checkout"),
    )


def user_features(sessions: DataFrame) -> DataFrame:
    """One row per visitor over the days before the visitor's last event (contracts/user_features.yaml).

    Args:
        sessions: all sessions of these visitors, as far back as `FEATURE_DAYS` before the earliest of their last
            events; older ones do no harm.
    """
    last = sessions.groupBy("visitor_id").agg(F.max("ended_at").alias("last_seen_at"))
    recent = sessions.join(last, "visitor_id").where(
        F.col("started_at") > F.col("last_seen_at") - F.expr(f"INTERVAL {FEATURE_DAYS} DAYS")
    )
    open_cart = (F.col("cart_adds") > 0) & (F.col("purchases") == 0)
    return (
        recent.groupBy("visitor_id")
        .agg(
            F.max_by("user_id", F.when(F.col("user_id").isNotNull(), F.col("started_at"))).alias("user_id"),
            F.max("last_seen_at").alias("last_seen_at"),
            F.count("*").alias("sessions_30d"),
            F.countDistinct("session_date").alias("days_active_30d"),
            F.sum("event_count").alias("events_30d"),
            F.sum("product_views").alias("product_views_30d"),
            F.sum("cart_adds").alias("cart_adds_30d"),
            F.sum("purchases").alias("purchases_30d"),
            F.count(F.when(F.col("purchases") > 0, 1)).alias("_converted"),
            F.sum("duration_seconds").alias("_seconds"),
            F.max_by(F.struct("device", open_cart.alias("open_cart")), "started_at").alias("_last"),
            F.max_by("last_product_id", F.when(F.col("last_product_id").isNotNull(), F.col("started_at"))).alias(
                "last_product_id"
            ),
        )
        .select(
            "visitor_id",
            "user_id",
            "last_seen_at",
            "sessions_30d",
            "days_active_30d",
            "events_30d",
            "product_views_30d",
            "cart_adds_30d",
            "purchases_30d",
            _share(F.col("_converted"), F.col("sessions_30d"), "decimal(9,6)").alias("conversion_rate_30d"),
            F.expr("_seconds div sessions_30d").cast("bigint").alias("average_session_seconds_30d"),
            F.col("_last.device").alias("last_device"),
            "last_product_id",
            F.col("_last.open_cart").alias("open_cart"),
        )
    )
