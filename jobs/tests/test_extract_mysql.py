"""Extraction over the MySQL protocol, from a real MariaDB, and from Derby, which stands in for it on a laptop."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import types as T
from sample.generate import generate, generate_more
from securecart import clean, extract_mysql, migrate, publish
from securecart.contract import Bundle, Contract, parse_contract
from securecart.errors import JobError
from securecart.extract_mysql import Database, connect, explained, extract_keys, extract_rows
from source_database import SourceDatabase, statements
from spark_session import BUCKETS, DATABASE
from tests import mariadb
from tests.mariadb import MariaDb
from tests.support import job_arguments, metrics, write_plan

#: Table and surrogate key by dataset.
TABLES = {
    "mysql_orders": ("orders", "order_no"),
    "mysql_order_items": ("order_items", "item_no"),
    "customers": ("customers", "customer_no"),
    "products": ("products", "product_no"),
    "inventory": ("inventory", "stock_no"),
}
WATERMARKS = {"inventory": "counted_at"}
FIRST = "2026-11-01T00:00:00.000Z"
#: A little before FIRST, as the plan's overlap has it.
OVERLAP = "2026-10-31T23:59:59.000Z"
SECOND = "2026-11-01T06:00:00.000Z"
SECRET = "shop/mysql"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest sample, with its second step."""
    folder = tmp_path_factory.mktemp("sample") / "s"
    generate(folder, scale=0.01)
    generate_more(folder)
    return folder


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """A server with an empty database."""
    if reason := mariadb.missing():
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    with mariadb.running_server(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="module")
def shop(started: MariaDb, spark: SparkSession, sample: Path) -> MariaDb:
    """The server with the sample's first step, loaded by the script that comes with it."""
    folder = sample / "sources/mysql"
    load = (folder / "load-mariadb.sql").read_text("utf-8").replace("infile '", f"infile '{folder}/")
    started.execute(spark, statements((folder / "schema.sql").read_text("utf-8")) + statements(load))
    return started


@pytest.fixture(scope="module")
def derby(spark: SparkSession, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceDatabase]:
    database = SourceDatabase(spark, tmp_path_factory.mktemp("derby"))
    folder = sample / "sources/mysql"
    database.load(str(folder / "schema.sql"), {t: str(folder / f"{t}.csv") for t, _ in TABLES.values()})
    yield database
    database.close()


class Secrets:
    """AWS Secrets Manager with one secret."""

    def __init__(self, password: str) -> None:
        self.value = {"username": mariadb.USER, "password": password}

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803, boto3's spelling
        assert SecretId == SECRET
        return {"SecretString": json.dumps(self.value)}


def keep_secret(patch: pytest.MonkeyPatch, password: str = mariadb.PASSWORD) -> None:
    patch.setattr(boto3, "client", lambda name: Secrets(password) if name == "secretsmanager" else pytest.fail(name))


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_secret(monkeypatch)


def extract(dataset: str, start: str | None, end: str, reconcile: bool = False) -> dict[str, Any]:
    watermark = WATERMARKS.get(dataset, "updated_at")
    known = {"dataset": dataset, "kind": "mysql", "table": TABLES[dataset][0], "watermark_column": watermark}
    return {**known, "from": start, "to": end, "reconcile": reconcile}


def run(
    bundle_uri: str, batch_id: str, extracts: list[dict[str, Any]], url: str, secret: str | None = SECRET
) -> list[str]:
    """Runs the job on a plan with these extracts. Returns the arguments of the jobs that come after it."""
    landing = [(e["dataset"], f"s3://{BUCKETS['landing']}/batches/{e['dataset']}/batch={batch_id}/") for e in extracts]
    arguments = job_arguments(bundle_uri, write_plan(batch_id, landing, extracts=extracts))
    extract_mysql.main([*arguments, "--mysql-url", url, *(["--mysql-secret", secret] if secret else [])])
    return arguments


