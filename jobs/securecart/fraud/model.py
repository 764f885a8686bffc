"""The model: gradient-boosted trees trained by xgboost's Spark estimator, with calibrated probabilities."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost
from pyspark.ml.regression import IsotonicRegression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from xgboost.spark import SparkXGBClassifier

from securecart.errors import JobError
from securecart.fraud.features import FEATURES

Array = npt.NDArray[np.float64]
log = logging.getLogger(__name__)

#: What was tried beside them, on days before the reported ones: docs/decisions/fraud.md.
SETTINGS: dict[str, Any] = {
    "max_depth": 4,
    "n_estimators": 200,
    "learning_rate": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 5,
    "reg_lambda": 5,
    "tree_method": "hist",
}

REASONS = 3


class OtherFeaturesError(JobError):
    """A stored model reads other features than this code computes, as after a deployment that changed them."""

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(
            f"the model {version} reads other features than this code computes; "
            "run the training job (fraud_train) again"
        )


#: Fewer rows than that are not worth another worker, which all others wait for after each level of a tree.
ROWS_PER_WORKER = 5_000
#: How long training waits for the cluster's executors.
SLOTS_TIMEOUT_SECONDS = 300.0


def code_version() -> str:
    """SHA-256 of the sources of this package: what computed the features and the model."""
    digest = hashlib.sha256()
    loader = globals().get("__loader__")
    for name in ("features", "model", "transactions"):
        path = Path(__file__).with_name(f"{name}.py")
        # On EMR the package is a zip, whose loader reads what lies in it.
        digest.update(loader.get_data(str(path)) if loader is not None else path.read_bytes())
    return digest.hexdigest()


def class_counts(labelled: DataFrame) -> tuple[int, int]:
    """Genuine transactions and frauds. Raises JobError when there is nothing to learn from."""
    row = labelled.agg(
        F.count(F.when(F.col("fraud") == 0, 1)).alias("genuine"),
        F.count(F.when(F.col("fraud") == 1, 1)).alias("frauds"),
    ).first()
    assert row is not None  # an aggregate without groups has one row
    genuine, frauds = int(row["genuine"]), int(row["frauds"])
    if genuine == 0 or frauds == 0:
        raise JobError(
            f"there is nothing to learn from: {frauds} frauds and {genuine} genuine transactions with a known label. "
            "Both are needed; widen the training days or check that labels arrive. Until then scores come from rules."
        )
    return genuine, frauds


def workers_for(rows: int, most: int) -> int:
    """Workers that train on so many rows, at most ``most``."""
    return max(1, min(most, rows // ROWS_PER_WORKER))


def is_local(spark: SparkSession) -> bool:
    """Whether Spark runs in this process alone, so that what tasks can run at once is fixed."""
    return (spark.sparkContext.master or "").startswith("local")


def slots_of(spark: SparkSession) -> int:
    """Tasks that can run at once now. On a cluster executors may still be to come."""
    scala: Any = spark.sparkContext._jsc.sc()
    return int(scala.maxNumConcurrentTasks(scala.resourceProfileManager().resourceProfileFromId(0)))


def room_for(spark: SparkSession, workers: int) -> int:
    """So many workers, or on a laptop as many as it runs tasks at once, which may be fewer than it has cores."""
    if not is_local(spark) or (slots := slots_of(spark)) >= workers:
        return workers
    log.info("%d worker(s) train instead of %d: this machine runs no more tasks at once", slots, workers)
    return slots


def await_slots(workers: int, slots: Callable[[], int], timeout_seconds: float) -> None:
    """Returns when ``workers`` tasks can run at once, as those of xgboost have to: each waits for all others.

    Spark itself would ask again and again for ten minutes before it gives up.

    Args:
        slots: how many can at the moment; asked every second.

    Raises:
        JobError: when there are not as many after ``timeout_seconds``.
    """
    end = time.monotonic() + timeout_seconds
    while (found := slots()) < workers:
        if time.monotonic() >= end:
            raise JobError(
                f"training with {workers} workers needs as many tasks at once, and Spark runs {found} after "
                f"{timeout_seconds:.0f} seconds: ask for fewer with --workers, or give Spark more executors or cores"
            )
        time.sleep(1)


def fit(labelled: DataFrame, seed: int, workers: int = 1) -> xgboost.Booster:
    """Trains on labelled feature rows; the same rows, seed and number of workers give the same model.

    Each worker has the rows of its partition, and after each level of a tree all of them add up their histograms. The
    sums are of floats, so with another number of workers a model is another one.

    Frauds are rare: they weigh as many times more as the square root of the classes' ratio. The full ratio costs
    precision at the top of the list, which is what reviewers see.

    Raises:
        JobError: when one class is missing, or fewer than ``workers`` tasks can run at once.
    """
    spark = labelled.sparkSession
    await_slots(workers, lambda: slots_of(spark), 0 if is_local(spark) else SLOTS_TIMEOUT_SECONDS)
    genuine, frauds = class_counts(labelled)
    # A fixed order of rows within fixed partitions, whose numbers are the workers' ranks.
    rows = labelled.select("transaction_id", F.col("fraud").cast("double").alias("label"), *FEATURES)
    rows = rows.repartition(workers, "transaction_id").sortWithinPartitions("transaction_id")
    estimator = SparkXGBClassifier(
        features_col=list(FEATURES),
        label_col="label",
        num_workers=workers,
        random_state=seed,
        missing=float("nan"),
        verbose=False,
        scale_pos_weight=float(np.sqrt(genuine / frauds)),
        **SETTINGS,
    )
    booster: xgboost.Booster = estimator.fit(rows).get_booster()
    return booster


def frame_of(rows: pd.DataFrame) -> xgboost.DMatrix:
    """The features of rows as the booster takes them."""
    return xgboost.DMatrix(rows[list(FEATURES)].to_numpy(dtype=np.float64), feature_names=list(FEATURES))


@dataclass(frozen=True)
class Calibration:
    """An isotonic step from a margin (log-odds) to the share of frauds seen at that margin."""

    margins: tuple[float, ...]
    shares: tuple[float, ...]

    def probabilities(self, margins: Array) -> Array:
        """Calibrated probabilities, interpolated between the steps. Never 0 or 1: nothing is certain."""
        return np.clip(np.interp(margins, self.margins, self.shares), 1e-6, 1 - 1e-6)


@dataclass(frozen=True)
class Model:
    """A booster, its calibration, the thresholds of decisions, and everything a reader asks of its making."""

    booster: xgboost.Booster
    calibration: Calibration
    about: dict[str, Any]

    @property
    def review_threshold(self) -> float:
        return float(self.about["review_threshold"])


def with_margins(rows: DataFrame, booster: xgboost.Booster, keep: tuple[str, ...]) -> DataFrame:
    """Columns ``keep`` and the booster's ``margin``, computed on the executors."""
    raw = bytes(booster.save_raw("json"))
    schema = T.StructType([*[rows.schema[name] for name in keep], T.StructField("margin", T.DoubleType())])

    def predict(batches: Iterable[Any]) -> Iterable[Any]:
        model = xgboost.Booster(model_file=bytearray(raw))
        model.set_param({"nthread": 1})
        for batch in batches:
            result = batch[list(keep)].copy()
            result["margin"] = model.predict(frame_of(batch), output_margin=True).astype(np.float64)
            yield result

    return rows.mapInPandas(predict, schema)


