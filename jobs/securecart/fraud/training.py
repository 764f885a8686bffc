"""Trains a model and says how good it is, with time always running forward: train, then calibrate, then test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from securecart.errors import JobError
from securecart.fraud.features import FEATURES, LABEL_DELAY_DAYS
from securecart.fraud.model import (
    SETTINGS,
    Calibration,
    Model,
    calibrate,
    class_counts,
    code_version,
    fit,
    room_for,
    with_margins,
    workers_for,
)


@dataclass(frozen=True)
class Review:
    """What reviewing can do and what it saves.

    ``cards_a_day`` that reviewers can look at, ``cost`` of one review in the amounts' currency, and the share of a
    fraud's amount that a review saves.
    """

    cards_a_day: int = 100
    cost: float = 5.0
    saved: float = 1.0


def average_precision(margins: DataFrame) -> float:
    """Area under the precision-recall curve (columns margin, fraud), computed by Spark."""
    evaluator = BinaryClassificationEvaluator(
        rawPredictionCol="margin", labelCol="label", metricName="areaUnderPR", numBins=0
    )
    return float(evaluator.evaluate(margins.select("margin", F.col("fraud").cast("double").alias("label"))))


def review_threshold(margins: DataFrame, calibration: Calibration, review: Review) -> float:
    """The probability from which a transaction is reviewed.

    The higher of two: from which a review pays (its cost over the median fraud: amounts come in several currencies, and
    in the mean a few yen would outweigh all the others), and from which, over the
    validation days, as many cards a day come as can be reviewed. Cards of equal probability are all reviewed or none,
    so where the calibration has a step more can come than that.

    Args:
        margins: validation rows with margin, fraud, day, customer_id, amount.
    """
    daily = margins.groupBy("day", "customer_id").agg(F.max("margin").alias("margin"))
    totals = margins.agg(
        F.countDistinct("day").alias("days"),
        F.percentile_approx(F.when(F.col("fraud") == 1, F.col("amount")), 0.5).alias("loss"),
    ).first()
    cards = daily.count()
    assert totals is not None
    share = min(1.0, review.cards_a_day * totals["days"] / max(cards, 1))
    cut = daily.approxQuantile("margin", [1 - share], 0.0005)
    capacity = float(calibration.probabilities(np.array(cut))[0]) if share < 1 else 0.0
    loss = (totals["loss"] or 0.0) * review.saved
    cost = review.cost / loss if loss > 0 else 1.0
    return min(1.0, max(capacity, cost))


def train(
    features: DataFrame, last_day: date, seed: int, review: Review, workers: int = 1, calibration_days: int = 7
) -> Model:
    """Trains on labelled rows up to ``last_day``; the last ``calibration_days`` calibrate and measure.

    Between the two lies the delay of the labels, as between training and use.

    Args:
        features: of `features.features`, stored or cached; rows without a label are left out.
        workers: how many train at once, at most; few rows need fewer (`workers_for`), a laptop may have room for
            fewer (`room_for`). The model's description says how many did.

    Raises:
        JobError: when a part lacks a class, or the cluster has no room for the workers.
    """
    labelled = features.where("fraud is not null").where(F.col("day") <= F.lit(last_day))
    held_from = last_day - timedelta(days=calibration_days - 1)
    train_to = held_from - timedelta(days=LABEL_DELAY_DAYS + 1)
    past = labelled.where(F.col("day") <= F.lit(train_to))
    held = labelled.where(F.col("day") >= F.lit(held_from))
    genuine, frauds = class_counts(past)
    class_counts(held)
    workers = room_for(features.sparkSession, workers_for(genuine + frauds, workers))
    booster = fit(past, seed, workers)
    margins = with_margins(held, booster, ("transaction_id", "day", "customer_id", "amount", "fraud")).localCheckpoint()
    calibration = calibrate(margins)
    span = past.agg(F.min("day").alias("first"), F.countDistinct("day").alias("days")).first()
    assert span is not None
    version = code_version()
    made = datetime.now(UTC)
    about: dict[str, Any] = {
        "version": f"{made:%Y%m%dT%H%M%SZ}-{version[:8]}",
        "trained_at": made.isoformat(),
        "code_version": version,
        "settings": SETTINGS,
        "seed": seed,
        "workers": workers,
        "features": list(FEATURES),
        "training": {
            "from": str(span["first"]),
            "to": str(train_to),
            "days": span["days"],
            "days_missing": (train_to - span["first"]).days + 1 - span["days"],
            "genuine": genuine,
            "frauds": frauds,
        },
        "validation": {"from": str(held_from), "to": str(last_day)},
        "metrics": {"average_precision": average_precision(margins), "log_loss": log_loss(margins, calibration)},
        "review_threshold": review_threshold(margins, calibration, review),
        "review": {"cards_a_day": review.cards_a_day, "cost": review.cost, "saved": review.saved},
    }
    return Model(booster, calibration, about)


def log_loss(margins: DataFrame, calibration: Calibration) -> float:
    """Mean negative log-likelihood of the labels under the calibrated probabilities (columns margin, fraud)."""

    def losses(batches: Iterable[Any]) -> Iterable[Any]:
        for batch in batches:
            p, fraud = calibration.probabilities(batch["margin"].to_numpy()), batch["fraud"].to_numpy()
            yield pd.DataFrame({"loss": -np.where(fraud == 1, np.log(p), np.log(1 - p))})

    mean = margins.select("margin", "fraud").mapInPandas(losses, "loss double").agg(F.avg("loss")).first()
    if mean is None or mean[0] is None:
        raise JobError("there are no validation rows to measure on")
    return float(mean[0])
