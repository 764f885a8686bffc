"""Training, calibration, the registry of models, and scoring, on simulated transactions."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from securecart import fraud_train
from securecart.errors import JobError
from securecart.fraud import model
from securecart.fraud.features import FEATURES, features
from securecart.fraud.model import (
    SETTINGS,
    Calibration,
    Model,
    OtherFeaturesError,
    await_slots,
    calibrate,
    class_counts,
    fit,
    frame_of,
    from_json,
    room_for,
    slots_of,
    to_json,
    with_margins,
    workers_for,
)
from securecart.fraud.registry import Registry, is_better
from securecart.fraud.scoring import by_model, by_rules, decided
from securecart.fraud.source import LABELS, labelled, latest_labels
from securecart.fraud.training import Review, average_precision, review_threshold, train
from securecart.fraud.transactions import SCHEMA

FIRST = date(2018, 1, 1)
LAST = date(2018, 2, 9)


def simulated(seed: int = 1) -> list[tuple[Any, ...]]:
    """Forty days of thirty customers at ten terminals; frauds have five times the usual amount."""
    dice = random.Random(seed)
    rows: list[tuple[Any, ...]] = []
    for day in range(40):
        for customer in range(30):
            fraud = int(dice.random() < 0.06)
            amount = round(dice.uniform(8, 12) * (1 + customer) * (5 if fraud else 1), 2)
            when = datetime(2018, 1, 1) + timedelta(days=day, seconds=dice.randrange(86400))
            rows.append((str(len(rows)), when, f"c{customer}", f"t{dice.randrange(10)}", amount, fraud, None, None))
    return rows


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """Fewer trees than in use: the tests ask what becomes of a model, not how good the settings are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS, "n_estimators", 40)
        yield


@pytest.fixture(scope="module")
def featured(spark: SparkSession) -> DataFrame:
    return features(spark.createDataFrame(simulated(), SCHEMA)).localCheckpoint()


#: One day of the training has no transactions at all.
DAY_THERE = "day <> '2018-01-10'"


@pytest.fixture(scope="module")
def trained(featured: DataFrame) -> Model:
    return train(featured.where(DAY_THERE), LAST, 0, Review(cards_a_day=2, cost=1.0))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_another_seed_another(featured: DataFrame) -> None:
    models = [
        bytes(fit(rows, seed).save_raw("json")) for rows, seed in ((featured, 1), (featured.orderBy("amount"), 1))
    ]
    assert models[0] == models[1]
    assert bytes(fit(featured, 2).save_raw("json")) != models[0]


@pytest.mark.slow
def test_two_workers_give_one_model_that_is_as_good_as_that_of_one(
    featured: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "XGBoost-PySpark")
    alone, together = fit(featured, 1), fit(featured, 1, workers=2)
    assert re.findall(r"Running xgboost-\S+ on (\d+) workers", caplog.text) == ["1", "2"]
    again = fit(featured.orderBy("amount"), 1, workers=2)
    assert bytes(again.save_raw("json")) == bytes(together.save_raw("json"))
    # Sums in another order and subsamples of other rows.
    assert bytes(alone.save_raw("json")) != bytes(together.save_raw("json"))
    reached = [average_precision(with_margins(featured, booster, ("fraud",))) for booster in (alone, together)]
    assert reached[0] > 0.9
    assert reached[1] == pytest.approx(reached[0], abs=0.03)
    assert together.num_boosted_rounds() == alone.num_boosted_rounds() == SETTINGS["n_estimators"]


@pytest.mark.slow
def test_a_model_says_how_many_workers_trained_it(featured: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "ROWS_PER_WORKER", 300)
    assert train(featured, LAST, 0, Review(), workers=2).about["workers"] == 2


@pytest.mark.parametrize(("rows", "most", "workers"), [(0, 8, 1), (9_999, 8, 1), (10_000, 8, 2), (10**9, 8, 8)])
def test_workers_are_as_many_as_the_rows_are_worth(rows: int, most: int, workers: int) -> None:
    assert workers_for(rows, most) == workers


def test_more_workers_than_tasks_at_once_are_refused_before_they_wait_for_each_other(featured: DataFrame) -> None:
    with pytest.raises(JobError, match=r"training with 999 workers needs .* runs \d+ after 0 seconds: .*--workers"):
        fit(featured, 0, workers=999)


