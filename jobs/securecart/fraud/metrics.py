"""The three measures of the Fraud Detection Handbook (chapter 4, performance metrics)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score


@dataclass(frozen=True)
class Scores:
    """``auc`` area under the ROC curve, ``ap`` average precision, ``cp100`` card precision@100; each 0 to 1."""

    auc: float
    ap: float
    cp100: float


def card_precision(frame: pd.DataFrame, k: int = 100) -> float:
    """Mean over the days of the share of frauds among the ``k`` cards with the highest scores.

    A card's score and label are the highest of its transactions that day. A card once detected does not come back on
    later days. A day with fewer than ``k`` cards still counts by ``k``.

    Args:
        frame: columns day, customer_id, fraud, score.
    """
    detected: set[str] = set()
    shares = []
    for _, day in frame.groupby("day"):
        cards = day[~day["customer_id"].isin(detected)].groupby("customer_id")[["score", "fraud"]].max()
        top = cards.sort_values("score", ascending=False, kind="stable").head(k)
        found = top.index[top["fraud"] == 1]
        detected.update(found)
        shares.append(len(found) / k)
    return float(np.mean(shares))


def measure(frame: pd.DataFrame) -> Scores:
    """The three measures of scored, labelled transactions (columns as in `card_precision`)."""
    fraud, score = frame["fraud"].to_numpy(), frame["score"].to_numpy()
    return Scores(
        float(roc_auc_score(fraud, score)), float(average_precision_score(fraud, score)), card_precision(frame)
    )
