"""CSV drops to landing batches, through the job's main on a lake in a temporary folder."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from securecart import csv_to_parquet
from securecart.contract import Bundle
from securecart.csv_to_parquet import CsvObject, balanced, format_of
from securecart.errors import ContractError
from securecart.landing import TECHNICAL, landing_schema
from securecart.recipe_input import stage_recipe_input

LANDING, STAGING = "securecart-local-landing", "securecart-local-staging"
RATES = b"currency,valid_from,rate_to_usd\n"
CAMPAIGN_HEADER = (
    "campaign_id;campaign_name;channel;region;start_date;end_date;budget_usd;spend_usd;impressions;clicks;conversions\n"
)


def run(
    lake_root: Path, bundle_uri: str, batch_id: str, drops: dict[str, dict[str, bytes]]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Puts drops down, runs the job over them, and returns metrics and batch paths by dataset."""
    extracts = []
    for dataset, files in drops.items():
        objects = []
        for name, data in files.items():
            key = f"drops/{dataset}/{batch_id}/{name}"
            path = lake_root / LANDING / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            objects.append(
                {
                    "bucket": LANDING,
                    "key": key,
                    "version": "1",
                    "etag": "x",
                    "size": len(data),
                    "last_modified": "2024-05-01T10:00:00.123Z",
                }
            )
        extracts.append({"dataset": dataset, "kind": "csv", "objects": objects})
    plan = lake_root / LANDING / f"plans/{batch_id}.json"
    plan.parent.mkdir(parents=True, exist_ok=True)
    landing = [{"dataset": d, "path": f"s3://{LANDING}/batches/{d}/batch={batch_id}/"} for d in drops]
    text = {"batch_id": batch_id, "mode": "incremental", "extracts": extracts, "landing": landing}
    plan.write_text(json.dumps(text))
    zones = ("landing", "staging", "curated", "quarantine", "artifacts")
    arguments = [a for z in zones for a in (f"--{z}", f"securecart-local-{z}")]
    arguments += ["--staging-db", "lake", "--curated-db", "lake", "--contracts", bundle_uri]
    csv_to_parquet.main([*arguments, "--plan", f"s3://{LANDING}/plans/{batch_id}.json", "--JOB_NAME", "glue's own"])
    metrics = json.loads((lake_root / STAGING / f"runs/{batch_id}/csv_to_parquet.json").read_text())
    assert metrics["step"] == "csv_to_parquet"
    return metrics["datasets"], {d: f"s3://{LANDING}/batches/{d}/batch={batch_id}/" for d in drops}


def test_rows_land_as_they_came(spark: SparkSession, lake_root: Path, bundle_uri: str) -> None:
    drops = {
        "exchange_rates": {
            "a.csv": RATES + b" EUR ,2024-01-01,1.08\nGBP,,\nbroken\n",
            "b.csv.gz": gzip.compress(RATES + b"JPY,2024-01-02,0.0068\n"),
        }
    }
    metrics, paths = run(lake_root, bundle_uri, "b1", drops)

    df = spark.read.parquet(paths["exchange_rates"])
    assert df.columns == ["currency", "valid_from", "rate_to_usd", *TECHNICAL]
    at = datetime(2024, 5, 1, 10, 0, 0, 123000)
    a, b = (f"s3://{LANDING}/drops/exchange_rates/b1/{n}" for n in ("a.csv", "b.csv.gz"))
    detail = "1 fields where 3 are expected"
    assert [tuple(r) for r in df.orderBy("_object", "_position").collect()] == [
        (" EUR ", "2024-01-01", "1.08", a, 2, "U", at, " EUR ,2024-01-01,1.08", None, None),
        ("GBP", None, None, a, 3, "U", at, "GBP,,", None, None),
        (None, None, None, a, 4, "U", at, "broken", "TRUNCATED_LINE", detail),
        ("JPY", "2024-01-02", "0.0068", b, 2, "U", at, "JPY,2024-01-02,0.0068", None, None),
    ]
    size = sum(len(d) for d in drops["exchange_rates"].values())
    assert metrics["exchange_rates"] == {
        "read": 4,
        "objects": 2,
        "bytes": size,
        "rejected": {"TRUNCATED_LINE": 1},
        "refused": [],
        "warnings": [],
    }


def test_a_retry_replaces_what_the_first_try_left(spark: SparkSession, lake_root: Path, bundle_uri: str) -> None:
    for rate in (b"1.07", b"1.08"):
        _, paths = run(lake_root, bundle_uri, "b2", {"exchange_rates": {"a.csv": RATES + b"EUR,2024-01-01," + rate}})
    assert [r["rate_to_usd"] for r in spark.read.parquet(paths["exchange_rates"]).collect()] == ["1.08"]


