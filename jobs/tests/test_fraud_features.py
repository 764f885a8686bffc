"""Features look at nothing that was not known, and a window of days gives what the whole history gives."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from securecart.errors import JobError
from securecart.fraud.features import FEATURES, LOOKBACK_DAYS, features
from securecart.fraud.transactions import SCHEMA, distinct_transactions, on_days, read_handbook

START = datetime(2018, 1, 1)


def transaction(number: int, days: float, customer: str = "c1", terminal: str = "t1", **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"transaction_id": str(number), "event_time": START + timedelta(days=days)}
    return row | {"customer_id": customer, "terminal_id": terminal, "amount": 10.0, "fraud": 0} | more


def frame(spark: SparkSession, rows: Iterable[dict[str, Any]]) -> DataFrame:
    return spark.createDataFrame([tuple(row[name] for name in SCHEMA.names) for row in rows], SCHEMA)


def by_id(spark: SparkSession, rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["transaction_id"]: row.asDict() for row in features(frame(spark, rows)).collect()}


def test_activity_habit_and_velocity_of_a_customer(spark: SparkSession) -> None:
    days = [0.5, 1.5, 2.5, 20.0, 20.0 + 1800 / 86400]
    rows = [transaction(n, day, amount=10.0 + 2 * n) for n, day in enumerate(days)]
    last = by_id(spark, rows)["4"]
    assert last["customer_count_1d"] == 2
    assert last["customer_mean_1d"] == 17
    assert last["customer_count_7d"] == 2
    assert last["customer_count_30d"] == 5
    assert last["customer_count_1h"] == 1
    assert last["hours_since_last"] == 0.5
    assert last["habit_mean"] == 12  # the three known to be genuine, not the one half an hour ago
    assert last["habit_ratio"] == 18 / 12
    assert last["hour_deviation"] == pytest.approx(8.5)  # 00:30 against the mean of three noons and a midnight: 9:00
    first = by_id(spark, rows)["0"]
    assert first["habit_mean"] is None
    assert first["hours_since_last"] is None


def test_a_terminal_s_risk_counts_frauds_from_the_seventh_day_on(spark: SparkSession) -> None:
    history = [transaction(n, 10 + n / 10, f"h{n}", "t1", fraud=int(n < 3)) for n in range(4)]
    asked = [transaction(100 + n, day, f"n{n}", "t1") for n, day in enumerate([16.9, 17.05, 17.5, 48])]
    found = by_id(spark, history + asked)
    assert [found[str(100 + n)]["terminal_risk_30d"] for n in range(4)] == [0, 1, 0.75, 0]
    assert found["102"]["terminal_unexplained_7d"] == 3
    assert found["102"]["terminal_legit_age"] == pytest.approx(7.2)


def test_an_unusual_amount_is_not_held_against_the_terminal(spark: SparkSession) -> None:
    habit = [transaction(n, n, "c1", "elsewhere") for n in range(20)]
    fraud = [transaction(50, 19.5, "c1", "t1", amount=80.0, fraud=1), transaction(51, 28, "c2", "t1")]
    found = by_id(spark, habit + fraud)
    assert found["51"]["terminal_risk_30d"] == 1
    assert found["51"]["terminal_unexplained_28d"] == 0


def test_late_labels_never_become_part_of_a_window(spark: SparkSession) -> None:
    late = transaction(1, 1, "c1", "t1", fraud=1, reported_at=START + timedelta(days=9))
    in_time = transaction(2, 1, "c1", "t2", fraud=1, reported_at=START + timedelta(days=8))
    found = by_id(spark, [late, in_time, transaction(3, 12, "c3", "t1"), transaction(4, 12, "c4", "t2")])
    assert found["3"]["terminal_risk_30d"] == 0
    assert found["4"]["terminal_risk_30d"] == 1
    assert found["1"]["fraud"] == 1  # still there to learn from


def test_odd_amounts_and_unknown_parties_are_scored(spark: SparkSession) -> None:
    amounts = [0.0, -5.0, 1e300, float("nan"), float("inf"), None]
    rows = [transaction(n, n / 100, customer=None, terminal=None, amount=a) for n, a in enumerate(amounts)]  # type: ignore[arg-type]
    found = by_id(spark, rows)
    assert [found[str(n)]["amount"] for n in range(6)] == [0, -5, 1e6, None, 1e6, None]
    # Unknown customers and terminals are not one customer, one terminal.
    assert {row["customer_count_30d"] for row in found.values()} == {1}
    assert {row["days_since_terminal"] for row in found.values()} == {None}


def test_of_a_repeated_transaction_the_earliest_stays(spark: SparkSession) -> None:
    rows = [transaction(1, 2), transaction(1, 1, amount=7.0), transaction(1, 1, amount=8.0), transaction(2, 1)]
    kept = {row["transaction_id"]: row["amount"] for row in distinct_transactions(frame(spark, rows)).collect()}
    assert kept == {"1": 7.0, "2": 10.0}


def test_files_that_are_not_transactions_are_named(spark: SparkSession, tmp_path: Any) -> None:
    (tmp_path / "a.csv").write_text("TRANSACTION_ID,TX_DATETIME\n1,2018-04-01 00:00:00\n")
    with pytest.raises(JobError, match="lack the columns CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, TX_FRAUD"):
        read_handbook(spark, tmp_path.as_uri())
    header = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD\n"
    (tmp_path / "a.csv").write_text(header + "1,yesterday,1,1,1.0,0\n")
    with pytest.raises(JobError, match=r"1 rows of .* no readable TX_DATETIME"):
        read_handbook(spark, tmp_path.as_uri())


LAST_DAY = 160
WORLDS = 20
AMOUNTS = (0.01, 3.33, 10.0, 12.5, 90.0, 1e9)


def worlds(seed: int) -> list[dict[str, Any]]:
    """Random histories that share no customer and no terminal, so that one computation tries them all.

    Frauds, genuine and unlabelled transactions at whole hours up to the end of day `LAST_DAY`, on which each history
    has two more.
    """
    dice = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for world in range(WORLDS):
        hours = [dice.randrange((LAST_DAY + 1) * 24) for _ in range(dice.randrange(40, 120))]
        # Dense enough at the end for a fraud in a terminal's last window to be judged by a habit from before it.
        hours += [dice.randrange((LAST_DAY - 80) * 24, LAST_DAY * 24) for _ in range(150)]
        hours += [LAST_DAY * 24 + dice.randrange(24) for _ in range(2)]
        for hour in hours:
            customer, terminal = f"{world}-{dice.choice('abc')}", f"{world}-{dice.choice('xy')}"
            known = {"amount": dice.choice(AMOUNTS), "fraud": dice.choice((0, 0, 0, 1, None))}
            rows.append(transaction(len(rows), hour / 24, customer, terminal, **known))
    return rows


def test_a_day_from_the_look_back_days_equals_the_day_from_the_whole_history(spark: SparkSession) -> None:
    # And a customer, and a terminal, that were last seen before the days that are looked back on.
    rows = [*worlds(1), *[transaction(10**6 + day, day, "old", "old") for day in (20, LAST_DAY)]]
    day = (START + timedelta(days=LAST_DAY)).date()
    full = {number: row for number, row in by_id(spark, rows).items() if row["day"] == day}
    window = on_days(frame(spark, rows), str(day - timedelta(days=LOOKBACK_DAYS)), str(day))
    found = {row["transaction_id"]: row.asDict() for row in features(window).collect() if row["day"] == day}
    assert len(full) >= 2 * WORLDS + 1
    assert found == full


def test_what_happens_or_is_labelled_later_changes_nothing(spark: SparkSession) -> None:
    """At the moment of a transaction, later ones and the labels of the last seven days are unknown."""
    dice = random.Random(2)
    days = {str(world): dice.randrange(20, LAST_DAY) for world in range(WORLDS)}
    asked = [transaction(10**6 + n, day, f"{world}-a", f"{world}-x") for n, (world, day) in enumerate(days.items())]
    nows = {world: START + timedelta(days=day) for world, day in days.items()}
    everything, known = list(asked), list(asked)
    # At the edges: a second and half an hour later, and labels that lack a second to be known.
    edges = (timedelta(seconds=1), timedelta(minutes=30), timedelta(days=-7, seconds=1))
    odd: tuple[dict[str, Any], ...] = ({"amount": 90.0}, {"fraud": 1})
    near = [
        row
        | {"transaction_id": f"{row['transaction_id']} {edge} {fraud}", "event_time": row["event_time"] + edge, **more}
        for row in asked
        for edge in edges
        for fraud, more in enumerate(odd)
    ]
    for row in [*worlds(3), *near]:
        now = nows[row["customer_id"].split("-")[0]]
        if row["event_time"] == now:
            continue
        everything.append(row)
        if row["event_time"] < now:
            late = row["event_time"] > now - timedelta(days=7)
            known.append(row | {"fraud": None} if late else row)
    full, limited = by_id(spark, everything), by_id(spark, known)
    for row in asked:
        number = row["transaction_id"]
        assert {name: full[number][name] for name in FEATURES} == {name: limited[number][name] for name in FEATURES}