def landed(spark: SparkSession, dataset: str, batch_id: str, op: str = "U") -> list[Row]:
    batch = spark.read.parquet(f"s3://{BUCKETS['landing']}/batches/{dataset}/batch={batch_id}/")
    return sorted(batch.filter(batch["_op"] == op).collect(), key=lambda row: int(row["_position"]))


def test_the_same_batches_from_mariadb_and_derby(
    spark: SparkSession, bundle_uri: str, shop: MariaDb, derby: SourceDatabase, sample: Path
) -> None:
    # Between them these have every type of the shop's database.
    datasets = ("mysql_orders", "customers", "inventory")
    extracts = [extract(dataset, None, FIRST) for dataset in datasets]
    run(bundle_uri, "x-mariadb", extracts, shop.url())
    run(bundle_uri, "x-derby", extracts, derby.url, None)
    read = json.loads((sample / "truth.json").read_text("utf-8"))["datasets"]
    for dataset in datasets:
        ours = landed(spark, dataset, "x-mariadb")
        assert len(ours) == read[dataset]["read"]
        assert ours == landed(spark, dataset, "x-derby")
    counted = metrics("x-mariadb", "extract_mysql")["datasets"]["customers"]
    assert counted == {"read": read["customers"]["read"], "keys": 0}


def test_a_second_extraction_brings_what_changed_and_nothing_else(
    spark: SparkSession, bundle_uri: str, shop: MariaDb, sample: Path
) -> None:
    for zone in ("staging", "curated"):
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {zone}.{DATABASE}")
        for row in spark.sql(f"SHOW TABLES IN {zone}.{DATABASE}").collect():
            spark.sql(f"DROP TABLE {zone}.{DATABASE}.{row['tableName']} PURGE")
    migrate.main(job_arguments(bundle_uri))
    publish_orders(run(bundle_uri, "x1", [extract("mysql_orders", None, FIRST)], shop.url()))
    before = published_orders(spark)
    source_before = source_orders(spark, shop)

    script = statements((sample / "sources/mysql/changes-2.sql").read_text("utf-8"))
    shop.execute(spark, ["set time_zone = '+00:00'", *script])
    datasets = ("mysql_orders", "mysql_order_items", "inventory")
    run(bundle_uri, "x2", [extract(d, OVERLAP, SECOND, True) for d in datasets], shop.url())

    changes = json.loads((sample / "truth-2.json").read_text("utf-8"))["changes"]
    for dataset in datasets:
        table, key = TABLES[dataset]
        rows = landed(spark, dataset, "x2")
        assert len(rows) == changes[dataset]["inserted"] + changes[dataset]["updated"]
        assert {row[WATERMARKS.get(dataset, "updated_at")] for row in rows} == {"2026-11-01 06:00:00.000000"}
        everything = shop.rows(spark, f"select {key} from {table} order by {key}")
        assert [(str(r["_position"]),) for r in landed(spark, dataset, "x2", "K")] == everything
        assert metrics("x2", "extract_mysql")["datasets"][dataset] == {"read": len(rows), "keys": len(everything)}
    staged = spark.read.parquet(f"s3://{BUCKETS['landing']}/recipes/inventory/in/")
    assert staged.count() == len(rows), "the recipe sees the changed rows and no key-only ones"

    landing = [("mysql_orders", f"s3://{BUCKETS['landing']}/batches/mysql_orders/batch=x2/")]
    publish_orders(job_arguments(bundle_uri, write_plan("x2", landing)))
    after = published_orders(spark)
    gone = source_before - source_orders(spark, shop)
    assert len(gone) == changes["mysql_orders"]["deleted"]
    assert before - after == gone
    assert len(after - before) == changes["mysql_orders"]["inserted"]


def publish_orders(arguments: list[str]) -> None:
    clean.main(arguments)
    publish.main(arguments)


