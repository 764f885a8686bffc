"""The jobs fraud_train and fraud_score as the workflow runs them, on tables of their own: by rules, then by a model."""

from __future__ import annotations

import ast
import itertools
import json
import logging
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from securecart import fraud_score, fraud_train
from securecart.contract import Bundle
from securecart.errors import JobError
from securecart.fraud import pending
from securecart.fraud.model import SETTINGS
from securecart.fraud.source import read_labels
from securecart.objects import read_text, write_text
from securecart.tables import create_or_evolve
from spark_session import BUCKETS
from tests.sales_rows import rows

ROOT = Path(__file__).resolve().parents[2]
GEO = ROOT / "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"
START = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "transaction_id,fraud,reported_at"


class Payments:
    """Tables of transactions, customers and scores in databases of their own, a place for models, and the jobs."""

    numbers = itertools.count(1)

    def __init__(self, spark: SparkSession, contracts: Bundle, bundle_uri: str) -> None:
        self.spark, self.contracts = spark, contracts
        self.name = f"payments_{next(self.numbers)}"
        self.labels = f"s3://{BUCKETS['landing']}/labels-{self.name}/"
        self.arguments = ["--contracts", bundle_uri, "--geo-database", str(GEO), "--labels", self.labels]
        self.arguments += ["--staging-db", self.name, "--curated-db", self.name]
        # Models and alerts are plain objects, so their bucket can be one that Spark does not know.
        for zone, bucket in {**BUCKETS, "curated": self.name}.items():
            self.arguments += [f"--{zone}", bucket] if zone != "logs" else []
        for dataset in ("customers", "transactions", "fraud_scores"):
            create_or_evolve(spark, self.table(dataset), contracts[dataset], contracts)

    def table(self, dataset: str) -> str:
        return f"{self.contracts[dataset].zone}.{self.name}.{dataset}"

    def add(self, dataset: str, *given: dict[str, Any]) -> None:
        added = rows(self.spark, self.contracts[dataset], given).coalesce(1)
        added = added.withColumn("row_hash", F.sha2(F.to_json(F.struct("*")), 256))
        table = self.table(dataset)
        self.spark.table(table).limit(0).unionByName(added, allowMissingColumns=True).writeTo(table).append()

    def report(self, name: str, *frauds: tuple[str, int, datetime]) -> None:
        lines = [f"{number},{fraud},{when.isoformat()}" for number, fraud, when in frauds]
        write_text(f"{self.labels}{name}.csv", "\n".join([HEADER, *lines, ""]))

    def score(self, batch: str, *more: str) -> dict[str, dict[str, Any]]:
        """Runs the job. Returns the rows of fraud_scores by transaction."""
        fraud_score.main([*self.arguments, "--batch-id", batch, *more])
        return {r["transaction_id"]: r.asDict() for r in self.spark.table(self.table("fraud_scores")).collect()}

    def train(self, *more: str) -> None:
        fraud_train.main([*self.arguments, "--batch-id", "training", *more])

    def champion(self) -> dict[str, Any]:
        version = json.loads(read_text(f"s3://{self.name}/fraud/models/champion.json"))["version"]
        about: dict[str, Any] = json.loads(read_text(f"s3://{self.name}/fraud/models/{version}.json"))["about"]
        return about

    def run_file(self, batch: str, name: str) -> Any:
        return json.loads(read_text(f"s3://{BUCKETS['staging']}/runs/{batch}/{name}.json"))


@pytest.fixture
def payments(spark: SparkSession, contracts: Bundle, bundle_uri: str) -> Payments:
    return Payments(spark, contracts, bundle_uri)


def payment(number: str, days: float, customer: str = "C1", amount: float = 10.0, **more: Any) -> dict[str, Any]:
    row = {"transaction_id": number, "event_time": START + timedelta(days=days), "customer_id": customer}
    return row | {"amount": Decimal(str(amount)), "ip_address": "8.8.8.8"} | more


def history(days: int, seed: int = 1) -> tuple[list[dict[str, Any]], list[str]]:
    """Days of twenty customers; one payment in twelve is a fraud of six times the usual amount. Payments, frauds."""
    dice = random.Random(seed)
    found, frauds = [], []
    for number in range(days * 20):
        day, customer = divmod(number, 20)
        fraud = dice.random() < 1 / 12
        amount = round(dice.uniform(8, 12) * (1 + customer) * (6 if fraud else 1), 2)
        found.append(payment(f"T{number}", day + dice.random(), f"C{customer}", amount))
        frauds += [f"T{number}"] if fraud else []
    return found, frauds


