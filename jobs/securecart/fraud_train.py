"""Trains a challenger on the lake's labelled transactions and lets it replace the champion if it is better.

Both are measured on the same last days, which neither the challenger nor its features saw labels of.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from securecart import lake
from securecart.errors import JobError
from securecart.fraud.features import features
from securecart.fraud.inputs import arguments, labels_of, transactions_of
from securecart.fraud.model import OtherFeaturesError, with_margins
from securecart.fraud.registry import Registry, is_better
from securecart.fraud.trace import Trace, traced
from securecart.fraud.training import Review, average_precision, train
from securecart.objects import write_text

log = logging.getLogger(__name__)


def challenge(
    rows: DataFrame, registry: Registry, last_day: date, seed: int, review: Review, workers: int = 1
) -> dict[str, Any]:
    """Trains, stores and, when it is better, promotes a model.

    A champion that reads other features than this code computes can neither score nor be compared: it is replaced.

    Args:
        rows: feature rows with labels, stored or cached.
        workers: see `training.train`.

    Returns:
        What the job reports: the model's description, and under ``champion`` the champion's average precision (None
        where nothing was compared), its version if it reads other features (else None), and whether it was replaced.
    """
    other_features = None
    try:
        champion = registry.champion()
    except OtherFeaturesError as error:
        champion, other_features = None, error.version
        log.warning("the champion %s reads other features: it is replaced without a comparison", error.version)
    model = train(rows, last_day, seed, review, workers)
    before = None
    if champion is not None:
        held = model.about["validation"]
        same = rows.where(F.col("fraud").isNotNull() & F.col("day").between(held["from"], held["to"]))
        before = average_precision(with_margins(same, champion.booster, ("fraud",)))
    after = model.about["metrics"]["average_precision"]
    promoted = is_better(after, before)
    model.about["champion"] = {"average_precision": before, "other_features": other_features, "replaced": promoted}
    registry.store(model)
    if promoted:
        registry.promote(model.about["version"])
    log.info("average precision %.4f against the champion's %s: %s", after, before, "promoted" if promoted else "kept")
    return model.about


def fraud_train(job: lake.Job, trace: Trace) -> dict[str, Any]:
    """Trains on all days of the staging transactions whose labels are known. Raises JobError without labels."""
    labels = labels_of(job)
    if labels is None:
        raise JobError(
            "there are no fraud reports to learn from: put CSV files with transaction_id,fraud,reported_at below "
            f"{job.options.labels or f's3://{job.lake.landing}/fraud-labels/'}. Until then scores come from rules."
        )
    with trace.stage("read") as notes:
        table = job.spark.table(job.lake.table(job.contracts["transactions"]))
        rows = transactions_of(job, table, labels).persist()
        notes["rows"] = rows.count()
    with trace.stage("features") as notes:
        featured = features(rows).persist()
        last = featured.where("fraud is not null").agg(F.max("day"), F.count(F.lit(1))).first()
        assert last is not None
        notes["rows"] = last[1]
    if last[0] is None:
        raise JobError("no transaction has a known label: the reports name none of the transactions in the lake")
    options = job.options
    with trace.stage("train") as notes:
        about = challenge(
            featured,
            Registry(job.lake.curated),
            min(last[0], options.last_day or last[0]),
            options.seed,
            Review(options.review_cards_a_day, options.review_cost),
            options.workers,
        )
        notes["rows"] = about["training"]["genuine"] + about["training"]["frauds"]
    featured.unpersist()
    rows.unpersist()
    return about


def positive(text: str) -> int:
    """A whole number above zero, for argparse."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is not above zero")
    return value


def main(argv: list[str]) -> None:
    """Arguments: those of `inputs.arguments`, ``--last-day`` (last day to learn from), ``--seed``, ``--workers`` (how
    many tasks train at once, at most; default 1), ``--review-cards-a-day``, ``--review-cost``."""
    parser = argparse.ArgumentParser(add_help=False, parents=[arguments()])
    parser.add_argument("--last-day", type=date.fromisoformat)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=positive, default=1)
    parser.add_argument("--review-cards-a-day", type=int, default=100)
    parser.add_argument("--review-cost", type=float, default=5.0)
    job = lake.start("fraud_train", argv, parser)
    run = job.batch_id or f"train-{job.started_at:%Y%m%dT%H%M%SZ}"
    submitted = job.options.submitted_at
    asked = datetime.fromisoformat(submitted).timestamp() if submitted else None
    file = job.lake.run_file(run, "fraud_train-trace")
    with traced("fraud_train", job.options.trace_header, file, asked, run=run) as trace:
        about = fraud_train(job, trace)
    write_text(job.lake.run_file(run, "fraud_train"), json.dumps(about, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
