"""Computes the curated tables order_history and category_revenue from the staging tables, incrementally.

Each commit to a curated table carries, in its snapshot's summary, the snapshots of the staging tables that it
was computed from. A run reads what changed in the staging tables since, rows as they were included, and
recomputes only the orders that it touches and the days on which those orders lie or lay. So nothing is missed
when an earlier run failed, was rolled back or never ran, and a full computation gives the same tables.

All is computed anew with ``--full``, in a backfill, and when there is nothing to go on from: tables that were
never computed, were computed from different states, or from a snapshot that has expired or was rolled back.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

from securecart import geo, lake
from securecart.category_revenue import category_revenue
from securecart.order_history import order_history
from securecart.order_lines import placed_orders, region_zones
from securecart.snapshots import TableSnapshots, append, changelog, read_snapshots, set_property
from securecart.tables import merge_changes

log = logging.getLogger(__name__)

#: The staging tables that the curated ones are computed from.
SOURCES = ("orders", "order_items", "products", "customers", "transactions", "exchange_rates")
HISTORY = "order_history"
REVENUE = "category_revenue"

#: Snapshot property with the snapshots of the sources, as JSON by table name.
COMPUTED_FROM = "securecart.computed-from"

_OPS = ("insert", "update", "delete", "unchanged")


def affected_orders(sources: Mapping[str, DataFrame], changed: Mapping[str, DataFrame], regions: Column) -> DataFrame:
    """Orders whose history or revenue a change can touch.

    Args:
        sources: the source tables as they are now, by name.
        changed: rows that came or went, old and new states, by table name; a table without changes is absent.
        regions: time zones by region (`region_zones`).

    Returns:
        order_id, distinct. Deleted orders are among them.
    """
    orders, items = sources["orders"], sources["order_items"]
    touched = [changed[n].select("order_id") for n in ("orders", "order_items", "transactions") if n in changed]
    if "customers" in changed:
        buyers = changed["customers"].select("customer_id")
        touched.append(orders.join(buyers, "customer_id", "left_semi").select("order_id"))
    if "products" in changed:
        products = changed["products"].select("product_id")
        touched.append(items.join(products, "product_id", "left_semi").select("order_id"))
    if "exchange_rates" in changed:
        touched.append(_orders_of_rates(orders, sources["exchange_rates"], changed["exchange_rates"], regions))
    return reduce(DataFrame.union, touched).distinct()


def _orders_of_rates(orders: DataFrame, rates: DataFrame, changed: DataFrame, regions: Column) -> DataFrame:
    """Orders on the days that a changed rate applies to, or applied to before it was deleted."""
    keys = ["currency", "valid_from"]
    known = rates.select(*keys).union(changed.select(*keys)).distinct()
    following = Window.partitionBy("currency").orderBy("valid_from")
    periods = (
        known.withColumn("valid_to", F.lead("valid_from").over(following))
        .join(changed.select(*keys), keys, "left_semi")
        .alias("p")
    )
    day = F.col("o.order_date_local")
    within = (day >= F.col("p.valid_from")) & (F.col("p.valid_to").isNull() | (day < F.col("p.valid_to")))
    placed = placed_orders(orders, rates, regions).alias("o")
    same_currency = F.col("o.currency") == F.col("p.currency")
    return placed.join(F.broadcast(periods), same_currency & within, "left_semi").select("order_id")


def differences(old: DataFrame, new: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """What turns the rows of ``old`` into those of ``new``.

    Args:
        old: rows of a curated table: the columns of ``new``, and version_at.
        new: rows as they should be.
        keys: columns that identify a row.

    Returns:
        ``old`` and ``new`` as structs (null where there is no such row), ``version_at`` of the old row, and
        ``_op``: insert, update, delete or unchanged. Business columns alone decide; nulls are equal to each
        other.
    """
    columns = new.columns
    was = old.select(F.struct(*columns).alias("old"), "version_at")
    becomes = new.select(F.struct(*columns).alias("new"))
    same_key = reduce(lambda a, b: a & b, (F.col(f"old.{k}") == F.col(f"new.{k}") for k in keys))
    op = (
        F.when(F.col("old").isNull(), "insert")
        .when(F.col("new").isNull(), "delete")
        .when(F.col("old").eqNullSafe(F.col("new")), "unchanged")
        .otherwise("update")
    )
    return was.join(becomes, same_key, "full_outer").withColumn("_op", op)


def apply(
    job: lake.Job, table: str, keys: tuple[str, ...], old: DataFrame, new: DataFrame, state: str
) -> tuple[DataFrame, dict[str, int]]:
    """Brings ``new`` into a table in place of ``old`` and notes what the table is now computed from.

    A row that does not change keeps its version and batch.

    Returns:
        The `differences`, and their counts: affected, inserted, updated, deleted, unchanged.
    """
    counted = Observation()
    of = [F.count(F.when(F.col("_op") == op, 1)).alias(op) for op in _OPS]
    # A checkpoint, not a cache: after a write Spark computes every cache that reads the written table anew, and the
    # differences would then be those to the new state. It also keeps the MERGE's plan small.
    changes = differences(old, new, keys).observe(counted, *of).localCheckpoint()
    inserted, updated, deleted, unchanged = (int(counted.get[op]) for op in _OPS)
    gone = F.col("new").isNull()
    rows = changes.where(F.col("_op") != "unchanged").select(
        # The row decides, not the value: a null of the new row must not become what the old one had.
        *[F.when(gone, F.col(f"old.{c}")).otherwise(F.col(f"new.{c}")).alias(c) for c in new.columns],
        # The warehouse lets no older version win, whatever the clock did between two runs.
        F.greatest(F.lit(job.started_at), "version_at").alias("version_at"),
        F.lit(job.batch_id).alias("batch_id"),
        F.when(gone, "D").otherwise("U").alias("_op"),
    )
    if updated + deleted > 0:
        merge_changes(table, rows, keys, "TRUE")
    if inserted > 0 and updated + deleted == 0:
        append(table, rows.drop("_op"), COMPUTED_FROM, state)
    else:
        set_property(job.spark, table, COMPUTED_FROM, state)
    return changes, {
        "affected": inserted + updated + deleted + unchanged,
        "inserted": inserted,
        "updated": updated,
        "deleted": deleted,
        "unchanged": unchanged,
    }


def changes_since(
    spark: SparkSession,
    tables: Mapping[str, str],
    snapshots: Mapping[str, TableSnapshots],
    computed_from: Mapping[str, int | None],
) -> dict[str, DataFrame] | None:
    """Rows that came or went in the source tables since the curated tables were computed.

    Args:
        tables: full table names by source.
        snapshots: their snapshots, by full name.
        computed_from: by source, the snapshot that was read then, None when the table was empty.

    Returns:
        By source, only those with a new snapshot; None when a snapshot is gone, so that nothing can be said.
    """
    changed = {}
    for source, table in tables.items():
        start, end = computed_from.get(source), snapshots[table].current
        if start == end:
            continue
        if start is None:
            changed[source] = spark.table(table)
        elif end is None or start not in snapshots[table].ancestors:
            return None
        else:
            changed[source] = changelog(spark, table, start, end)
    return changed


def curate(job: lake.Job, database: str, full: bool) -> dict[str, Any]:
    """Brings both curated tables up to date.

    Args:
        job: the running job.
        database: where the IP-to-country database is (`geo.distribute`).
        full: compute everything anew.

    Returns:
        Metrics by table; see `apply`. ``without_rate`` of category_revenue counts the orders that its sums
        leave out.
    """
    spark = job.spark
    tables = {name: job.lake.table(job.contracts[name]) for name in (*SOURCES, HISTORY, REVENUE)}
    source_tables = {name: tables[name] for name in SOURCES}
    history_table, revenue_table = tables[HISTORY], tables[REVENUE]
    snapshots = {table: read_snapshots(spark, table, COMPUTED_FROM) for table in tables.values()}
    state = json.dumps({name: snapshots[table].current for name, table in source_tables.items()})

    recorded = snapshots[history_table].property
    if full or recorded is None or recorded != snapshots[revenue_table].property:
        changed = None
    else:
        changed = changes_since(spark, source_tables, snapshots, json.loads(recorded))
    if changed is not None and not changed:
        nothing = {"affected": 0, "inserted": 0, "updated": 0, "deleted": 0, "unchanged": 0}
        return {HISTORY: nothing, REVENUE: nothing | {"without_rate": _warn_without_rate(spark.table(history_table))}}
    log.info("everything is computed anew" if changed is None else f"changed: {', '.join(changed)}")

    sources = {name: spark.table(table) for name, table in source_tables.items()}
    regions = region_zones(job.contracts.reference)
    old_history, old_revenue = spark.table(history_table), spark.table(revenue_table)
    orders, items, transactions = sources["orders"], sources["order_items"], sources["transactions"]
    affected = None
    if changed is not None:
        affected = affected_orders(sources, changed, regions).localCheckpoint()
        orders, items, transactions, old_history = (
            df.join(affected, "order_id", "left_semi") for df in (orders, items, transactions, old_history)
        )
    history = order_history(
        orders,
        items,
        sources["customers"],
        transactions,
        sources["exchange_rates"],
        regions,
        geo.countries(orders, database),
    )
    # A run that fails before both tables are done leaves them with different notes, and the next computes all anew.
    history_changes, history_counts = apply(
        job, history_table, job.contracts[HISTORY].keys, old_history, history, state
    )
    days = None
    if changed is not None:
        sides = [history_changes.select(f"{s}.order_date_local", f"{s}.region") for s in ("old", "new")]
        days = sides[0].union(sides[1]).where(F.col("region").isNotNull()).distinct()
        same_day = (F.col("r.revenue_date") == F.col("d.order_date_local")) & (F.col("r.region") == F.col("d.region"))
        old_revenue = old_revenue.alias("r").join(F.broadcast(days).alias("d"), same_day, "left_semi")
    new_revenue = category_revenue(
        sources["orders"],
        sources["order_items"],
        sources["products"],
        sources["exchange_rates"],
        regions,
        days,
    )
    _, revenue_counts = apply(job, revenue_table, job.contracts[REVENUE].keys, old_revenue, new_revenue, state)
    without_rate = {"without_rate": _warn_without_rate(spark.table(history_table))}
    return {HISTORY: history_counts, REVENUE: revenue_counts | without_rate}


def _warn_without_rate(history: DataFrame) -> int:
    """Orders with sales that revenue leaves out; Iceberg skips the files that have none by their null counts."""
    left_out = history.where(F.col("net_amount_usd").isNull() & (F.col("line_count") > 0)).count()
    if left_out > 0:
        log.warning(
            "%s orders are left out of category_revenue because exchange_rates has no rate for their currency on "
            "their day: drop a file with the missing rates (curated.order_history, net_amount_usd IS NULL)",
            left_out,
        )
    return left_out


def main(argv: list[str]) -> None:
    """Arguments: ``--geo-database`` (path or s3:// address of the MMDB file), ``--full`` (compute everything
    anew).

    Contracts without order_history (a user's own) leave nothing to compute.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--geo-database", required=True)
    parser.add_argument("--full", action="store_true")
    job = lake.start("curate", argv, parser)
    metrics: dict[str, Any] = {}
    if HISTORY in job.contracts.contracts:
        full = job.options.full or job.plan.get("mode") == "backfill"
        metrics = curate(job, job.options.geo_database, full)
    for table, counts in metrics.items():
        log.info("%s: %s", table, ", ".join(f"{n} {what}" for what, n in counts.items()))
    job.write_metrics(metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