def test_bad_files_are_refused_whole_and_named_while_the_others_land(
    spark: SparkSession, lake_root: Path, bundle_uri: str
) -> None:
    folder = lake_root / LANDING / "drops/exchange_rates/b3/folder.csv"
    good = b"EUR,2024-01-01,1.08\n"
    many = b"".join(b"EUR,2024-01-%02d,1.%d\n" % (i % 28 + 1, i) for i in range(30_000))
    drops = {
        "good.csv": RATES + good,
        "header.csv": RATES,
        "empty.csv": b"",
        "lacking.csv": b"currency,rate_to_usd\nEUR,1.08\n",
        "extra.csv": RATES.replace(b"\n", b",note\n") + good,
        "binary.csv": RATES + good + b"\x00\x01",
        "cut.csv.gz": gzip.compress(RATES + many)[:-30_000],
        "line.csv": RATES + many + b"x" * (2 << 20),
    }
    folder.mkdir(parents=True)
    (folder / "inside").touch()
    drop_folder = {"bucket": LANDING, "key": "drops/exchange_rates/b3/folder.csv", "size": 0}
    gone = {"bucket": LANDING, "key": "drops/exchange_rates/b3/gone.csv", "size": 0}
    original = csv_to_parquet.objects_of

    def with_unreadable(extract: dict[str, Any]) -> list[CsvObject]:
        more = [{**o, "last_modified": "2024-05-01T10:00:00Z"} for o in (drop_folder, gone)]
        return original({"objects": [*extract["objects"], *more]})

    csv_to_parquet.objects_of = with_unreadable  # type: ignore[assignment]
    try:
        metrics, paths = run(lake_root, bundle_uri, "b3", {"exchange_rates": drops})
    finally:
        csv_to_parquet.objects_of = original

    rows = spark.read.parquet(paths["exchange_rates"]).collect()
    assert [r["_object"].rsplit("/", 1)[1] for r in rows] == ["good.csv"]
    found = metrics["exchange_rates"]
    assert (found["read"], found["objects"]) == (1, 2)
    assert [(w["object"].rsplit("/", 1)[1], w["reason"]) for w in found["warnings"]] == [("header.csv", "HEADER_ONLY")]
    refused = {r["object"].rsplit("/", 1)[1]: (r["reason"], r["detail"]) for r in found["refused"]}
    line = refused["cut.csv.gz"][1].split(":")[0]
    unreadable = "Check that it is a file, is still there and may be read by the job's role, then deliver it again."
    assert refused == {
        "empty.csv": ("EMPTY_FILE", "the file has no content. Deliver the file again with its rows."),
        "lacking.csv": (
            "MISSING_COLUMNS",
            "line 1: the header lacks valid_from; it has currency, rate_to_usd. "
            "Correct the file's header, or the contract's columns (customProperty sourceName).",
        ),
        "extra.csv": (
            "UNEXPECTED_COLUMNS",
            "line 1: the header has names unknown to the contract: note; the contract has currency, valid_from, "
            "rate_to_usd. Remove the columns from the file, or add them to the contract.",
        ),
        "binary.csv": (
            "BINARY_FILE",
            "line 3: this is no text: it contains NUL bytes. "
            "Deliver CSV text, or gzip of it, in the contract's encoding.",
        ),
        "cut.csv.gz": (
            "TRUNCATED_GZIP",
            f"{line}: the gzip stream ends before its end marker: the file was cut off. "
            "Deliver the whole file again; nothing of it was loaded.",
        ),
        "line.csv": (
            "LINE_TOO_LONG",
            "line 30002: the line is longer than 1048576 bytes, the most that the contract allows. "
            "Check the file's line ends; if such lines are right, raise dialect.maxLineBytes in the contract.",
        ),
        "folder.csv": ("UNREADABLE", f"it cannot be opened (Is a directory). {unreadable}"),
        "gone.csv": ("UNREADABLE", f"it cannot be opened (No such file or directory). {unreadable}"),
    }
    assert int(line.removeprefix("line ")) > 10_000


def test_a_batch_of_refused_files_alone_is_there_and_empty(
    spark: SparkSession, lake_root: Path, bundle_uri: str
) -> None:
    metrics, paths = run(lake_root, bundle_uri, "b4", {"exchange_rates": {"a.csv": b""}})
    assert metrics["exchange_rates"]["read"] == 0
    df = spark.read.parquet(paths["exchange_rates"])
    assert (df.count(), df.columns[:1]) == (0, ["currency"])


