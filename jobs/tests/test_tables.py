"""Iceberg tables made and evolved from contracts, and changes merged into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from securecart import migrate
from securecart.contract import Bundle, make_bundle
from securecart.errors import JobError
from securecart.tables import (
    COMPUTED_COLUMNS,
    SOURCED_COLUMNS,
    create_or_evolve,
    is_sourced,
    merge_changes,
    snapshot_of,
    table_schema,
)
from spark_session import DATABASE
from tests.support import job_arguments

TABLE = "staging.tables_test.things"
KEY = {"name": "thing_id", "physicalType": "varchar(20)", "primaryKey": True}
NAME = {"name": "name", "physicalType": "varchar(20)"}
CSV = {"kind": "csv", "prefix": "drops/things/"}


def bundle(*properties: dict[str, Any], source: dict[str, Any] | None = CSV) -> Bundle:
    """A bundle of the one contract `things`."""
    custom = [{"property": "source", "value": source}] if source else []
    schema = {"name": "things", "properties": [KEY, *properties]}
    document = {"name": "things", "version": "1.0.0", "schema": [schema], "customProperties": custom}
    return make_bundle([document], {})


def evolve(spark: SparkSession, *properties: dict[str, Any]) -> list[str]:
    wanted = bundle(*properties)
    return create_or_evolve(spark, TABLE, wanted["things"], wanted)


@pytest.fixture(autouse=True)
def _no_table(spark: SparkSession) -> Iterator[None]:
    spark.sql("CREATE NAMESPACE IF NOT EXISTS staging.tables_test")
    yield
    spark.sql(f"DROP TABLE IF EXISTS {TABLE} PURGE")


def types(spark: SparkSession) -> dict[str, str]:
    return {f.name: f.dataType.simpleString() for f in spark.table(TABLE).schema}


def append(spark: SparkSession, **values: Any) -> None:
    """Adds a row; columns not given are null."""
    schema = spark.table(TABLE).schema
    spark.createDataFrame([tuple(values.get(name) for name in schema.names)], schema).writeTo(TABLE).append()


def column(name: str, physical_type: str) -> dict[str, Any]:
    return {"name": name, "physicalType": physical_type}


def test_a_table_is_made_as_its_contract_says(spark: SparkSession, contracts: Bundle) -> None:
    orders = contracts["orders"]
    assert create_or_evolve(spark, TABLE, orders, contracts) == [f"created {TABLE}"]
    expected = {c.name: c.spark_type.simpleString() for c in orders.columns}
    technical = {name: kind.simpleString() for name, kind in SOURCED_COLUMNS.items()}
    assert list(types(spark).items()) == list({**expected, **technical}.items())
    assert types(spark)["shipping_amount"] == "decimal(12,2)"

    described = {r["col_name"]: r["data_type"] for r in spark.sql(f"DESCRIBE TABLE EXTENDED {TABLE}").collect()}
    assert (described["Part 0"], described["Part 1"]) == ("region", "months(ordered_at)")
    properties = {r["key"]: r["value"] for r in spark.sql(f"SHOW TBLPROPERTIES {TABLE}").collect()}
    assert properties["format-version"] == "2"
    assert {properties[f"write.{kind}.mode"] for kind in ("delete", "update", "merge")} == {"copy-on-write"}
    assert properties["write.parquet.compression-codec"] == "zstd"
    assert properties["write.metadata.delete-after-commit.enabled"] == "true"
    assert create_or_evolve(spark, TABLE, orders, contracts) == []


def test_a_query_of_one_region_opens_the_files_of_that_region_alone(spark: SparkSession, contracts: Bundle) -> None:
    create_or_evolve(spark, TABLE, contracts["orders"], contracts)
    schema = spark.table(TABLE).schema
    rows = [tuple({"order_id": region, "region": region}.get(n) for n in schema.names) for region in ("eu", "us", "ap")]
    spark.createDataFrame(rows, schema).writeTo(TABLE).append()
    jvm: Any = spark.sparkContext._jvm
    table = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, TABLE)
    condition = jvm.org.apache.iceberg.expressions.Expressions.equal("region", "eu")
    # The plan by which Spark reads the table.
    planned = table.newScan().filter(condition).planFiles().iterator()
    opened = []
    while planned.hasNext():
        opened.append(str(planned.next().file().path()))
    assert [path.rpartition("/data/")[2].split("/")[0] for path in opened] == ["region=eu"]
    assert spark.table(f"{TABLE}.files").count() == 3


def test_a_computed_table_has_no_source_columns(spark: SparkSession, contracts: Bundle) -> None:
    computed = contracts["category_revenue"]
    assert not is_sourced(computed, contracts)
    assert is_sourced(contracts["orders"], contracts), "its sources feed it under other names"
    create_or_evolve(spark, TABLE, computed, contracts)
    assert tuple(types(spark)) == (*computed.names, *COMPUTED_COLUMNS)


def test_migrating_twice_changes_nothing(
    spark: SparkSession, bundle_uri: str, contracts: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = job_arguments(bundle_uri)
    for option in ("--staging-db", "--curated-db"):
        arguments[arguments.index(option) + 1] = "tables_test_all"
    for zone in ("staging", "curated"):
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {zone}.tables_test_all")
    caplog.set_level("INFO", "securecart.migrate")
    try:
        migrate.main(arguments)
        made = sorted(record.getMessage() for record in caplog.records)
        names = {c.name: c.zone for c in contracts.tables}
        assert made == sorted(f"created {zone}.tables_test_all.{name}" for name, zone in names.items())
        caplog.clear()
        migrate.main(arguments)
        assert caplog.records == []
    finally:
        for zone in ("staging", "curated"):
            for row in spark.sql(f"SHOW TABLES IN {zone}.tables_test_all").collect():
                spark.sql(f"DROP TABLE {zone}.tables_test_all.{row['tableName']} PURGE")
    assert DATABASE != "tables_test_all"


def test_a_table_gains_the_columns_that_its_contract_gains(spark: SparkSession) -> None:
    evolve(spark, NAME)
    append(spark, thing_id="a", name="old")
    gained = (column("weight", "double"), NAME, column("sold_on", "date"))
    assert evolve(spark, *gained) == [f"added {TABLE}.weight", f"added {TABLE}.sold_on"]
    assert list(types(spark))[:4] == ["thing_id", "weight", "name", "sold_on"]
    assert (types(spark)["weight"], types(spark)["sold_on"]) == ("double", "date")
    assert [tuple(r)[:4] for r in spark.table(TABLE).collect()] == [("a", None, "old", None)]
    assert evolve(spark, *gained) == []


def test_the_catalog_explains_columns_as_the_contract_does(spark: SparkSession) -> None:
    def described(text: str) -> dict[str, Any]:
        return {**column("size", "double"), "description": text}

    def comments() -> dict[str, str | None]:
        return {f.name: f.metadata.get("comment") for f in spark.table(TABLE).schema}

    evolve(spark, NAME, described("the customer's \\ size"))
    assert comments()["size"] == "the customer's \\ size"
    changed = (NAME, described("in cm"), {**column("depth", "double"), "description": "in m"})
    assert evolve(spark, *changed) == [f"added {TABLE}.depth", f"described {TABLE}.size"]
    assert (comments()["size"], comments()["depth"], comments()["name"]) == ("in cm", "in m", None)
    assert evolve(spark, *changed) == []


def test_types_widen_in_place_and_keep_what_is_there(spark: SparkSession) -> None:
    evolve(spark, column("amount", "decimal(10,2)"), column("units", "int"))
    append(spark, thing_id="a", amount=Decimal("12345678.90"), units=2147483647)
    wider = (column("amount", "decimal(20,2)"), column("units", "bigint"))
    assert evolve(spark, *wider) == [f"widened {TABLE}.amount", f"widened {TABLE}.units"]
    assert (types(spark)["amount"], types(spark)["units"]) == ("decimal(20,2)", "bigint")
    append(spark, thing_id="b", amount=Decimal("123456789012345678.90"), units=2147483648)
    rows = sorted((r["thing_id"], str(r["amount"]), r["units"]) for r in spark.table(TABLE).collect())
    assert rows == [("a", "12345678.90", 2147483647), ("b", "123456789012345678.90", 2147483648)]
    assert evolve(spark, *wider) == []


@pytest.mark.parametrize(
    ("have", "want", "shown"),
    [
        ("decimal(10,2)", "decimal(9,2)", "decimal(9,2)"),
        ("decimal(10,2)", "decimal(12,4)", "decimal(12,4)"),  # the same two digits fewer before the point
        ("bigint", "int", "int"),
        ("varchar(20)", "int", "int"),
        ("timestamp", "date", "date"),
    ],
)
def test_a_type_that_loses_something_is_refused(spark: SparkSession, have: str, want: str, shown: str) -> None:
    evolve(spark, column("value", have))
    before = types(spark)
    with pytest.raises(JobError) as refused:
        evolve(spark, column("value", want))
    message = str(refused.value)
    assert message.startswith(f"contract 'things' makes column 'value' {shown}, but {TABLE} holds it as ")
    assert "Add a new column" in message
    assert types(spark) == before


def test_a_refusal_leaves_the_whole_table_as_it_was(spark: SparkSession) -> None:
    evolve(spark, column("value", "bigint"))
    before = types(spark)
    with pytest.raises(JobError, match="'value' int"):
        evolve(spark, column("new", "int"), column("value", "int"))
    assert types(spark) == before


def test_a_contract_that_drops_a_column_is_refused(spark: SparkSession) -> None:
    evolve(spark, NAME, column("weight", "double"))
    with pytest.raises(JobError, match=rf"'things' has no column 'weight', but {TABLE} holds it\. Put the column back"):
        evolve(spark, NAME)
    assert "weight" in types(spark)


def changes(spark: SparkSession, *rows: tuple[str, str | None, int, str]) -> DataFrame:
    """Changes of `things`: key, name, hour of the version, `_op`."""
    schema = table_schema(bundle(NAME)["things"], bundle(NAME)).add("_op", "string")
    known = ("thing_id", "name", "version_at", "_op")
    given = [dict(zip(known, (k, n, datetime(2026, 3, 9, hour), op), strict=True)) for k, n, hour, op in rows]
    return spark.createDataFrame([tuple(row.get(name) for name in schema.names) for row in given], schema)


def content(spark: SparkSession) -> list[tuple[str, str | None]]:
    return sorted((r["thing_id"], r["name"]) for r in spark.table(TABLE).collect())


def snapshots(spark: SparkSession) -> Sequence[Any]:
    return spark.sql(f"SELECT snapshot_id FROM {TABLE}.snapshots").collect()


def test_a_table_without_a_commit_has_no_snapshot(spark: SparkSession) -> None:
    evolve(spark, NAME)
    assert snapshot_of(spark, TABLE) is None
    append(spark, thing_id="a")
    (only,) = snapshots(spark)
    assert snapshot_of(spark, TABLE) == only[0]


def test_a_merge_inserts_updates_and_deletes_in_one_commit(spark: SparkSession) -> None:
    guard = "c.version_at >= t.version_at"
    evolve(spark, NAME)
    first = changes(spark, ("kept", "1", 1, "U"), ("newer", "1", 1, "U"), ("same", "1", 1, "U"), ("gone", "1", 1, "U"))
    merge_changes(TABLE, first, ("thing_id",), guard)
    assert len(snapshots(spark)) == 1
    second = changes(
        spark,
        ("newer", "2", 2, "U"),
        ("same", "2", 1, "U"),
        ("kept", "2", 0, "U"),  # an older version never overwrites a newer one
        ("gone", None, 2, "D"),
        ("never there", None, 2, "D"),
        ("new", None, 2, "U"),
    )
    merge_changes(TABLE, second, ("thing_id",), guard)
    assert content(spark) == [("kept", "1"), ("new", None), ("newer", "2"), ("same", "2")]
    assert len(snapshots(spark)) == 2
    late = changes(spark, ("newer", None, 1, "D"), ("same", None, 1, "D"))
    merge_changes(TABLE, late, ("thing_id",), guard)
    assert content(spark) == [("kept", "1"), ("new", None), ("newer", "2")], "the guard holds for deletions too"
    assert not [t.name for t in spark.catalog.listTables() if t.name.startswith("changes_")]


def test_a_merge_looks_for_rows_only_where_it_is_told_to(spark: SparkSession) -> None:
    evolve(spark, NAME)
    rows = changes(spark, ("a", "1", 1, "U"), ("b", "1", 1, "U"))
    merge_changes(TABLE, rows, ("thing_id",), "TRUE")
    again = changes(spark, ("a", "2", 2, "U"), ("b", "2", 2, "U"))
    merge_changes(TABLE, again, ("thing_id",), "TRUE", "t.thing_id IN ('a')")
    # The row of b is not seen, so its change counts as new: whoever narrows the search answers for it.
    assert content(spark) == [("a", "2"), ("b", "1"), ("b", "2")]


def test_a_merge_with_two_changes_of_one_row_is_refused_and_leaves_nothing(spark: SparkSession) -> None:
    evolve(spark, NAME)
    merge_changes(TABLE, changes(spark, ("a", "1", 1, "U")), ("thing_id",), "true")
    twice = changes(spark, ("a", "2", 2, "U"), ("a", "3", 3, "U"))
    with pytest.raises(Exception, match="multiple rows"):
        merge_changes(TABLE, twice, ("thing_id",), "true")
    assert content(spark) == [("a", "1")]
    assert not [t.name for t in spark.catalog.listTables() if t.name.startswith("changes_")]