def test_rules_score_until_a_model_does_and_each_row_says_which(
    payments: Payments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETTINGS, "n_estimators", 40)
    before, frauds = history(40)
    payments.add("customers", *[{"customer_id": f"C{n}", "customer_no": n} for n in range(20)])
    payments.add("transactions", *before)
    assert {row["method"] for row in payments.score("b1").values()} == {"rules"}
    with pytest.raises(JobError, match=r"no fraud reports to learn from: put CSV files .* below s3://.*labels-"):
        payments.train()
    end = START + timedelta(days=40)
    payments.report("a", *[(number, 1, end) for number in frauds])
    payments.train("--seed", "7", "--last-day", "2026-02-01")
    about = payments.champion()
    assert about["seed"] == 7
    assert about["champion"] == {"average_precision": None, "other_features": None, "replaced": True}
    assert about["validation"]["to"] == "2026-02-01"
    stages = [part["name"] for part in payments.run_file("training", "fraud_train-trace")[0]["subsegments"]]
    assert stages == ["read", "features", "train"]
    # A customer with a habit, and one never seen, at an address never seen.
    new = [payment("usual", 41, "C4", 50), payment("odd", 41.1, "C4", 320), payment("new", 41.2, "C99", 7)]
    payments.add("transactions", *[row | {"ip_address": "203.0.113.9"} for row in new])
    found = payments.score("b2")
    assert {number for number, row in found.items() if row["method"] == "model"} == {"usual", "odd", "new"}
    assert {found[number]["model_version"] for number in ("usual", "odd", "new")} == {about["version"]}
    assert (found["usual"]["decision"], found["odd"]["decision"]) == ("pass", "review")
    assert "the customer's usual amount" in found["odd"]["reasons"]
    assert 0 < found["new"]["probability"] < 1
    assert len(found) == len(before) + 3


