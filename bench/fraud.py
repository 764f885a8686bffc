"""How the fraud jobs' time and memory grow: with the transactions, and for one day with the history before it.

Transactions are the Fraud Detection Handbook's, copied with customers and terminals of their own (more of them), or
copied to earlier days (a longer history). Each case runs in a process of its own, so that its peak of memory is its
own: the proportional set size of Java and all Python workers together, looked at twice a second. Java's heap is 2 GB.

Run: ``npm run bench:fraud -- --input DIR [--millions 0.67,3,10] [--days 30,75,300]``. Memory is read on Linux alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "local"))

import yaml  # noqa: E402
from pyspark.sql import DataFrame, SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from securecart import fraud_score  # noqa: E402
from securecart.contract import load_bundle  # noqa: E402
from securecart.fraud.features import features  # noqa: E402
from securecart.fraud.model import Calibration, Model, fit  # noqa: E402
from securecart.fraud.pending import SCORED  # noqa: E402
from securecart.fraud.registry import Registry  # noqa: E402
from securecart.fraud.scoring import by_model  # noqa: E402
from securecart.fraud.transactions import read_handbook  # noqa: E402
from securecart.lake import SETTINGS  # noqa: E402
from securecart.objects import LAKE_ROOT_VARIABLE, read_text, write_text  # noqa: E402
from securecart.snapshots import append  # noqa: E402
from securecart.tables import create_or_evolve, snapshot_of  # noqa: E402
from spark_session import BUCKETS, local_session  # noqa: E402

#: Enough that a partition of the largest case fits the heap; EMR's default is higher still.
PARTITIONS = 16
LAST_DAY = date(2018, 6, 9)
INPUT_DAYS = 70
CONTRACTS = f"s3://{BUCKETS['artifacts']}/contracts.json"
GEO = ROOT / "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"


def session(folder: Path) -> SparkSession:
    os.environ[LAKE_ROOT_VARIABLE] = str(folder / "lake")
    spark = local_session(folder / "lake", folder / "scratch", short=False)
    spark.sparkContext.setLogLevel("ERROR")
    for key, value in {**SETTINGS, "spark.sql.shuffle.partitions": str(PARTITIONS)}.items():
        spark.conf.set(key, value)
    return spark


def copied(transactions: DataFrame, copies: float) -> DataFrame:
    """The transactions ``copies`` times, each time of other customers at other terminals; of the last copy a share of
    the customers."""
    numbered = transactions.crossJoin(transactions.sparkSession.range(int(copies + 1)).withColumnRenamed("id", "copy"))
    kept = numbered.where(F.col("copy") + F.pmod(F.hash("customer_id"), F.lit(100)) / 100 < copies)
    named = {name: F.concat_ws("-", name, "copy") for name in ("transaction_id", "customer_id", "terminal_id")}
    return kept.withColumns(named).drop("copy")


def earlier(transactions: DataFrame, days: int) -> DataFrame:
    """The transactions and, until there are ``days`` days, their copies on earlier days, ending with `LAST_DAY`."""
    times = -(-days // INPUT_DAYS)
    numbered = transactions.crossJoin(transactions.sparkSession.range(times).withColumnRenamed("id", "copy"))
    moved = F.timestamp_seconds(F.unix_timestamp("event_time") - F.col("copy") * INPUT_DAYS * 86_400)
    rows = numbered.withColumns({"event_time": moved, "transaction_id": F.concat_ws("-", "transaction_id", "copy")})
    return rows.drop("copy").where(F.to_date("event_time") > F.lit(LAST_DAY - timedelta(days=days)))


def a_model(rows: DataFrame) -> Model:
    """A model that scores as one in use does; how well is not asked here."""
    trained = fit(rows.where(F.col("day") < F.lit(date(2018, 4, 15))), 0)
    about = {"version": "bench", "review_threshold": 0.5}
    return Model(trained, Calibration((-10.0, 10.0), (0.0, 1.0)), about)


def prepare(folder: Path, source: str) -> dict[str, Any]:
    """Stores what all cases start from: transactions as Parquet, a model, and the contracts."""
    spark = session(folder)
    documents = [yaml.safe_load(file.read_text("utf-8")) for file in sorted((ROOT / "contracts").glob("*.yaml"))]
    reference = json.loads((ROOT / "contracts/reference.json").read_text("utf-8"))
    write_text(CONTRACTS, json.dumps({"contracts": documents, "reference": reference}))
    read_handbook(spark, source).write.parquet((folder / "transactions").as_uri())
    rows = features(spark.read.parquet((folder / "transactions").as_uri()).where("event_time < '2018-04-15'"))
    Registry(BUCKETS["curated"]).store(a_model(rows))
    Registry(BUCKETS["curated"]).promote("bench")
    spark.stop()
    return {}


def whole(folder: Path, millions: str) -> dict[str, Any]:
    """Times the features of that many million transactions and their scores, each to the end in files."""
    spark = session(folder)
    transactions = spark.read.parquet((folder / "transactions").as_uri())
    rows, case = transactions.count(), folder / f"case-{millions}"
    copied(transactions, float(millions) * 1e6 / rows).write.parquet((case / "transactions").as_uri())
    given = spark.read.parquet((case / "transactions").as_uri())
    found: dict[str, Any] = {"transactions": given.count()}
    with timed(found, "features"):
        features(given).write.parquet((case / "features").as_uri())
    model = Registry(BUCKETS["curated"]).champion()
    assert model is not None
    with timed(found, "scores"):
        by_model(spark.read.parquet((case / "features").as_uri()), model).write.parquet((case / "scores").as_uri())
    spark.stop()
    return found


def a_day(folder: Path, days: str) -> dict[str, Any]:
    """Times the job ``fraud_score`` for one new day, when the tables hold ``days`` days and their scores."""
    spark = session(folder)
    contracts = load_bundle(CONTRACTS)
    database = f"days_{days}"
    tables = {name: f"staging.{database}.{name}" for name in ("customers", "transactions")}
    tables["fraud_scores"] = f"curated.{database}.fraud_scores"
    for name, table in tables.items():
        create_or_evolve(spark, table, contracts[name], contracts)
    number = F.pmod(F.hash("terminal_id"), F.lit(1 << 24))
    octets = [F.lit(20), *[F.shiftright(number, bits).bitwiseAND(255) for bits in (16, 8, 0)]]
    history = earlier(spark.read.parquet((folder / "transactions").as_uri()), int(days) + 1).select(
        "transaction_id",
        "customer_id",
        "event_time",
        F.col("amount").cast("decimal(12,2)").alias("amount"),
        F.concat_ws(".", *[octet.cast("string") for octet in octets]).alias("ip_address"),
        F.sha2("transaction_id", 256).alias("row_hash"),
        F.lit("before").alias("batch_id"),
    )
    before = F.col("event_time") < F.lit(LAST_DAY)

    def in_form(table: str, rows: DataFrame) -> DataFrame:
        return spark.table(table).limit(0).unionByName(rows, allowMissingColumns=True).sort("event_time")

    stored = tables["transactions"]
    in_form(stored, history.where(before)).writeTo(stored).append()
    people = history.select("customer_id", F.lit("DE").alias("country"), F.current_timestamp().alias("event_time"))
    spark.table(tables["customers"]).limit(0).unionByName(
        people.dropDuplicates(["customer_id"]).drop("event_time"), allowMissingColumns=True
    ).writeTo(tables["customers"]).append()
    known = history.where(before).withColumnRenamed("row_hash", "transaction_hash").drop("amount", "ip_address")
    scores = tables["fraud_scores"]
    append(scores, in_form(scores, known), SCORED, str(snapshot_of(spark, stored)))
    in_form(stored, history.where(~before)).writeTo(stored).append()
    arguments = ["--contracts", CONTRACTS, "--geo-database", str(GEO)]
    arguments += ["--staging-db", database, "--curated-db", database, "--batch-id", f"day-{days}"]
    for zone in ("landing", "staging", "curated", "quarantine", "artifacts"):
        arguments += [f"--{zone}", BUCKETS[zone]]
    found: dict[str, Any] = {"transactions": history.count()}
    with timed(found, "job"):
        fraud_score.main(arguments)
    run = f"s3://{BUCKETS['staging']}/runs/day-{days}"
    (segment,) = json.loads(read_text(f"{run}/fraud_score-trace.json"))
    found["scored"] = json.loads(read_text(f"{run}/fraud_score.json"))["datasets"]["fraud_scores"]["scored"]
    found |= {f"{part['name']} s": part["annotations"]["ms"] / 1000 for part in segment["subsegments"]}
    spark.stop()
    return found


def family(root: int) -> list[int]:
    """A process and all below it, by Linux's /proc."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