def test_a_recipes_input_holds_the_usable_records(spark: SparkSession, lake_root: Path, bundle_uri: str) -> None:
    row = "C-1; Spring ;email;north;2024-01-01;;100,50;1,25;10;1;n/a\n"
    data = (CAMPAIGN_HEADER + row + 'C-2;"open;email\n').encode()
    _, paths = run(lake_root, bundle_uri, "b5", {"campaigns": {"a.csv": data}})

    assert spark.read.parquet(paths["campaigns"]).count() == 2
    staged = spark.read.parquet(f"s3://{LANDING}/recipes/campaigns/in/").collect()
    assert [(r["campaign_id"], r["campaign_name"], r["budget_usd"], r["conversions"]) for r in staged] == [
        ("C-1", " Spring ", "100,50", None)
    ]


def test_a_replay_stages_several_batches_and_nothing_but_whole_records(spark: SparkSession, contracts: Bundle) -> None:
    base = f"s3://{LANDING}/test/stage"
    columns = "campaign_id string, _op string, _error string"
    spark.createDataFrame([("1", "U", None), ("2", "D", None), ("3", "K", None)], columns).write.parquet(f"{base}/x")
    newer = [("4", "U", "BAD_JSON", "b4"), ("5", "U", None, "b5")]
    spark.createDataFrame(newer, f"{columns}, clicks string").write.parquet(f"{base}/y")
    for _ in range(2):
        stage_recipe_input(spark, [f"{base}/x", f"{base}/y"], f"{base}/in", contracts["campaigns"])
    staged = spark.read.parquet(f"{base}/in").orderBy("campaign_id").collect()
    assert [(r["campaign_id"], r["clicks"]) for r in staged] == [("1", None), ("5", "b5")]


def test_an_old_batch_is_staged_with_the_columns_of_today(spark: SparkSession, contracts: Bundle) -> None:
    base = f"s3://{LANDING}/test/old"
    old = "campaign_id string, _object string, _position bigint, _op string, _error string"
    spark.createDataFrame([("C-1", "o", 2, "U", None)], old).write.parquet(f"{base}/x")
    stage_recipe_input(spark, [f"{base}/x"], f"{base}/in", contracts["campaigns"])
    staged = spark.read.parquet(f"{base}/in")
    assert staged.columns == landing_schema(contracts["campaigns"]).names
    assert [(r["campaign_id"], r["clicks"], r["_position"]) for r in staged.collect()] == [("C-1", None, 2)]


def test_groups_are_of_about_the_same_size() -> None:
    sizes = [1, 9, 5, 5, 2, 0]
    objects = [CsvObject(f"s3://b/{i}", None, size, datetime.now(UTC)) for i, size in enumerate(sizes)]
    groups = balanced(objects, 2)
    assert sorted(sum(o.size for o in g) for g in groups) == [11, 11]
    assert sorted(o.uri for g in groups for o in g) == [o.uri for o in objects]
    assert len(balanced(objects[:1], 3)) == 1


def test_optional_columns_are_the_contracts_names(contracts: Bundle) -> None:
    contract = contracts["transactions"]
    source = dict(contract.source or {})
    found = format_of(replace(contract, source={**source, "optionalColumns": ["amount"]}))
    assert found.optional == {"Amount"}
    assert found.dialect.max_line_bytes == 65536
    with pytest.raises(ContractError, match=r"'transactions': source\.optionalColumns names Amount, which it does not"):
        format_of(replace(contract, source={**source, "optionalColumns": ["Amount"]}))
    with pytest.raises(ContractError, match=r"contract 'transactions': source\.dialect has the unknown key"):
        format_of(replace(contract, source={**source, "dialect": {"sep": ";"}}))


@pytest.mark.slow
def test_a_large_file_goes_through_in_constant_memory(spark: SparkSession, lake_root: Path, bundle_uri: str) -> None:
    rows = b"".join(b"EUR,2024-01-%02d,1.%06d\n" % (i % 28 + 1, i) for i in range(1_000_000))
    metrics, paths = run(lake_root, bundle_uri, "b9", {"exchange_rates": {"big.csv": RATES + rows}})
    assert metrics["exchange_rates"]["read"] == 1_000_000
    files = [f for f in os.listdir(lake_root / LANDING / "batches/exchange_rates/batch=b9") if f.endswith(".parquet")]
    assert len(files) == 1
    assert all(".zstd." in f for f in files)
    assert paths