def test_a_laptop_trains_with_as_many_workers_as_it_runs_tasks_and_says_how_many(
    featured: DataFrame, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(model, "ROWS_PER_WORKER", 1)
    monkeypatch.setattr(model, "slots_of", lambda _: 1)
    assert train(featured, LAST, 0, Review(), workers=2).about["workers"] == 1
    assert "1 worker(s) train instead of 2" in caplog.text
    assert re.findall(r"Running xgboost-\S+ on (\d+) workers", caplog.text) == ["1"]


def test_a_cluster_is_asked_for_all_workers_whose_executors_may_still_come(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert room_for(spark, 999) == slots_of(spark) < 999
    assert room_for(spark, 1) == 1
    monkeypatch.setattr(model, "is_local", lambda _: False)
    assert room_for(spark, 999) == 999


def test_executors_that_arrive_at_the_second_look_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = iter([4, 12])
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    await_slots(12, lambda: next(slots), 300)
    assert slept == [1]
    assert list(slots) == []


def test_executors_that_never_arrive_end_the_wait_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that sleeping alone moves on."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    with pytest.raises(
        JobError,
        match="training with 12 workers needs as many tasks at once, and Spark runs 8 after 300 seconds: "
        "ask for fewer with --workers, or give Spark more executors or cores",
    ):
        await_slots(12, lambda: 8, 300)
    assert clock == [300.0]


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_is_nothing_to_learn_from(featured: DataFrame, only: int) -> None:
    with pytest.raises(JobError, match=r"nothing to learn from: (\d+ frauds and 0|0 frauds and \d+) genuine"):
        class_counts(featured.where(F.col("fraud") == only))


def test_a_model_says_what_it_was_made_of(trained: Model) -> None:
    about = trained.about
    assert about["metrics"]["average_precision"] > 0.8
    assert 0 < about["metrics"]["log_loss"] < 0.2  # always saying 0.06 would be 0.23
    assert about["training"]["to"] == "2018-01-26"  # seven days to calibrate and eight until labels are known
    assert (about["training"]["days"], about["training"]["days_missing"]) == (25, 1)
    assert about["workers"] == 1
    assert set(about) >= {"settings", "seed", "features", "code_version", "validation", "review_threshold"}


def test_a_challenger_replaces_the_champion_only_when_it_is_better(
    featured: DataFrame, trained: Model, lake_root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion is measured anew on the challenger's days; what the challenger reached is said here."""
    registry = Registry("challenges")
    reached = trained.about["metrics"]["average_precision"]
    found = []
    for version, more in (("first", 0.0), ("equal", 0.0), ("better", 0.01)):
        about = trained.about | {"version": version, "metrics": {"average_precision": reached + more}}
        monkeypatch.setattr(fraud_train, "train", lambda *_, about=about: replace(trained, about=about))
        challenge = fraud_train.challenge(featured.where(DAY_THERE), registry, LAST, 0, Review())
        champion = registry.champion()
        assert champion is not None
        found.append((challenge["champion"], champion.about["version"]))
    same = pytest.approx(reached)
    assert found == [
        ({"average_precision": None, "other_features": None, "replaced": True}, "first"),
        ({"average_precision": same, "other_features": None, "replaced": False}, "first"),
        ({"average_precision": same, "other_features": None, "replaced": True}, "better"),
    ]
    assert [is_better(0.6, None), is_better(0.604, 0.6), is_better(0.61, 0.6)] == [True, False, True]


def test_a_champion_that_reads_other_features_is_replaced_without_a_comparison(
    featured: DataFrame,
    trained: Model,
    lake_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though the champion would be the better of the two, if it could be compared."""
    registry = Registry("changed-features")
    with monkeypatch.context() as before:
        before.setattr(model, "FEATURES", [*FEATURES, "terminal_count_1d"])
        registry.store(replace(trained, about=trained.about | {"version": "before"}))
    registry.promote("before")
    with pytest.raises(OtherFeaturesError):
        registry.champion()
    worse = trained.about | {"version": "after", "metrics": {"average_precision": 0.01}}
    monkeypatch.setattr(fraud_train, "train", lambda *_: replace(trained, about=worse))
    about = fraud_train.challenge(featured, registry, LAST, 0, Review())
    assert about["champion"] == {"average_precision": None, "other_features": "before", "replaced": True}
    assert "the champion before reads other features: it is replaced without a comparison" in caplog.text
    champion = registry.champion()
    assert champion is not None
    assert champion.about == about


def test_a_stored_model_scores_as_before_and_says_why(featured: DataFrame, trained: Model) -> None:
    stored = from_json(to_json(trained))
    scores = [
        {r["transaction_id"]: (r["probability"], r["reasons"]) for r in by_model(featured, m).collect()}
        for m in (trained, stored)
    ]
    assert scores[0] == scores[1]
    rows = decided(by_model(featured, stored), stored.review_threshold, "model", "v1").join(
        featured.select("transaction_id", F.col("fraud").alias("label")), "transaction_id"
    )
    found = [r.asDict() for r in rows.collect()]
    reviewed = [r for r in found if r["decision"] == "review"]
    assert len(reviewed) > 20
    assert np.mean([r["label"] for r in reviewed]) > 0.5  # of all transactions, 0.06
    assert all(r["reasons"] for r in reviewed)
    assert sum("the customer's usual amount" in r["reasons"] for r in reviewed) > len(reviewed) / 2
    assert all(0 < r["probability"] < 1 for r in found)
    document = to_json(trained).replace('"habit_ratio"', '"habit"')
    with pytest.raises(OtherFeaturesError, match=f"the model {trained.about['version']} reads other features"):
        from_json(document)


def test_odd_rows_are_scored_by_a_model_that_never_saw_any(spark: SparkSession, trained: Model) -> None:
    """Amounts of every kind, of customers and at terminals that are new or unknown, without any history."""
    amounts = [0.0, -5.0, 0.01, 9e15, float("inf"), float("-inf"), float("nan"), None]
    parties = [("new", "new"), (None, "t1"), ("c1", None), (None, None)]
    numbers = range(len(amounts) * len(parties))
    rows = [
        (str(n), datetime(2018, 3, 1), *parties[n % len(parties)], amounts[n // len(parties)], None, None, None)
        for n in numbers
    ]
    found = by_model(features(spark.createDataFrame(rows, SCHEMA)), trained).collect()
    assert {r["transaction_id"] for r in found} == {str(n) for n in numbers}
    assert all(0 < r["probability"] < 1 for r in found)


def test_a_shap_sum_is_the_margin(featured: DataFrame, trained: Model) -> None:
    booster = trained.booster
    margins = {r["transaction_id"]: r["margin"] for r in with_margins(featured, booster, ("transaction_id",)).collect()}
    frame: pd.DataFrame = featured.toPandas()
    sums = booster.predict(frame_of(frame), pred_contribs=True).sum(axis=1)
    assert [margins[i] for i in frame["transaction_id"]] == pytest.approx(sums, abs=1e-4)


def test_calibrated_scores_are_the_shares_seen(spark: SparkSession) -> None:
    rows = [(float(m), int(n < m)) for m in range(5) for n in range(5)]
    calibration = calibrate(spark.createDataFrame(rows, "margin double, fraud int"))
    assert calibration.probabilities(np.array([1.0, 2.0, 2.5, -9.0])) == pytest.approx([0.2, 0.4, 0.5, 1e-6])
    assert Calibration((0.0, 1.0), (0.0, 1.0)).probabilities(np.array([9.0])) == pytest.approx([1 - 1e-6])


def test_reviewed_is_what_pays_and_what_reviewers_can_do(spark: SparkSession) -> None:
    frauds = [(float(n), 1, date(2018, 1, 1), f"c{n}", amount) for n, amount in enumerate((90.0, 100.0, 1e6))]
    genuine = [(n / 100 - 10, 0, date(2018, 1, 1), f"g{n}", 10.0) for n in range(100)]
    margins = spark.createDataFrame(
        frauds + genuine, "margin double, fraud int, day date, customer_id string, amount double"
    )
    same = Calibration((-10.0, 10.0), (0.0, 1.0))
    assert review_threshold(margins, same, Review(cards_a_day=200, cost=5)) == pytest.approx(0.05)
    # Ten cards of 103 are those from a margin of about -9.07 on.
    assert review_threshold(margins, same, Review(cards_a_day=10, cost=0)) == pytest.approx(0.0465, abs=0.001)


def test_rules_score_without_labels_and_name_their_signs(spark: SparkSession) -> None:
    history = [(str(n), datetime(2018, 1, 1 + n), "c", "t", 10.0, None, None, 0) for n in range(9)]
    odd = [
        ("far", datetime(2018, 1, 10), "c", "t", 900.0, None, None, 1),
        ("none", datetime(2018, 1, 11), "c", "t", None, None, None, None),
        ("zero", datetime(2018, 1, 12, 12), "c", "t", 0.0, None, None, 0),
    ]
    rows = features(spark.createDataFrame(history + odd, SCHEMA))
    found = {r["transaction_id"]: r.asDict() for r in decided(by_rules(rows), 0.5, "rules", None).collect()}
    assert len(found) == 12
    assert (found["8"]["decision"], found["far"]["decision"]) == ("pass", "review")
    assert found["far"]["probability"] == pytest.approx(1 - 0.65 * 0.75 * 0.75 * 0.95)
    assert found["far"]["reasons"].startswith("amount far above the customer's usual amount; ")
    assert "amount is no number" in found["none"]["reasons"]
    assert "amount of zero or less" in found["zero"]["reasons"]
    assert {r["method"] for r in found.values()} == {"rules"}


def test_the_last_report_of_a_transaction_counts_and_silence_only_after_the_delay(spark: SparkSession) -> None:
    reports = [("a", 1, datetime(2018, 1, 3)), ("a", 0, datetime(2018, 1, 20)), ("b", 1, datetime(2018, 1, 9))]
    labels = latest_labels(spark.createDataFrame(reports, LABELS))
    times = [
        ("a", datetime(2018, 1, 1)),
        ("b", datetime(2018, 1, 2)),
        ("c", datetime(2018, 1, 12, 23)),
        ("d", datetime(2018, 1, 13)),
    ]
    rows = spark.createDataFrame(times, "transaction_id string, event_time timestamp")
    found = {r["transaction_id"]: r["fraud"] for r in labelled(rows, labels).collect()}
    assert found == {"a": 0, "b": 1, "c": 0, "d": None}
    assert {r["fraud"] for r in labelled(rows, None).collect()} == {None}


def test_every_feature_can_be_told_to_a_reviewer() -> None:
    assert all(text and text != name for name, text in FEATURES.items() if name != "amount")
