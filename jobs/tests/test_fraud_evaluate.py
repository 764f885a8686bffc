"""The handbook's protocol and measures on examples counted by hand."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from securecart.errors import JobError
from securecart.fraud.evaluate import Split, check_days, left_to_test, main, splits
from securecart.fraud.metrics import card_precision, measure
from securecart.fraud.model import SETTINGS


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


HEADER = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"
FIRST = date(2018, 4, 1)


def write_days(
    folder: Path, label: Callable[[date, bool], object] = lambda _, fraud: int(fraud), count: int = 21
) -> Path:
    """``count`` days in a file a day, all but 10 April, every second one plain; frauds are of ten times the amount.

    Args:
        label: TX_FRAUD by day and whether the amount is a fraud's.
    """
    folder.mkdir()
    dice = random.Random(1)
    for number in range(count):
        day = FIRST + timedelta(days=number)
        lines = [HEADER]
        for customer in range(40):
            fraud = dice.random() < 0.1
            amount = round(dice.uniform(8, 12) * (10 if fraud else 1), 2)
            row = [f"{number}-{customer}", f"{day} {dice.randrange(24):02}:00:00", customer, dice.randrange(9), amount]
            lines.append(",".join(str(value) for value in [*row, label(day, fraud)]))
        text = "\n".join([*lines, ""]).encode()
        if day != date(2018, 4, 10):
            plain = number % 2 == 0
            (folder / f"{day}.csv{'' if plain else '.gz'}").write_bytes(text if plain else gzip.compress(text))
    (folder / "README.md").write_text("not a file of transactions")
    return folder


def test_a_folder_of_plain_and_packed_files_without_one_day_is_measured(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETTINGS, "n_estimators", 20)
    days = str(write_days(tmp_path / "days", count=23))
    main(["--input", days, "--from", "2018-04-15", "--to", "2018-04-23"], spark)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "note: weeks are tested whole, so the last 2 days up to 2018-04-23 are not"
    assert lines[1] == "note: 1 days between 2018-04-01 and 2018-04-23 have no transactions"
    titles = [line for line in lines if line.startswith("trained on")]
    assert titles == [
        f"trained on {history}, {what}"
        for history in ("7 days", "everything before")
        for what in ("test week from 2018-04-15", "mean of the test weeks")
    ]
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| ") and "0." in line]
    names = ["logistic regression", "random forest", "XGBoost", "ours"]
    assert [row[0].strip() for row in rows] == 2 * [*names, *names, "lead over the best"]
    # An amount of ten times the usual one is easily found, and each fraud's card is among the first hundred.
    assert all(float(row[1]) > 0.9 for row in rows if row[0].strip() in names)


def test_what_cannot_be_measured_is_said(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(folder: Path, *more: str) -> str:
        with pytest.raises(JobError) as caught:
            main(["--input", str(folder), *more], spark)
        return str(caught.value)

    assert fails(tmp_path / "nowhere") == f"--input {tmp_path / 'nowhere'}: there is no such folder"
    (tmp_path / "empty").mkdir()
    assert "no CSV files can be read from" in fails(tmp_path / "empty")
    days = write_days(tmp_path / "days")
    asked = "test weeks can lie between 2018-04-15 and 2018-04-21 and need 7 days; asked for were"
    assert f"{asked} 2018-04-14 to 2018-04-21" in fails(days, "--from", "2018-04-14")
    assert f"{asked} 2018-04-16 to 2018-04-21" in fails(days, "--from", "2018-04-16", "--to", "2018-04-21")
    with pytest.raises(SystemExit):
        main(["--input", str(days), "--from", "May"], spark)
    assert "argument --from: 'May' is no day such as 2018-05-13" in capsys.readouterr().err
    late = write_days(tmp_path / "late", lambda day, fraud: int(fraud and day >= date(2018, 4, 8)))
    assert "the training days 2018-04-01 to 2018-04-07 hold 280 transactions and 0 frauds; both" in fails(late)
    early = write_days(tmp_path / "early", lambda day, fraud: int(fraud and day < date(2018, 4, 8)))
    assert "the test week from 2018-04-15 holds 0 frauds among" in fails(early)
    unknown = write_days(tmp_path / "unknown", lambda day, fraud: int(fraud) if day != FIRST else "")
    assert "40 rows of" in fails(unknown)
    assert "have no TX_FRAUD of 0 or 1, without which nothing can be measured" in fails(unknown)