def test_after_a_deployment_that_changes_features_rules_score_loudly_until_a_training(
    payments: Payments, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(SETTINGS, "n_estimators", 5)
    before, frauds = history(40)
    payments.add("transactions", *before)
    payments.report("a", *[(number, 1, START + timedelta(days=40)) for number in frauds])
    payments.train("--last-day", "2026-02-01")
    # The champion as the code before would have stored it, which computed one feature more.
    old = payments.champion()["version"]
    file = f"s3://{payments.name}/fraud/models/{old}.json"
    stored = json.loads(read_text(file))
    write_text(file, json.dumps(stored | {"features": [*stored["features"], "terminal_count_1d"]}))
    found = payments.score("between")
    assert len(found) == len(before)
    assert {(row["method"], row["model_version"]) for row in found.values()} == {("rules", None)}
    said = payments.run_file("between", "fraud_score")["datasets"]["fraud_scores"]
    assert (said["method"], said["unusable_champion"]) == ("rules", old)
    loud = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert loud == [
        f"FRAUD SCORES COME FROM RULES: the model {old} reads other features than this code computes; "
        "run the training job (fraud_train) again"
    ]
    # A version is named by its second of training.
    time.sleep(1)
    payments.train("--last-day", "2026-02-01")
    assert payments.champion()["version"] != old
    assert payments.champion()["champion"] == {"average_precision": None, "other_features": old, "replaced": True}
    payments.add("transactions", payment("new", 41, "C4", 50))
    assert payments.score("after")["new"]["method"] == "model"
    said = payments.run_file("after", "fraud_score")["datasets"]["fraud_scores"]
    assert (said["method"], said["unusable_champion"]) == ("model", None)


def test_a_slow_read_is_seen_in_the_trace(payments: Payments, monkeypatch: pytest.MonkeyPatch) -> None:
    payments.add("transactions", *[payment(f"T{n}", n) for n in range(10)])
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    asked = datetime.now(UTC) - timedelta(seconds=30)
    unscored = pending.unscored

    def wait(_: str) -> bool:
        time.sleep(0.3)
        return True

    def slow(transactions: DataFrame, scores: DataFrame) -> DataFrame:
        return unscored(transactions, scores).where(F.udf(wait, "boolean")("transaction_id"))

    monkeypatch.setattr(pending, "unscored", slow)
    payments.score("slow", "--trace-header", header, "--submitted-at", asked.isoformat())
    (segment,) = payments.run_file("slow", "fraud_score-trace")
    assert (segment["trace_id"], segment["parent_id"]) == ("1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8")
    assert [part["name"] for part in segment["subsegments"]] == ["queue_wait", "read", "features", "score", "write"]
    assert [part["annotations"].get("rows") for part in segment["subsegments"]] == [None, 10, 10, 10, 10]
    assert segment["annotations"]["read_ms"] >= 3000
    wait_time = segment["subsegments"][0]
    assert wait_time["end_time"] - wait_time["start_time"] >= 30
    ends = [part["end_time"] for part in segment["subsegments"]]
    assert ends == sorted(ends)


@pytest.fixture
def sns() -> Iterator[dict[str, str]]:
    """The environment by which boto3 reaches an emulator of SNS (ministack), on a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = shutil.which("ministack")
    assert program is not None, "ministack is in requirements.lock"
    own = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "PERSIST_STATE": "0"}
    process = subprocess.Popen([program], env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-north-1",
        }
    finally:
        process.terminate()
        process.wait(30)


def test_a_high_risk_is_an_alert_in_the_lake_and_by_message(
    payments: Payments, sns: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sns.items():
        monkeypatch.setenv(name, value)
    topics, queues = boto3.client("sns"), boto3.client("sqs")
    topic = topics.create_topic(Name="alerts")["TopicArn"]
    queue = queues.create_queue(QueueName="people")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    payments.add("transactions", *[payment(f"T{n}", n / 2) for n in range(20)])
    payments.score("quiet", "--alert-topic", topic)
    assert "Messages" not in queues.receive_message(QueueUrl=queue)
    # Absurd, far above the habit, from abroad, at night, and the last of them the fourth within an hour.
    payments.add("customers", {"customer_id": "C1", "country": "DE"})
    payments.add("transactions", *[payment(f"absurd{n}", 15 + n / 100, amount=200000) for n in range(4)])
    found = payments.score("loud", "--alert-topic", topic)
    assert [number for number, row in found.items() if row["alert"]] == ["absurd3"]
    written = json.loads(read_text(f"s3://{payments.name}/fraud/alerts/batch=loud.json"))
    assert (written["batch"], written["alerts"], written["method"]) == ("loud", 1, "rules")
    assert [row["transaction_id"] for row in written["highest"]] == ["absurd3"]
    assert "absurd amount" in written["highest"][0]["reasons"]
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    notice = json.loads(message["Body"])
    assert notice["Subject"] == "SecureCart: 1 transactions with high fraud risk"
    assert json.loads(notice["Message"]) == written


def test_an_alert_that_could_not_be_sent_is_sent_by_the_repeated_try(
    payments: Payments, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    class Unsteady(fraud_score.Topic):
        tries = 0

        def __init__(self, _: str) -> None: ...

        def publish(self, subject: str, message: str) -> None:
            Unsteady.tries += 1
            if Unsteady.tries == 1:
                raise ConnectionError("throttled")
            sent.append(subject)

    monkeypatch.setattr(fraud_score, "Topic", Unsteady)
    payments.add("customers", {"customer_id": "C1", "country": "DE"})
    payments.add("transactions", *[payment(f"T{n}", n / 2) for n in range(20)])
    payments.add("transactions", *[payment(f"absurd{n}", 15 + n / 100, amount=200000) for n in range(4)])
    with pytest.raises(ConnectionError):
        payments.score("b", "--alert-topic", "arn:aws:sns:eu-north-1:0:topic")
    assert len(payments.score("b", "--alert-topic", "arn:aws:sns:eu-north-1:0:topic")) == 24
    assert sent == ["SecureCart: 1 transactions with high fraud risk"]
    assert payments.run_file("b", "fraud_score")["datasets"]["fraud_scores"]["alerts"] == 1


def test_reports_that_name_nothing_known_or_were_corrected_leave_one_class_which_is_said(payments: Payments) -> None:
    payments.add("transactions", *[payment(f"T{n}", n) for n in range(30)])
    payments.report("a", ("T1", 1, START + timedelta(days=20)), ("gone", 1, START + timedelta(days=21)))
    payments.report("b", ("T1", 0, START + timedelta(days=60)))  # corrects it
    # Sixteen days to train on, eight until labels are known, and seven to measure.
    with pytest.raises(JobError, match=r"nothing to learn from: 0 frauds and 16 genuine .*widen the training days"):
        payments.train()


def test_reports_that_cannot_be_read_are_counted_and_a_wrong_header_is_named(
    spark: SparkSession, lake_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = f"s3://{BUCKETS['landing']}/labels-odd/"
    assert read_labels(spark, prefix) is None
    good = "T1,1,2026-01-05T10:00:00Z"
    odd = ["T2,2,2026-01-05T10:00:00Z", ",1,2026-01-05T10:00:00Z", "T3,1,soon", "T4,yes,2026-01-05T10:00:00Z", "T5"]
    write_text(f"{prefix}a.csv", "\n".join([HEADER, good, *odd, ""]))
    with caplog.at_level(logging.WARNING):
        labels = read_labels(spark, prefix)
    assert labels is not None
    assert [(r["transaction_id"], r["fraud"]) for r in labels.collect()] == [("T1", 1)]
    assert f"5 rows below {prefix} are no reports" in caplog.text
    write_text(f"{prefix}b.csv", "id,fraud,reported_at\n" + good)
    with pytest.raises(JobError, match=f"a file below {prefix} does not begin with the header {HEADER}"):
        read_labels(spark, prefix)


@pytest.mark.slow
def test_scored_batch_by_batch_or_all_at_once_is_the_same(
    spark: SparkSession, contracts: Bundle, bundle_uri: str
) -> None:
    """By rules, over more days than features look back; the test of the features has labels too."""
    days, half = 90, 85
    all_of_them, _ = history(days, seed=2)
    at_once, in_batches = (Payments(spark, contracts, bundle_uri) for _ in range(2))
    at_once.add("transactions", *all_of_them)
    expected = at_once.score("all")
    edge = START + timedelta(days=half)
    in_batches.add("transactions", *[row for row in all_of_them if row["event_time"] < edge])
    in_batches.score("first")
    in_batches.add("transactions", *[row for row in all_of_them if row["event_time"] >= edge])
    found = in_batches.score("second")
    columns = ("probability", "decision", "alert", "reasons")
    assert {n: [row[c] for c in columns] for n, row in found.items()} == {
        n: [row[c] for c in columns] for n, row in expected.items()
    }
    assert len(found) == days * 20
    assert in_batches.run_file("second", "fraud_score")["datasets"]["fraud_scores"]["scored"] == (days - half) * 20


def test_amounts_at_the_edges_are_scored(payments: Payments) -> None:
    amounts = [0, 9999999999.99, 0.01, -7.5]
    payments.add("transactions", *[payment(f"T{n}", n / 100, amount=amount) for n, amount in enumerate(amounts)])
    found = payments.score("edges")
    assert len(found) == 4
    assert "amount of zero or less" in found["T0"]["reasons"]
    assert "amount of zero or less" in found["T3"]["reasons"]
    assert "absurd amount" in found["T1"]["reasons"]


#: What brings rows to the driver, and the calls of it that the jobs may make, since their size does not grow with data.
TO_THE_DRIVER = {"collect", "toPandas", "toLocalIterator", "take", "head", "tail", "asDict"}
BOUNDED = {
    ("fraud_score.py", "named.collect"),  # NAMED_IN_ALERT rows
    ("fraud_score.py", "row.asDict"),
}


def test_the_jobs_bring_no_data_to_the_driver() -> None:
    jobs = ROOT / "jobs/securecart"
    files = [jobs / "fraud_score.py", jobs / "fraud_train.py"]
    # The evaluation is a measurement in memory, with scikit-learn; no job imports it.
    files += [file for file in (jobs / "fraud").glob("*.py") if file.name not in ("evaluate.py", "metrics.py")]
    found = set()
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        for call in calls:
            if isinstance(call, ast.Attribute) and call.attr in TO_THE_DRIVER:
                found.add((file.name, ast.unparse(call)))
    assert found == BOUNDED
