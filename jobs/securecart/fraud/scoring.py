"""Probability, decision and reasons of feature rows: by the model, or by rules while there is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart.fraud.features import FEATURES
from securecart.fraud.model import Calibration, Model, frame_of, reasons_of

#: Above this a transaction does not wait for the reviewers' daily list.
ALERT_PROBABILITY = 0.9
#: A rule score is no probability measured on labels: two strong signs, or three weak ones, ask for a review.
RULES_REVIEW_THRESHOLD = 0.5
LONGEST_REASONS = 400

KEEP = ("transaction_id", "customer_id", "event_time", "amount")
_SCORED = (*KEEP, "probability", "reasons")

#: Condition, weight from 0 to 1, and what a reviewer reads. Weights are judgement, not measurement.
RULES: tuple[tuple[str, float, str], ...] = (
    ("habit_deviation >= 4", 0.35, "amount far above the customer's usual amount"),
    ("habit_ratio >= 5", 0.25, "amount more than five times the customer's usual amount"),
    ("foreign_address = 1", 0.25, FEATURES["foreign_address"]),
    ("customer_count_1h >= 3", 0.35, "more than three transactions within an hour"),
    ("unusual_count_7d >= 2", 0.30, "repeated unusual amounts within 7 days"),
    ("habit_mean is null and amount >= 1000", 0.30, "high amount of a customer without history"),
    ("amount <= 0", 0.20, "amount of zero or less"),
    ("amount >= 100000", 0.55, "absurd amount"),
    ("amount is null", 0.30, "amount is no number"),
    ("night = 1", 0.05, FEATURES["night"]),
)


def by_rules(features: DataFrame) -> DataFrame:
    """Scores rows by `RULES`, as the chance that at least one of the signs means something (noisy-or)."""
    signs = [(F.coalesce(F.expr(condition), F.lit(False)), weight, text) for condition, weight, text in RULES]
    innocent = F.lit(1.0)
    for holds, weight, _ in signs:
        innocent = innocent * F.when(holds, 1 - weight).otherwise(1.0)
    texts: list[Column] = [F.when(holds, F.lit(text)) for holds, _, text in sorted(signs, key=lambda sign: -sign[1])]
    return features.select(
        *KEEP,
        F.round(1 - innocent, 6).alias("probability"),
        F.concat_ws("; ", *texts).alias("reasons"),
    )


def by_model(features: DataFrame, model: Model) -> DataFrame:
    """Scores rows by the model on the executors; the reasons are its largest SHAP contributions.

    Those cost many times what the score does, so only transactions that a reviewer gets have reasons.
    """
    raw = bytes(model.booster.save_raw("json"))
    calibration, threshold = model.calibration, model.review_threshold
    types = {"probability": T.DoubleType(), "reasons": T.StringType()}
    schema = T.StructType([*[features.schema[name] for name in KEEP], *[T.StructField(n, t) for n, t in types.items()]])

    def score(batches: Iterable[Any]) -> Iterable[Any]:
        booster = xgboost.Booster(model_file=bytearray(raw))
        booster.set_param({"nthread": 1})
        for batch in batches:
            yield _scored(batch, booster, calibration, threshold)

    return features.mapInPandas(score, schema)


def _scored(batch: pd.DataFrame, booster: xgboost.Booster, calibration: Calibration, threshold: float) -> pd.DataFrame:
    result = batch[list(KEEP)].copy()
    margins = booster.predict(frame_of(batch), output_margin=True).astype(np.float64)
    result["probability"] = calibration.probabilities(margins)
    read = (result["probability"] >= min(threshold, ALERT_PROBABILITY)).to_numpy()
    result["reasons"] = ""
    if read.any():
        shown = batch[read]
        contributions = booster.predict(frame_of(shown), pred_contribs=True).astype(np.float64)
        result.loc[read, "reasons"] = ["; ".join(reasons) for reasons in reasons_of(shown, contributions[:, :-1])]
    return result


def decided(scored: DataFrame, threshold: float, method: str, version: str | None) -> DataFrame:
    """The columns of contracts/fraud_scores.yaml from scored rows."""
    return scored.select(
        "transaction_id",
        "customer_id",
        "event_time",
        "probability",
        F.when(F.col("probability") >= threshold, "review").otherwise("pass").alias("decision"),
        (F.col("probability") >= ALERT_PROBABILITY).alias("alert"),
        F.lit(method).alias("method"),
        F.lit(version).cast("string").alias("model_version"),
        F.substring("reasons", 1, LONGEST_REASONS).alias("reasons"),
    )