def calibrate(margins: DataFrame) -> Calibration:
    """Fits the calibration on labelled rows that the booster has not seen (columns margin, fraud)."""
    fitted = IsotonicRegression(featuresCol="margin", labelCol="label").fit(
        margins.select("margin", F.col("fraud").cast("double").alias("label"))
    )
    return Calibration(tuple(fitted.boundaries.toArray().tolist()), tuple(fitted.predictions.toArray().tolist()))


def reasons_of(features: pd.DataFrame, contributions: Array) -> list[list[str]]:
    """For each row what raised its score most, as text with the value: at most `REASONS`, strongest first.

    Args:
        contributions: SHAP values by feature in the order of `FEATURES` (xgboost's pred_contribs without the bias).
    """
    names = list(FEATURES)
    values = features[names].to_numpy(dtype=np.float64)
    order = np.argsort(-contributions, axis=1, kind="stable")[:, :REASONS]
    return [
        [_reason(names[i], values[row, i]) for i in chosen if contributions[row, i] > 0]
        for row, chosen in enumerate(order)
    ]


def _reason(name: str, value: float) -> str:
    return f"{FEATURES[name]}: {'unknown' if np.isnan(value) else format(value, '.4g')}"


def to_json(model: Model) -> str:
    """A model as one document, so that no part of it can be stored without the others."""
    return json.dumps(
        {
            "about": model.about,
            "features": list(FEATURES),
            "calibration": {"margins": model.calibration.margins, "shares": model.calibration.shares},
            "booster": json.loads(bytes(model.booster.save_raw("json"))),
        }
    )


def from_json(text: str) -> Model:
    """The model of a document. Raises OtherFeaturesError when it was trained on others than this code computes."""
    document = json.loads(text)
    if document["features"] != list(FEATURES):
        raise OtherFeaturesError(document["about"]["version"])
    booster = xgboost.Booster(model_file=bytearray(json.dumps(document["booster"]).encode()))
    calibration = document["calibration"]
    return Model(booster, Calibration(tuple(calibration["margins"]), tuple(calibration["shares"])), document["about"])