def memory_of(root: int) -> int:
    """Proportional set size in bytes of a process and all below it."""
    total = 0
    for process in family(root):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def processor_seconds() -> float:
    """Processor time that this process and all below it have used, those included that have ended."""
    ticks = 0
    for process in family(os.getpid()):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def timed(found: dict[str, Any], name: str) -> Iterator[None]:
    """Notes a block's seconds and its processor seconds, which other programs on the machine disturb less."""
    begin, used = time.monotonic(), processor_seconds()
    yield
    found[f"{name} s"] = time.monotonic() - begin
    found[f"{name} CPU s"] = processor_seconds() - used


def measured(folder: Path, kind: str, value: str) -> dict[str, Any]:
    """Runs this file for one case. Returns what it found, with its peak of memory."""
    command = [sys.executable, __file__, "--case", kind, str(folder), value]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(0.5)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode != 0:
        raise SystemExit(f"bench:fraud: {kind} {value} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {kind: value, **found, "peak GB": peak / 1e9}


def table(title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:  # none was asked for
        return
    print(f"\n{title}\n\n| {' | '.join(rows[0])} |\n|{' --- |' * len(rows[0])}")
    for row in rows:
        texts = [f"{v:.1f}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v for v in row.values()]
        print(f"| {' | '.join(texts)} |", flush=True)


CASES: dict[str, Callable[[Path, str], dict[str, Any]]] = {"prepare": prepare, "whole": whole, "day": a_day}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, help="folder with the handbook's files")
    parser.add_argument("--millions", default="0.67,3,10", help="numbers of transactions, in millions")
    parser.add_argument("--days", default="30,75,300", help="days of history")
    parser.add_argument("--case", nargs=3, metavar=("KIND", "FOLDER", "VALUE"), help="one case, by this script itself")
    options = parser.parse_args()
    if options.case:
        kind, folder, value = options.case
        print(json.dumps(CASES[kind](Path(folder), value)))
        return
    if options.input is None or not options.input.is_dir():
        raise SystemExit(f"bench:fraud: --input {options.input}: there is no such folder")
    with tempfile.TemporaryDirectory(prefix="bench-fraud-") as name:
        folder = Path(name)
        measured(folder, "prepare", options.input.resolve().as_uri())
        sizes = [measured(folder, "whole", value) for value in options.millions.split(",") if value]
        table("All transactions", sizes)
        table("One more day, by days of history", [measured(folder, "day", v) for v in options.days.split(",") if v])


if __name__ == "__main__":
    main()
