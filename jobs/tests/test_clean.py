"""Deduplication, deletion and counting, and that publishing and rolling back do what they say."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from securecart import clean, migrate, publish, quality, rollback
from securecart.clean import deduplicate, versions_of, with_ages, with_recipe
from securecart.contract import Bundle
from securecart.landing import read_batches
from spark_session import DATABASE
from tests.support import Record, job_arguments, land, landing_records, metrics, write_plan
from tests.test_conform import GOOD

TRANSACTIONS = f"staging.{DATABASE}.transactions"
ORDERS = f"staging.{DATABASE}.orders"
ORDER = {
    "order_no": "1",
    "order_id": "O1",
    "customer_id": "C1",
    "ordered_at": "2026-03-01 10:00:00",
    "status": "paid",
    "region": "us-east",
    "currency": "USD",
    "shipping_amount": "5.00",
    "updated_at": "2026-03-01 10:00:00",
}


@pytest.fixture
def tables(spark: SparkSession, bundle_uri: str) -> str:
    """Empty tables. Returns the bundle's URI."""
    for zone in ("staging", "curated"):
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {zone}.{DATABASE}")
        for row in spark.sql(f"SHOW TABLES IN {zone}.{DATABASE}").collect():
            spark.sql(f"DROP TABLE {zone}.{DATABASE}.{row['tableName']} PURGE")
    migrate.main(job_arguments(bundle_uri))
    return bundle_uri


def run(
    spark: SparkSession, contracts: Bundle, bundle_uri: str, batch_id: str, landed: dict[str, list[Record]], **plan: Any
) -> dict[str, Any]:
    """Lands the records, cleans and publishes them. Returns the cleaning's counts by dataset."""
    folders = [(name, land(spark, contracts[name], batch_id, records)) for name, records in landed.items()]
    uri = write_plan(batch_id, folders, **plan)
    arguments = job_arguments(bundle_uri, uri)
    clean.main(arguments)
    publish.main(arguments)
    counts: dict[str, Any] = metrics(batch_id, "clean")["datasets"]
    for name, entry in counts.items():
        out = entry["loaded"] + sum(entry["deduplicated"].values()) + sum(entry["quarantined"].values())
        assert entry["read"] == out, f"{name}: {entry}"
        assert entry["read"] == sum(r.get("_op", "U") != "K" for r in landed[name])
    return counts


def rows(spark: SparkSession, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(r) for r in spark.table(table).select(*columns).collect())