def published_orders(spark: SparkSession) -> set[str]:
    return {row[0] for row in spark.table(f"staging.{DATABASE}.orders").select("order_id").collect()}


def source_orders(spark: SparkSession, server: MariaDb) -> set[str | None]:
    return {row[0] for row in server.rows(spark, "select order_id from orders where order_id is not null")}


def test_a_table_read_in_parts_gives_the_same_rows(
    spark: SparkSession, contracts: Bundle, shop: MariaDb, derby: SourceDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, wanted = contracts["mysql_order_items"], extract("mysql_order_items", None, FIRST)
    for database in (connect(shop.url(), SECRET), Database(derby.url, {})):
        monkeypatch.setattr(extract_mysql, "ROWS_PER_PART", 250_000)
        whole = extract_rows(spark, database, contract, wanted)
        assert whole.rdd.getNumPartitions() == 1
        monkeypatch.setattr(extract_mysql, "ROWS_PER_PART", 100)
        parts = extract_rows(spark, database, contract, wanted)
        assert parts.rdd.getNumPartitions() > 2
        assert len(whole.collect()) > 200
        assert sorted(map(str, parts.collect())) == sorted(map(str, whole.collect()))


VALUES = """
create table odd (
  id bigint not null primary key, t varchar(200) character set utf8mb4, d decimal(30,10), at datetime(6), day date,
  yes boolean, flag tinyint(1), small tinyint, big bigint unsigned, f double, changed timestamp(6) not null
)
"""
ODD_COLUMNS = {
    "id": "bigint",
    "t": "varchar(200)",
    "d": "decimal(30,10)",
    "at": "timestamp",
    "day": "date",
    "yes": "boolean",
    "flag": "boolean",
    "small": "int",
    "big": "decimal(20,0)",
    "f": "double",
    "changed": "timestamp",
}


def odd_document(columns: Mapping[str, str]) -> dict[str, Any]:
    source = {"kind": "mysql", "table": "odd", "watermark": "changed", "partitionColumn": "id"}
    properties = [
        {"name": name, "physicalType": kind, "primaryKey": number == 0}
        for number, (name, kind) in enumerate(columns.items())
    ]
    document = {"name": "odd", "version": "1.0.0", "schema": [{"name": "odd", "properties": properties}]}
    return {**document, "customProperties": [{"property": "source", "value": source}]}


def odd_contract(columns: Mapping[str, str]) -> Contract:
    return parse_contract(odd_document(columns))


@pytest.fixture
def odd(started: MariaDb, spark: SparkSession) -> Iterator[MariaDb]:
    """Table `odd` on the server, whose zone is ahead of UTC."""
    started.execute(
        spark,
        [
            VALUES,
            "set time_zone = '+00:00'",
            "set sql_mode = ''",
            "insert into odd values (1, 'Zoë 🛒 \\n\"q\", 漢字', 12345678901234567890.0123456789, "
            "'2026-03-29 02:30:00.123456', '1900-02-28', true, 0, -128, 18446744073709551615, 0.1, "
            "'2026-03-09 10:00:00.000001')",
            "insert into odd values (2, null, null, null, null, null, null, null, null, null, "
            "'2026-03-09 10:00:00.000002')",
            "insert into odd values (3, '', -0.0000000001, '0000-00-00 00:00:00', '0000-00-00', false, 1, 127, 0, "
            "-1e300, '2026-03-09 10:00:00.000003')",
        ],
    )
    yield started
    started.execute(spark, ["drop table odd"])


def odd_rows(spark: SparkSession, server: MariaDb, start: str | None, end: str) -> list[Row]:
    wanted = {"table": "odd", "watermark_column": "changed", "from": start, "to": end}
    found = extract_rows(spark, connect(server.url(), SECRET), odd_contract(ODD_COLUMNS), wanted)
    return sorted(found.collect(), key=lambda row: int(row["_position"]))


def test_values_come_over_exactly_as_the_server_holds_them(spark: SparkSession, odd: MariaDb) -> None:
    full, nulls, zeros = (row.asDict() for row in odd_rows(spark, odd, None, "2026-03-10T00:00:00.000Z"))
    assert {name: full[name] for name in ODD_COLUMNS} == {
        "id": "1",
        "t": 'Zoë 🛒 \n"q", 漢字',
        "d": "12345678901234567890.0123456789",
        "at": "2026-03-29 02:30:00.123456",  # an hour that many zones skip on this day
        "day": "1900-02-28",
        "yes": "true",
        "flag": "false",
        "small": "-128",
        "big": "18446744073709551615",
        "f": "0.1",
        "changed": "2026-03-09 10:00:00.000001",
    }
    assert json.loads(full["_raw"]) == {name: full[name] for name in ODD_COLUMNS}
    assert (full["_object"], full["_position"], full["_op"]) == ("mysql://odd", 1, "U")
    assert {name for name in ODD_COLUMNS if nulls[name] is not None} == {"id", "changed"}
    # MySQL's zero dates are no dates: they arrive as null, and the row's other values with them.
    assert zeros["d"] == "-0.0000000001"
    assert (zeros["t"], zeros["at"], zeros["day"], zeros["flag"], zeros["f"]) == ("", None, None, "true", "-1.0E300")


def test_columns_go_by_the_contracts_names(spark: SparkSession, odd: MariaDb) -> None:
    document = odd_document({"number": "bigint", "text": "varchar(200)", "again": "varchar(200)"})
    for name, source_name in (("number", "id"), ("text", "t"), ("again", "t")):
        (column,) = (c for c in document["schema"][0]["properties"] if c["name"] == name)
        column["customProperties"] = [{"property": "sourceName", "value": source_name}]
    wanted = {"table": "odd", "watermark_column": "changed", "from": None, "to": FIRST}
    rows = extract_rows(spark, connect(odd.url(), SECRET), parse_contract(document), wanted).collect()
    assert sorted((r["number"], r["text"], r["again"], r["_position"]) for r in rows if r["text"] is not None) == [
        ("1", 'Zoë 🛒 \n"q", 漢字', 'Zoë 🛒 \n"q", 漢字', 1),
        ("3", "", "", 3),
    ]


def test_bounds_are_exact_to_the_microsecond(spark: SparkSession, odd: MariaDb) -> None:
    def numbers(start: str | None, end: str) -> list[str]:
        return [row["id"] for row in odd_rows(spark, odd, start, end)]

    assert numbers("2026-03-09T10:00:00.000001Z", "2026-03-09T10:00:00.000002Z") == ["2"]
    assert numbers("2026-03-09T10:00:00.000000Z", "2026-03-09T10:00:00.000001Z") == ["1"]
    assert numbers("2026-03-09T10:00:00.000003Z", "2026-03-09T11:00:00.000Z") == []
    assert numbers(None, "2026-03-09T10:00:00.000Z") == []


def test_bounds_are_exact_to_the_microsecond_in_derby(spark: SparkSession, tmp_path: Path) -> None:
    schema, rows = tmp_path / "schema.sql", tmp_path / "odd.csv"
    schema.write_text("create table odd (id bigint not null primary key, changed timestamp not null);\n", "utf-8")
    rows.write_text("id,changed\n1,2026-03-09 10:00:00.000001\n2,2026-03-09 10:00:00.000002\n", "utf-8")
    derby = SourceDatabase(spark, tmp_path)
    derby.load(str(schema), {"odd": str(rows)})
    try:
        contract = odd_contract({"id": "bigint", "changed": "timestamp"})
        times = ("2026-03-09T10:00:00.000001Z", "2026-03-09T10:00:00.000002Z")
        wanted = {"table": "odd", "watermark_column": "changed", "from": times[0], "to": times[1]}
        found = extract_rows(spark, Database(derby.url, {}), contract, wanted).collect()
        assert [(row["id"], row["changed"]) for row in found] == [("2", "2026-03-09 10:00:00.000002")]
        keys = extract_keys(spark, Database(derby.url, {}), contract, wanted).collect()
        assert sorted((row["_position"], row["_op"], row["id"]) for row in keys) == [(1, "K", None), (2, "K", None)]
    finally:
        derby.close()


def test_tls_and_utc_come_with_the_secret() -> None:
    assert connect("jdbc:derby:x", None).properties == {}
    properties = connect("jdbc:mysql://db:3306/shop", SECRET).properties
    assert (properties["user"], properties["password"]) == (mariadb.USER, mariadb.PASSWORD)
    assert properties["sslMode"] == "VERIFY_IDENTITY"
    assert properties["connectionTimeZone"] == "UTC"
    assert properties["forceConnectionTimeZoneToSession"] == "true"


def refusal(spark: SparkSession, url: str, **change: Any) -> str:
    """What the extraction says when the database refuses it."""
    wanted = {"table": "odd", "watermark_column": "changed", "from": None, "to": FIRST, **change}
    database = connect(url, SECRET)
    with pytest.raises(JobError) as found, explained(database, wanted["table"]):
        extract_rows(spark, database, odd_contract(ODD_COLUMNS), wanted).collect()
    message = str(found.value)
    assert mariadb.PASSWORD not in message
    assert "trustCertificate" not in message
    return message


def test_a_refusal_says_what_where_and_what_to_do(
    spark: SparkSession, odd: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"jdbc:mysql://localhost:{odd.port}/{mariadb.DATABASE}, table "
    missing_table = refusal(spark, odd.url(), table="nowhere")
    assert missing_table.startswith(f"{place}'nowhere': Table 'shop.nowhere' doesn't exist (SQLSTATE 42S02). ")
    assert "contract's source" in missing_table
    assert "Unknown column 'never'" in refusal(spark, odd.url(), watermark_column="never")
    stranger = refusal(spark, odd.url("127.0.0.1"))
    assert "127.0.0.1" in stranger
    assert "certificate" in stranger
    nobody = refusal(spark, f"jdbc:mysql://someone:hidden@localhost:{mariadb._free_port()}/shop?a=b")
    assert "Connection refused" in nobody
    assert "security group" in nobody
    assert "hidden" not in nobody
    keep_secret(monkeypatch, "wrong")
    denied = refusal(spark, odd.url())
    assert f"{place}'odd': Access denied for user 'etl'@'localhost' (using password: YES) (SQLSTATE 28000)" in denied
    assert "Check username and password in the secret" in denied


def test_the_job_itself_explains_a_refusal(bundle_uri: str, started: MariaDb) -> None:
    missing = {**extract("products", None, FIRST), "table": "nowhere"}
    with pytest.raises(JobError, match=r"table 'nowhere': .*doesn't exist .*Check table"):
        run(bundle_uri, "x-refused", [missing], started.url())


def test_an_error_that_is_not_the_databases_passes_as_it_is(spark: SparkSession) -> None:
    with pytest.raises(Exception, match="PATH_NOT_FOUND") as found, explained(Database("jdbc:x", {}), "odd"):
        spark.read.parquet("s3://" + BUCKETS["landing"] + "/nothing-here")
    assert not isinstance(found.value, JobError)


def test_a_batch_has_the_landing_schema(spark: SparkSession, odd: MariaDb) -> None:
    wanted = {"table": "odd", "watermark_column": "changed", "from": None, "to": FIRST}
    contract, database = odd_contract(ODD_COLUMNS), connect(odd.url(), SECRET)
    rows = extract_rows(spark, database, contract, wanted)
    keys = extract_keys(spark, database, contract, wanted)
    assert {f.dataType for f in rows.select(*ODD_COLUMNS).schema} == {T.StringType()}
    assert [(f.name, f.dataType) for f in rows.schema] == [(f.name, f.dataType) for f in keys.schema]
