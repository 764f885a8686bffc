"""Measures the model against the Fraud Detection Handbook's baselines by the handbook's own protocol.

Train on 7 days (or on everything before), wait 7 days until labels are known, test on 7 days. Cards whose frauds are
known by then (all of the training days, and of the days up to eight before each test day) are not tested. Every model
trains on the same rows; features look back as far as there are transactions, for the baselines as for ours.

Run: ``npm run fraud:evaluate -- --input DIR [--from DATE --to DATE]``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from securecart.errors import JobError
from securecart.fraud.features import FEATURES, LABEL_DELAY_DAYS, features
from securecart.fraud.handbook import HANDBOOK_FEATURES, with_handbook
from securecart.fraud.metrics import Scores, measure
from securecart.fraud.model import fit, frame_of
from securecart.fraud.transactions import read_handbook

TRAIN_DAYS = 7
TEST_DAYS = 7
SEED = 0

#: The handbook's models with its published settings (chapter 3, baseline fraud detection system).
BASELINES: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(random_state=SEED)),
    "random forest": lambda: RandomForestClassifier(random_state=SEED, n_jobs=-1),
    "XGBoost": lambda: XGBClassifier(random_state=SEED, n_jobs=-1),
}
OURS = "ours"
HISTORIES = {"7 days": TRAIN_DAYS, "everything before": None}


@dataclass(frozen=True)
class Split:
    """Days of one round: training from ``train`` up to ``delay``, testing from ``test`` up to ``end`` (exclusive)."""

    train: date
    delay: date
    test: date
    end: date


def splits(first: date, start: date, end: date, train_days: int | None) -> Iterator[Split]:
    """The rounds whose test weeks lie in ``start`` to ``end`` (inclusive); ``train_days`` None is everything."""
    test = start
    while test + timedelta(days=TEST_DAYS - 1) <= end:
        delay = test - timedelta(days=LABEL_DELAY_DAYS)
        train = first if train_days is None else delay - timedelta(days=train_days)
        yield Split(max(first, train), delay, test, test + timedelta(days=TEST_DAYS))
        test += timedelta(days=TEST_DAYS)


def left_to_test(rows: pd.DataFrame, split: Split) -> pd.DataFrame:
    """The transactions of the test week without those of cards known to be compromised on their day."""
    frauds = rows[rows["fraud"] == 1]
    known = set(frauds[(frauds["day"] >= split.train) & (frauds["day"] < split.delay)]["customer_id"])
    days = []
    for number in range(TEST_DAYS):
        day = split.test + timedelta(days=number)
        known |= set(frauds[frauds["day"] == day - timedelta(days=LABEL_DELAY_DAYS + 1)]["customer_id"])
        today = rows[rows["day"] == day]
        days.append(today[~today["customer_id"].isin(known)])
    return pd.concat(days)


def evaluate(rows: DataFrame, start: date, end: date) -> Iterator[tuple[str, str, date, Scores]]:
    """Scores by history, model and test week, in that order of nesting: history, week, model.

    Args:
        rows: labelled features with the handbook's added; they should be stored or cached.
    """
    # The baselines are scikit-learn's, which wants its rows in memory: a measurement, not a job.
    columns = dict.fromkeys([*HANDBOOK_FEATURES, *FEATURES])
    frame: pd.DataFrame = rows.select(
        "transaction_id", "event_time", "day", "customer_id", "fraud", *columns
    ).toPandas()
    frame = frame.sort_values(["event_time", "transaction_id"], kind="stable").reset_index(drop=True)
    first = frame["day"].min()
    for history, days in HISTORIES.items():
        for split in splits(first, start, end, days):
            train = frame[(frame["day"] >= split.train) & (frame["day"] < split.delay)]
            if train["fraud"].nunique() < 2:
                raise JobError(
                    f"the training days {split.train} to {split.delay - timedelta(days=1)} hold {len(train)} "
                    f"transactions and {int(train['fraud'].sum())} frauds; both classes are "
                    "needed. Choose a later --from"
                )
            test = left_to_test(frame, split)
            if test["fraud"].nunique() < 2:
                raise JobError(
                    f"the test week from {split.test} holds {int(test['fraud'].sum())} frauds among {len(test)}"
                )
            fields = list(HANDBOOK_FEATURES)
            for name, make in BASELINES.items():
                model = make().fit(train[fields].fillna(0), train["fraud"])
                yield history, name, split.test, _scores(test, model.predict_proba(test[fields].fillna(0))[:, 1])
            labelled = rows.where((F.col("day") >= F.lit(split.train)) & (F.col("day") < F.lit(split.delay)))
            booster = fit(labelled, SEED)
            yield history, OURS, split.test, _scores(test, booster.predict(frame_of(test), output_margin=True))


def _scores(test: pd.DataFrame, score: Any) -> Scores:
    return measure(test[["day", "customer_id", "fraud"]].assign(score=score))


def _line(name: str, values: tuple[float, float, float]) -> str:
    return f"| {name:<20} | {values[0]:.3f} | {values[1]:.3f} | {values[2]:.3f} |"


def report(results: list[tuple[str, str, date, Scores]]) -> Iterator[str]:
    """Lines of Markdown: every week, the means, and our lead over the best baseline in each measure."""
    for history in dict.fromkeys(result[0] for result in results):
        mine = [result for result in results if result[0] == history]
        names = dict.fromkeys(result[1] for result in mine)
        means = {}
        for week in dict.fromkeys(result[2] for result in mine):
            yield from _table(f"trained on {history}, test week from {week}")
            for _, name, of, s in mine:
                if of == week:
                    yield _line(name, (s.auc, s.ap, s.cp100))
        yield from _table(f"trained on {history}, mean of the test weeks")
        for name in names:
            values = [(s.auc, s.ap, s.cp100) for _, of, _, s in mine if of == name]
            means[name] = np.mean(values, axis=0)
            yield _line(name, tuple(means[name]))
        lead = means[OURS] - np.max([means[name] for name in BASELINES], axis=0)
        yield f"| lead over the best   | {lead[0]:+.3f} | {lead[1]:+.3f} | {lead[2]:+.3f} |"


def _table(title: str) -> Iterator[str]:
    yield ""
    yield f"{title}"
    yield ""
    yield f"| {'model':<20} | AUC ROC | average precision | card precision@100 |"
    yield "| --- | --- | --- | --- |"


def check_days(first: date, last: date, start: date | None, end: date | None, days: int) -> tuple[date, date]:
    """The tested days: as asked for, or as many whole weeks as the input allows, at most four, the last ones."""
    earliest = first + timedelta(days=TRAIN_DAYS + LABEL_DELAY_DAYS)
    end = end or last
    if start is None:
        weeks = min(4, ((end - earliest).days + 1) // TEST_DAYS)
        start = end - timedelta(days=weeks * TEST_DAYS - 1)
    if start < earliest or end > last or (end - start).days + 1 < TEST_DAYS:
        raise JobError(
            f"the input holds {days} days from {first} to {last}: test weeks can lie between {earliest} and {last} "
            f"and need {TEST_DAYS} days; asked for were {start} to {end}"
        )
    return start, end


def run(spark: SparkSession, folder: str, start: date | None, end: date | None, scratch: str) -> list[Any]:
    """Evaluates a folder of the handbook's files. Returns what `evaluate` yields."""
    transactions = read_handbook(spark, folder)
    span = transactions.agg(
        F.min(F.to_date("event_time")).alias("first"),
        F.max(F.to_date("event_time")).alias("last"),
        F.countDistinct(F.to_date("event_time")).alias("days"),
        F.count(F.when(~F.coalesce(F.col("fraud").isin(0, 1), F.lit(False)), 1)).alias("unlabelled"),
    ).first()
    if span is None or span["first"] is None:
        raise JobError(f"the files of '{folder}' hold no transactions")
    if span["unlabelled"] > 0:
        raise JobError(
            f"{span['unlabelled']} rows of '{folder}' have no TX_FRAUD of 0 or 1, without which nothing can be "
            "measured; correct or remove them"
        )
    start, end = check_days(span["first"], span["last"], start, end, span["days"])
    over = ((end - start).days + 1) % TEST_DAYS
    if over > 0:
        print(f"note: weeks are tested whole, so the last {over} days up to {end} are not")
    missing = (span["last"] - span["first"]).days + 1 - span["days"]
    if missing > 0:
        print(f"note: {missing} days between {span['first']} and {span['last']} have no transactions")
    with_handbook(features(transactions)).write.mode("overwrite").parquet(scratch)
    results = []
    for result in evaluate(spark.read.parquet(scratch), start, end):
        history, name, week, s = result
        # Progress, and what is left of an evaluation that is interrupted.
        print(f"{history}, {week}, {name}: {s.auc:.3f} / {s.ap:.3f} / {s.cp100:.3f}", file=sys.stderr, flush=True)
        results.append(result)
    return results


def a_day(text: str) -> date:
    """A day such as 2018-05-13, for argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no day such as 2018-05-13") from None


def main(argv: list[str], spark: SparkSession) -> None:
    """Arguments: ``--input DIR``, ``--from DATE``, ``--to DATE`` (tested days, inclusive)."""
    parser = argparse.ArgumentParser(prog="npm run fraud:evaluate --")
    parser.add_argument("--input", required=True, type=Path, help="folder with files of the handbook's columns")
    parser.add_argument("--from", dest="start", type=a_day, help="first day of the first test week")
    parser.add_argument("--to", dest="end", type=a_day, help="last day of the last test week")
    options = parser.parse_args(argv)
    if not options.input.is_dir():
        raise JobError(f"--input {options.input}: there is no such folder")
    with tempfile.TemporaryDirectory(prefix="fraud-evaluate-") as folder:
        results = run(
            spark, options.input.resolve().as_uri(), options.start, options.end, (Path(folder) / "features").as_uri()
        )
    print("\n".join(report(results)))