def test_one_outcome_for_every_record(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    drop_b = {"_object": "s3://landing/drops/b.csv", "_modified": "2026-03-10T00:00:00"}
    records: list[Record] = [
        GOOD,
        GOOD,  # exact copy in the same drop
        {**GOOD, **drop_b},  # and in a later one
        {**GOOD, "transaction_id": "T2"},
        {**GOOD, "transaction_id": "T2", "amount": "11.00", **drop_b},  # a newer version
        {**GOOD, "transaction_id": "T3", "amount": "-1.00"},
        {**GOOD, "transaction_id": None},
        {**GOOD, "transaction_id": "T4", "_error": "TRUNCATED_LINE"},
    ]
    counts = run(spark, contracts, tables, "b1", {"transactions": records})["transactions"]
    assert counts["deduplicated"] == {"exact_copy": 2, "older_version": 1}
    assert counts["quarantined"] == {
        "BELOW_MINIMUM_AMOUNT": 1,
        "MISSING_TRANSACTION_ID": 1,
        "TRUNCATED_LINE": 1,
    }
    assert [(k, str(a)) for k, a in rows(spark, TRANSACTIONS, "transaction_id", "amount")] == [
        ("T1", "10.50"),
        ("T2", "11.00"),
    ]


def test_quarantine_keeps_source_line_reason_and_raw_record(
    spark: SparkSession, contracts: Bundle, tables: str
) -> None:
    bad = {**GOOD, "amount": "-1.00", "_position": 17, "_raw": 'T1,"x",-1.00'}
    run(spark, contracts, tables, "bq", {"transactions": [GOOD, {**bad, "transaction_id": "T9"}]})
    found = spark.read.parquet("s3://securecart-local-quarantine/records/dataset=transactions/batch=bq/").collect()
    assert [
        (r["source_object"], r["source_position"], r["record_key"], r["reason"], r["raw_record"]) for r in found
    ] == [("s3://landing/drops/a.csv", 17, "T9", "BELOW_MINIMUM_AMOUNT", 'T1,"x",-1.00')]


def test_newest_version_wins_then_the_source_with_precedence(
    spark: SparkSession, contracts: Bundle, tables: str
) -> None:
    dynamo = {k: v for k, v in ORDER.items() if k != "order_no"} | {"updated_at": "2026-03-01T10:00:00Z"}
    counts = run(
        spark,
        contracts,
        tables,
        "b1",
        {
            "mysql_orders": [ORDER, {**ORDER, "order_id": "O2"}],
            "dynamodb_orders": [
                {**dynamo, "status": "shipped", "_object": "dynamodb://orders/O1"},  # as old: MySQL has precedence
                {
                    **dynamo,
                    "order_id": "O2",
                    "status": "shipped",
                    "updated_at": "2026-03-02T10:00:00Z",
                    "_object": "dynamodb://orders/O2",
                },
            ],
        },
    )
    assert counts["mysql_orders"]["deduplicated"] == {"older_version": 1}
    assert counts["dynamodb_orders"]["deduplicated"] == {"lower_precedence": 1}
    assert rows(spark, ORDERS, "order_id", "status", "source_system") == [
        ("O1", "paid", "mysql_orders"),
        ("O2", "shipped", "dynamodb_orders"),
    ]


def test_a_second_run_recognises_what_it_has_and_never_goes_back(
    spark: SparkSession, contracts: Bundle, tables: str
) -> None:
    run(spark, contracts, tables, "b1", {"mysql_orders": [ORDER]})
    newer = {**ORDER, "status": "shipped", "updated_at": "2026-03-05 00:00:00"}
    older = {**ORDER, "status": "placed", "updated_at": "2026-02-01 00:00:00"}
    run(spark, contracts, tables, "b2", {"mysql_orders": [newer]})
    counts = run(spark, contracts, tables, "b3", {"mysql_orders": [newer]})
    assert counts["mysql_orders"]["deduplicated"] == {"already_loaded": 1}
    counts = run(spark, contracts, tables, "b4", {"mysql_orders": [older]})
    assert counts["mysql_orders"]["deduplicated"] == {"older_version": 1}
    assert rows(spark, ORDERS, "order_id", "status", "batch_id") == [("O1", "shipped", "b2")]


def test_a_corrected_drop_replaces_its_earlier_rows(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    other = {"_object": "s3://landing/drops/other.csv"}
    first: list[Record] = [
        GOOD,
        {**GOOD, "transaction_id": "T2"},
        {**GOOD, "transaction_id": "T3"},
        {**GOOD, "transaction_id": "T4", **other},
    ]
    run(spark, contracts, tables, "b1", {"transactions": first})
    later = {"_modified": "2026-03-11T00:00:00"}
    # T1 as it was, T2 corrected, T3 gone; T5 broken, which is no reason to delete anything.
    corrected: list[Record] = [
        {**GOOD, **later},
        {**GOOD, "transaction_id": "T2", "amount": "99.00", **later},
        {**GOOD, "transaction_id": "T5", "amount": "?", **later},
    ]
    counts = run(spark, contracts, tables, "b2", {"transactions": corrected})["transactions"]
    assert counts["deduplicated"] == {"already_loaded": 1}
    assert counts["removed_rows"] == 1
    assert [(k, str(a)) for k, a in rows(spark, TRANSACTIONS, "transaction_id", "amount")] == [
        ("T1", "10.50"),
        ("T2", "99.00"),
        ("T4", "10.50"),
    ]


def test_a_rejected_correction_does_not_delete_the_good_row(
    spark: SparkSession, contracts: Bundle, tables: str
) -> None:
    run(spark, contracts, tables, "b1", {"transactions": [GOOD]})
    run(spark, contracts, tables, "b2", {"transactions": [{**GOOD, "amount": "?", "_modified": "2026-03-11T00:00:00"}]})
    assert rows(spark, TRANSACTIONS, "transaction_id") == [("T1",)]


def test_a_deleted_item_takes_its_lines_along(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    line = {
        "order_id": "O1",
        "line_no": "1",
        "product_id": "P1",
        "quantity": "1",
        "unit_price": "5.00",
        "discount_amount": "0.00",
        "line_status": "sold",
        "updated_at": "2026-03-01T10:00:00Z",
        "_object": "dynamodb://orders/O1",
    }
    second = {**line, "line_no": "2", "_position": 2}
    kept = {**line, "order_id": "O2", "_object": "dynamodb://orders/O2"}
    run(spark, contracts, tables, "b1", {"dynamodb_order_items": [line, second, kept]})
    gone = {"order_id": "O1", "_op": "D", "_object": "dynamodb://orders/O1", "_modified": "2026-03-12T00:00:00"}
    counts = run(spark, contracts, tables, "b2", {"dynamodb_order_items": [gone]})["dynamodb_order_items"]
    assert (counts["loaded"], counts["deleted"], counts["removed_rows"]) == (1, 1, 2)
    assert rows(spark, f"staging.{DATABASE}.order_items", "order_id", "line_no") == [("O2", 1)]


def test_reconciliation_deletes_what_the_source_no_longer_has(
    spark: SparkSession, contracts: Bundle, tables: str
) -> None:
    dynamo = {k: v for k, v in ORDER.items() if k != "order_no"}
    other = {**dynamo, "order_id": "D1", "updated_at": "2026-03-01T10:00:00Z", "_object": "dynamodb://orders/D1"}
    run(
        spark,
        contracts,
        tables,
        "b1",
        {"mysql_orders": [ORDER, {**ORDER, "order_id": "O2"}], "dynamodb_orders": [other]},
    )
    alive: list[Record] = [{"_op": "K", "_position": 1, "_modified": "2026-03-12T00:00:00"}]
    counts = run(spark, contracts, tables, "b2", {"mysql_orders": alive})["mysql_orders"]
    assert (counts["read"], counts["removed_rows"]) == (0, 1)
    assert rows(spark, ORDERS, "order_id") == [("D1",), ("O1",)]


def test_backfill_repairs_damage_and_does_not_resurrect(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    first = land(spark, contracts["mysql_orders"], "b1", [ORDER, {**ORDER, "order_id": "O2"}])
    alive: list[Record] = [{"_op": "K", "_position": 1, "_modified": "2026-03-12T00:00:00"}]
    second = land(spark, contracts["mysql_orders"], "b2", alive)
    for batch, path in (("b1", first), ("b2", second)):
        arguments = job_arguments(tables, write_plan(batch, [("mysql_orders", path)]))
        clean.main(arguments)
        publish.main(arguments)
    before = rows(spark, ORDERS, "order_id", "status")
    assert before == [("O1", "paid")]
    spark.sql(f"UPDATE {ORDERS} SET status = 'cancelled'")
    landed = [("mysql_orders", first), ("mysql_orders", second)]
    window = {"from": "2026-03-01", "to": "2026-03-01"}
    plan = write_plan("b3", landed, mode="backfill", range=window)
    for job in (clean, publish):
        job.main(job_arguments(tables, plan))
    assert rows(spark, ORDERS, "order_id", "status") == before
    assert metrics("b3", "clean")["datasets"]["mysql_orders"]["deduplicated"] == {"deleted_at_source": 1}


def test_backfill_reads_only_its_days(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    days = ["2026-03-01", "2026-03-02", "2026-03-03"]
    records = [{**ORDER, "order_id": f"O{i}", "ordered_at": f"{day} 23:59:59"} for i, day in enumerate(days)]
    path = land(spark, contracts["mysql_orders"], "b1", records)
    window = {"from": "2026-03-02", "to": "2026-03-02"}
    clean.main(job_arguments(tables, write_plan("b2", [("mysql_orders", path)], mode="backfill", range=window)))
    assert metrics("b2", "clean")["datasets"]["mysql_orders"]["read"] == 1


def test_backfill_knows_what_was_deleted_outside_its_days(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    dynamo = {k: v for k, v in ORDER.items() if k != "order_no"} | {"updated_at": "2026-03-01T10:00:00Z"}
    item = {**dynamo, "_object": "dynamodb://orders/O1", "_modified": "2026-03-01T10:00:00"}
    gone = {"order_id": "O1", "_op": "D", "_object": "dynamodb://orders/O1", "_modified": "2026-03-12T00:00:00"}
    landed = [
        ("dynamodb_orders", land(spark, contracts["dynamodb_orders"], b, [r])) for b, r in (("d1", item), ("d2", gone))
    ]
    window = {"from": "2026-03-01", "to": "2026-03-01"}
    arguments = job_arguments(tables, write_plan("d3", landed, mode="backfill", range=window))
    clean.main(arguments)
    publish.main(arguments)
    assert rows(spark, ORDERS, "order_id") == []


def test_an_old_batch_is_replayed_under_a_newer_contract(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    contract = contracts["transactions"]
    path = land(spark, contract, "old", [GOOD])
    spark.read.parquet(path).drop("note").write.mode("overwrite").parquet(path + "without_note/")
    old = read_batches(spark, [path + "without_note/"], contract)
    assert old.columns == landing_records(spark, contract, []).columns
    assert [r["note"] for r in old.collect()] == [None]


def test_rollback_brings_back_what_was_there(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    run(spark, contracts, tables, "r1", {"mysql_orders": [ORDER]})
    before = rows(spark, ORDERS, "order_id", "status")
    changed = {**ORDER, "status": "shipped", "updated_at": "2026-03-05 00:00:00"}
    run(spark, contracts, tables, "r2", {"mysql_orders": [changed], "transactions": [GOOD]})
    assert rows(spark, ORDERS, "order_id", "status") != before
    rollback.main(job_arguments(tables, "s3://securecart-local-landing/plans/r2.json"))
    assert rows(spark, ORDERS, "order_id", "status") == before
    assert rows(spark, TRANSACTIONS, "transaction_id") == []


def test_publish_twice_changes_nothing(spark: SparkSession, contracts: Bundle, tables: str) -> None:
    run(spark, contracts, tables, "b1", {"mysql_orders": [ORDER], "transactions": [GOOD]})
    before = rows(spark, ORDERS, "order_id", "row_hash", "version_at")
    publish.main(job_arguments(tables, "s3://securecart-local-landing/plans/b1.json"))
    assert rows(spark, ORDERS, "order_id", "row_hash", "version_at") == before


def test_gate_fails_on_too_many_rejected_and_on_refused_objects(
    spark: SparkSession, contracts: Bundle, tables: str
) -> None:
    folder = land(spark, contracts["transactions"], "g1", [GOOD, {**GOOD, "transaction_id": None}])
    arguments = job_arguments(tables, write_plan("g1", [("transactions", folder)]))
    clean.main(arguments)
    quality.main(arguments)
    found = metrics("g1", "quality")
    assert found["verdict"] == "FAIL"
    assert "1 of 2 records (50.0%)" in found["reasons"][0]
    assert "MISSING_TRANSACTION_ID" in found["reasons"][0]
    unresolved = {r["rule"]: r for r in found["rules"]}["reference_order_id"]
    assert (unresolved["passed"], unresolved["severity"]) == (False, "warning")


def test_recipe_output_replaces_values_and_removed_rows_are_told(spark: SparkSession, contracts: Bundle) -> None:
    contract = contracts["inventory"]
    base = {"stock_no": "1", "warehouse_id": " w1 ", "product_id": "P1"}
    raw = landing_records(
        spark, contract, [base, {**base, "stock_no": "2"}, {**base, "stock_no": "3", "_error": "BAD_ENCODING"}]
    )
    out = raw.filter("_position = 1").withColumn("warehouse_id", F.lit("W1"))
    found = with_recipe(raw, out, contract.names).orderBy("_position").collect()
    assert [(r["warehouse_id"], r["_error"]) for r in found] == [
        ("W1", None),
        (None, "RECIPE_REMOVED"),
        (" w1 ", "BAD_ENCODING"),
    ]


@st.composite
def versions(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records of few keys, so that copies, versions and ties are common."""
    size = draw(st.integers(1, 12))
    return [
        {
            "transaction_id": f"T{draw(st.integers(1, 3))}",
            "amount": f"{draw(st.integers(1, 3))}.00",
            "_object": f"s3://landing/drops/{draw(st.sampled_from('ab'))}.csv",
            "_modified": f"2026-03-0{draw(st.integers(1, 3))}T00:00:00",
            "_position": number,
        }
        for number in range(size)
    ]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=versions(), seed=st.integers(0, 1000))
def test_order_of_input_and_repetition_do_not_change_the_result(
    spark: SparkSession, contracts: Bundle, records: list[dict[str, Any]], seed: int
) -> None:
    contract = contracts["transactions"]

    def settle(given_records: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
        typed = landing_records(spark, contract, given_records).withColumns(
            {
                "_dataset": F.lit("transactions"),
                "_kind": F.lit("csv"),
                "_precedence": F.lit(1),
                "version_at": F.col("_modified"),
                "_batch": F.lit("b"),
                "_outcome": F.lit(None).cast("string"),
                "row_hash": F.sha2(F.concat("transaction_id", F.lit("|"), "amount"), 256),
            }
        )
        typed = with_ages(typed, versions_of(typed))
        stands = deduplicate(typed, contract).filter(F.col("_outcome").isNull())
        return Counter(tuple(r) for r in stands.select("transaction_id", "amount", "version_at").collect())

    once = settle(records)
    shuffled = records + random.Random(seed).sample(records, k=len(records) // 2)
    random.Random(seed).shuffle(shuffled)
    assert settle(shuffled) == once
    assert len(once) == len({k for k, *_ in once}), "one row a key"
