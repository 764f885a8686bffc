"""DynamoDB's exports: every kind of line, manifests, windows of one batch, and what a reconciliation keeps."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import types as T
from securecart import extract_dynamodb
from securecart.contract import Bundle, parse_contract
from securecart.errors import JobError
from securecart.extract_dynamodb import data_files, keys_of, parse_export
from securecart.landing import landing_schema
from spark_session import BUCKETS
from tests.support import job_arguments, metrics, write_plan

AT = "2026-03-09T12:00:00.000Z"
FULL_TIME = "2026-03-09 12:00:00"
LINE_1 = {"sku": {"S": "P1"}, "qty": {"N": "2"}, "unitPrice": {"N": "9.5"}, "state": {"S": "sold"}}
LINE_2 = {"sku": {"S": "P2"}, "qty": {"N": "1"}, "discount": {"NULL": True}}
ITEM = {
    "orderId": {"S": "O1"},
    "customerId": {"S": "Zoë 🛒"},
    "placedAt": {"N": "1773050400000"},
    "shipping": {"N": "123456789012345678901234567890.12345678"},
    "channel": {"BOOL": True},
    "currency": {"NULL": True},
    "updatedAt": {"S": "2026-03-09T10:00:00.000001Z"},
    "items": {"L": [{"M": LINE_1}, {"M": LINE_2}]},
    # Attributes that no contract names, of every other type.
    "tags": {"SS": ["a", "b"]},
    "sizes": {"NS": ["1", "2"]},
    "photo": {"B": "AAEC"},
    "photos": {"BS": ["AAEC"]},
    "address": {"M": {"city": {"S": "Oslo"}, "geo": {"L": [{"N": "1"}]}}},
    "notes": {"L": [{"S": "text"}, {"L": []}]},
}


def full(item: Mapping[str, Any]) -> str:
    return json.dumps({"Item": item}, ensure_ascii=False)


def change(micros: int, order: str, image: Mapping[str, Any] | None) -> str:
    """A line of an incremental export; no image: the item was deleted."""
    line = {"Metadata": {"WriteTimestampMicros": {"N": str(micros)}}, "Keys": {"orderId": {"S": order}}}
    return json.dumps(line if image is None else {**line, "NewImage": image}, ensure_ascii=False)


def parse(spark: SparkSession, contracts: Bundle, dataset: str, *lines: str) -> list[dict[str, Any]]:
    frame = spark.createDataFrame([(line,) for line in lines], "value string")
    return [row.asDict() for row in parse_export(frame, contracts[dataset], "orders", AT).collect()]


def technical(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["_object"], row["_position"], row["_op"], row["_error"])


def test_an_item_with_every_type(spark: SparkSession, contracts: Bundle) -> None:
    line = full(ITEM)
    (row,) = parse(spark, contracts, "dynamodb_orders", line)
    assert {name: row[name] for name in contracts["dynamodb_orders"].names} == {
        "order_id": "O1",
        "customer_id": "Zoë 🛒",
        "ordered_at": "1773050400000",
        "status": None,  # the attribute is absent
        "channel": "true",
        "region": None,
        "currency": None,  # DynamoDB's NULL
        "shipping_amount": "123456789012345678901234567890.12345678",
        "ip_address": None,
        "updated_at": "2026-03-09T10:00:00.000001Z",
    }
    assert technical(row) == ("dynamodb://orders/O1", 1, "U", None)
    assert (str(row["_modified"]), row["_raw"], row["_detail"]) == (FULL_TIME, line, None)


def test_elements_of_a_list_are_numbered_records(spark: SparkSession, contracts: Bundle) -> None:
    rows = parse(spark, contracts, "dynamodb_order_items", full(ITEM))
    names = contracts["dynamodb_order_items"].names
    changed = "2026-03-09T10:00:00.000001Z"
    assert names == (
        *("order_id", "line_no", "product_id", "quantity", "unit_price", "discount_amount", "line_status"),
        "updated_at",
    )
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("O1", "1", "P1", "2", "9.5", None, "sold", changed),
        ("O1", "2", "P2", "1", None, None, None, changed),
    ]
    assert [technical(row) for row in rows] == [("dynamodb://orders/O1", n, "U", None) for n in (1, 2)]


def test_an_order_without_lines_says_that_earlier_ones_are_gone(spark: SparkSession, contracts: Bundle) -> None:
    bare = {k: v for k, v in ITEM.items() if k != "items"}
    empty: list[dict[str, Any]] = [{}, {"items": {"L": []}}, {"items": {"NULL": True}}]
    lines = [full({**bare, **items}) for items in empty]
    rows = parse(spark, contracts, "dynamodb_order_items", *lines)
    assert [technical(row) for row in rows] == [("dynamodb://orders/O1", None, "D", None)] * 3
    assert [row["_op"] for row in parse(spark, contracts, "dynamodb_orders", *lines)] == ["U"] * 3


def test_changes_carry_the_time_of_their_write(spark: SparkSession, contracts: Bundle) -> None:
    put, deleted = parse(
        spark,
        contracts,
        "dynamodb_orders",
        change(1773050400000001, "O1", ITEM),
        change(1773050400000002, "O2", None),
    )
    assert technical(put) == ("dynamodb://orders/O1", 1, "U", None)
    assert (str(put["_modified"]), put["customer_id"]) == ("2026-03-09 10:00:00.000001", "Zoë 🛒")
    assert technical(deleted) == ("dynamodb://orders/O2", 1, "D", None)
    assert (str(deleted["_modified"]), deleted["order_id"]) == ("2026-03-09 10:00:00.000002", "O2")
    assert {deleted[n] for n in contracts["dynamodb_orders"].names if n != "order_id"} == {None}
    (line,) = parse(spark, contracts, "dynamodb_order_items", change(1773050400000002, "O2", None))
    assert (*technical(line), line["order_id"]) == ("dynamodb://orders/O2", None, "D", None, "O2")


NO_ITEMS = [
    "not json",
    "{}",
    "[]",
    "17",
    '{"Item": null}',
    '{"Item": {"customerId": {"S": "C1"}}}',
    '{"Item": {"orderId": "O1"}}',
    '{"Keys": {"orderId": {"NULL": true}}}',
    full(ITEM)[:-1],
    # Cut off after the keys: it must not be taken for a deletion.
    change(1773050400000001, "O1", ITEM)[:140],
]


@pytest.mark.parametrize("dataset", ["dynamodb_orders", "dynamodb_order_items"])
def test_lines_that_are_no_items_are_kept_as_they_came(spark: SparkSession, contracts: Bundle, dataset: str) -> None:
    rows = parse(spark, contracts, dataset, *NO_ITEMS)
    found = [(row["_raw"], row["_object"], row["_op"], row["_error"], row["_detail"]) for row in rows]
    why = ("dynamodb://orders", "U", "BAD_JSON", "not a JSON line of an item with orderId")
    assert found == [(line, *why) for line in NO_ITEMS]


def test_a_key_of_two_attributes_names_the_item(spark: SparkSession) -> None:
    document = {
        "name": "carts",
        "version": "1.0.0",
        "schema": [
            {
                "name": "carts",
                "properties": [
                    {"name": "shop", "physicalType": "varchar(9)", "primaryKey": True, "primaryKeyPosition": 1},
                    {"name": "no", "physicalType": "int", "primaryKey": True, "primaryKeyPosition": 2},
                ],
            }
        ],
        "customProperties": [{"property": "source", "value": {"kind": "dynamodb", "table": "carts"}}],
    }
    lines = [full({"shop": {"S": "a"}, "no": {"N": number}}) for number in ("1", "2")]
    frame = spark.createDataFrame([(line,) for line in lines], "value string")
    rows = parse_export(frame, parse_contract(document), "carts", AT).collect()
    assert [row["_object"] for row in rows] == ["dynamodb://carts/a/1", "dynamodb://carts/a/2"]


def write_export(root: Path, prefix: str, files: Mapping[str, Iterable[str]], name: str = "01693685827463") -> None:
    """An export as DynamoDB leaves it in the bucket: gzip data files, and the manifest that names them."""
    bucket = root / BUCKETS["landing"]
    folder = f"{prefix}/AWSDynamoDB/{name}"
    manifest = []
    for file, lines in files.items():
        key = f"{folder}/data/{file}.json.gz"
        (bucket / key).parent.mkdir(parents=True, exist_ok=True)
        (bucket / key).write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
        manifest.append(json.dumps({"itemCount": 1, "md5Checksum": "x", "etag": "x", "dataFileS3Key": key}))
    (bucket / folder).mkdir(parents=True, exist_ok=True)
    (bucket / folder / "manifest-files.json").write_text("\n".join(manifest), "utf-8")


def export(prefix: str, kind: str = "FULL_EXPORT", to: str = AT) -> dict[str, Any]:
    return {"id": f"e-{prefix}", "type": kind, "table": "orders", "prefix": prefix, "from": None, "to": to}


def run(bundle_uri: str, batch_id: str, exports: list[dict[str, Any]], reconcile: bool = False) -> dict[str, Any]:
    extracts = [
        {"dataset": dataset, "kind": "dynamodb", "exports": exports, "reconcile": reconcile}
        for dataset in ("dynamodb_orders", "dynamodb_order_items")
    ]
    extract_dynamodb.main(job_arguments(bundle_uri, write_plan(batch_id, [], extracts=extracts)))
    counts: dict[str, Any] = metrics(batch_id, "extract_dynamodb")["datasets"]
    return counts


def landed(spark: SparkSession, dataset: str, batch_id: str) -> list[Row]:
    return spark.read.parquet(f"s3://{BUCKETS['landing']}/batches/{dataset}/batch={batch_id}/").collect()


def test_windows_of_one_batch_land_together(
    spark: SparkSession, contracts: Bundle, bundle_uri: str, lake_root: Path
) -> None:
    other = {**ITEM, "orderId": {"S": "O2"}}
    # Items may have 400 KB; a line is then longer, for the attributes' types are written too.
    large = {**ITEM, "orderId": {"S": "O3"}, "ip": {"S": "漢" * 130_000}}
    write_export(lake_root, "exports/w1", {"a": [full(ITEM), full(other)], "b": [full(large), "", "{"], "c": []})
    write_export(lake_root, "exports/w2", {"a": [change(1773057600000001, "O1", other), change(2, "O2", None)]})
    # Left by someone else beside the first prefix: it must not be mistaken for a part of it.
    write_export(lake_root, "exports/w10", {"a": [full({**ITEM, "orderId": {"S": "O9"}})]})

    counts = run(bundle_uri, "d1", [export("exports/w1"), export("exports/w2", "INCREMENTAL_EXPORT")])
    assert counts == {
        "dynamodb_orders": {"read": 6, "deletes": 1, "keys": 0},
        "dynamodb_order_items": {"read": 10, "deletes": 1, "keys": 0},
    }
    rows = landed(spark, "dynamodb_orders", "d1")
    assert sorted((r["_object"], str(r["_modified"]), r["_op"]) for r in rows) == [
        ("dynamodb://orders", FULL_TIME, "U"),
        ("dynamodb://orders/O1", FULL_TIME, "U"),
        ("dynamodb://orders/O1", "2026-03-09 12:00:00.000001", "U"),
        ("dynamodb://orders/O2", "1970-01-01 00:00:00.000002", "D"),
        ("dynamodb://orders/O2", FULL_TIME, "U"),
        ("dynamodb://orders/O3", FULL_TIME, "U"),
    ]
    (found,) = [r for r in rows if r["order_id"] == "O3"]
    assert (found["ip_address"], found["_raw"]) == ("漢" * 130_000, full(large))
    assert [r["_raw"] for r in rows if r["_error"]] == ["{"]
    batch = spark.read.parquet(f"s3://{BUCKETS['landing']}/batches/dynamodb_orders/batch=d1/")
    assert [(f.name, f.dataType) for f in batch.schema] == [
        (f.name, f.dataType) for f in landing_schema(contracts["dynamodb_orders"])
    ]
    assert batch.schema["_modified"].dataType == T.TimestampType()


def test_a_reconciliation_lists_what_the_export_holds(spark: SparkSession, bundle_uri: str, lake_root: Path) -> None:
    emptied = {**ITEM, "orderId": {"S": "O2"}, "items": {"L": []}}
    write_export(lake_root, "exports/r1", {"a": [full(ITEM), full(emptied)]})
    write_export(lake_root, "exports/r2", {"a": [change(1773057600000001, "O4", ITEM)]})
    exports = [export("exports/r1"), export("exports/r2", "INCREMENTAL_EXPORT")]
    assert run(bundle_uri, "d2", exports)["dynamodb_orders"]["keys"] == 0
    counts = run(bundle_uri, "d3", exports, reconcile=True)
    assert counts["dynamodb_orders"] == {"read": 3, "deletes": 0, "keys": 2}
    assert counts["dynamodb_order_items"] == {"read": 5, "deletes": 1, "keys": 2}
    keys = {
        dataset: sorted((r["_object"], r["_position"]) for r in landed(spark, dataset, "d3") if r["_op"] == "K")
        for dataset in counts
    }
    assert keys == {
        "dynamodb_orders": [("dynamodb://orders/O1", 1), ("dynamodb://orders/O2", 1)],
        "dynamodb_order_items": [("dynamodb://orders/O1", 1), ("dynamodb://orders/O1", 2)],
    }


def test_an_export_with_an_unreadable_line_does_not_reconcile(bundle_uri: str, lake_root: Path) -> None:
    write_export(lake_root, "exports/u1", {"a": [full(ITEM), full({**ITEM, "orderId": {"S": "O2"}})[:-2]]})
    counts = run(bundle_uri, "d4", [export("exports/u1")], reconcile=True)
    assert counts["dynamodb_orders"] == {"read": 2, "deletes": 0, "keys": 0}


def test_keys_carry_nothing_but_a_place(spark: SparkSession, contracts: Bundle) -> None:
    contract = contracts["dynamodb_orders"]
    lines = spark.createDataFrame([(full(ITEM),), (change(1, "O2", None),)], "value string")
    (key,) = keys_of(parse_export(lines, contract, "orders", AT), contract).collect()
    assert {name: value for name, value in key.asDict().items() if value is not None} == {
        "_object": "dynamodb://orders/O1",
        "_position": 1,
        "_op": "K",
        "_modified": key["_modified"],
    }
    assert str(key["_modified"]) == FULL_TIME


def test_an_empty_export_is_an_empty_batch(spark: SparkSession, bundle_uri: str, lake_root: Path) -> None:
    write_export(lake_root, "exports/none", {})
    counts = run(bundle_uri, "d5", [export("exports/none")])
    assert counts["dynamodb_orders"] == {"read": 0, "deletes": 0, "keys": 0}
    assert landed(spark, "dynamodb_orders", "d5") == []


def test_data_files_are_those_of_the_one_manifest(lake_root: Path) -> None:
    write_export(lake_root, "exports/m1", {"a": [], "b": []})
    folder = f"s3://{BUCKETS['landing']}/exports/m1/AWSDynamoDB/01693685827463/data"
    assert data_files(BUCKETS["landing"], export("exports/m1/")) == [f"{folder}/a.json.gz", f"{folder}/b.json.gz"]


def test_an_export_without_a_manifest_or_with_two_is_refused(lake_root: Path) -> None:
    with pytest.raises(JobError, match=r"e-exports/m2 has 0 manifest-files\.json below s3://.*start the run again"):
        data_files(BUCKETS["landing"], export("exports/m2"))
    write_export(lake_root, "exports/m2", {"a": []}, "0169")
    write_export(lake_root, "exports/m2", {"a": []}, "0170")
    with pytest.raises(JobError, match=r"e-exports/m2 has 2 manifest-files\.json below .*two exports share the prefix"):
        data_files(BUCKETS["landing"], export("exports/m2"))
