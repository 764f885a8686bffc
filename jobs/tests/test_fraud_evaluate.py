"""The handbook's protocol and measures on examples counted by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest
from securecart.errors import JobError
from securecart.fraud.evaluate import Split, check_days, left_to_test, splits
from securecart.fraud.metrics import card_precision, measure


def test_card_precision_counts_a_card_once_and_by_k() -> None:
    frame = pd.DataFrame(
        [(1, "a", 1, 0.9), (1, "a", 0, 0.1), (1, "b", 0, 0.8), (1, "c", 1, 0.2), (2, "a", 1, 0.9), (2, "c", 1, 0.8)],
        columns=["day", "customer_id", "fraud", "score"],
    )
    assert card_precision(frame, k=2) == (0.5 + 0.5) / 2
    assert measure(frame).auc == pytest.approx(6.5 / 8)  # of eight pairs six in order and one tied


def test_known_compromised_cards_are_not_tested_and_weeks_leave_the_delay() -> None:
    weeks = list(splits(date(2018, 4, 1), date(2018, 5, 13), date(2018, 5, 27), 7))
    assert weeks == [
        Split(date(2018, 4, 29), date(2018, 5, 6), date(2018, 5, 13), date(2018, 5, 20)),
        Split(date(2018, 5, 6), date(2018, 5, 13), date(2018, 5, 20), date(2018, 5, 27)),
    ]
    assert next(splits(date(2018, 4, 1), date(2018, 5, 13), date(2018, 5, 27), None)).train == date(2018, 4, 1)
    frauds = {"trained": date(2018, 5, 1), "late": date(2018, 5, 6), "unknown": date(2018, 5, 12)}
    rows = [(day, card, 1) for card, day in frauds.items()]
    rows += [(date(2018, 5, 13) + timedelta(days=n), card, 0) for n in range(7) for card in (*frauds, "clean")]
    left = left_to_test(pd.DataFrame(rows, columns=["day", "customer_id", "fraud"]), weeks[0])
    days = {card: sorted(d.day for d in of["day"]) for card, of in left.groupby("customer_id")}
    # "late" defrauded on 6 May is known from 14 May on, eight days later; 12 May would be known on the 20th.
    assert days == {"clean": [13, 14, 15, 16, 17, 18, 19], "late": [13], "unknown": [13, 14, 15, 16, 17, 18, 19]}
    with pytest.raises(JobError, match="test weeks can lie between 2018-04-15 and 2018-06-09"):
        check_days(date(2018, 4, 1), date(2018, 6, 9), date(2018, 4, 8), None, 70)
    assert check_days(date(2018, 4, 1), date(2018, 6, 9), None, None, 70) == (date(2018, 5, 13), date(2018, 6, 9))
