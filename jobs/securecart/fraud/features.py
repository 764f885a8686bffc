"""Features of a transaction, from nothing but what was known when it was made.

Every window is a range of seconds before the transaction. As in the handbook, a label is known `LABEL_DELAY_DAYS` days
after its transaction, to the second, and counts from then on. A label that came later than that is a target to learn
from, never part of a window, or training would see what scoring cannot.

A window's sum is the difference of two running sums, so its cost does not depend on how many rows lie in it. The sums
are of integers (cents, seconds): they are exact, and the difference does not depend on how far back the running sums
begin. So `LOOKBACK_DAYS` days of transactions give a day the same features as the whole history does.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

DAY = 86_400
#: Days until the label of a transaction is known.
LABEL_DELAY_DAYS = 7
WINDOWS = (1, 7, 30)
#: Finer windows over a terminal's unexplained frauds tell how long a compromise has been going on.
UNEXPLAINED_WINDOWS = (1, 7, 14, 21, 28)
LONGEST_WINDOW_DAYS = 30
#: Terminal windows read the habit of customers, whose window lies before theirs; one day for the days' edges.
LOOKBACK_DAYS = 2 * (LABEL_DELAY_DAYS + LONGEST_WINDOW_DAYS) + 1

#: Times the customer's usual amount from which an amount stands out.
UNUSUAL_RATIO = 2.5
#: Amounts beyond this say no more than that they are absurd, and their squares have to fit a 64-bit sum.
LARGEST_AMOUNT = 1_000_000.0

#: What the model reads, in order, and how a reviewer is told about it. How many transactions a terminal has is not
#: among them: it says nothing of fraud, and grows with the history that there is.
FEATURES: Mapping[str, str] = {
    "amount": "amount",
    "foreign_address": "address outside the customer's country",
    "night": "at night",
    "weekend": "on a weekend",
    "hour_deviation": "hours from the customer's usual time",
    **{f"customer_count_{w}d": f"customer's transactions in {w} day(s)" for w in WINDOWS},
    **{f"customer_mean_{w}d": f"customer's mean amount in {w} day(s)" for w in WINDOWS},
    "habit_mean": "customer's usual amount",
    "habit_ratio": "amount relative to the customer's usual amount",
    "habit_deviation": "standard deviations from the customer's usual amount",
    "unusual_count_1d": "customer's unusual amounts in 1 day",
    "unusual_count_7d": "customer's unusual amounts in 7 days",
    "unusual_excess_7d": "how far the customer's amounts of 7 days lie above the usual",
    "customer_frauds_14d": "customer's confirmed frauds in 14 days",
    "customer_frauds_30d": "customer's confirmed frauds in 30 days",
    "hours_since_last": "hours since the customer's last transaction",
    "customer_count_1h": "customer's transactions in the last hour",
    "days_since_terminal": "days since the customer was last at this terminal",
    **{f"terminal_risk_{w}d": f"share of confirmed frauds at the terminal in {w} day(s)" for w in WINDOWS},
    **{f"terminal_unexplained_{w}d": f"terminal's frauds of usual amount in {w} day(s)" for w in UNEXPLAINED_WINDOWS},
    "terminal_unexplained_share": "share of frauds of usual amount at the terminal in 28 days",
    "terminal_fraud_age": "mean age in days of the terminal's frauds of usual amount",
    "terminal_legit_age": "days since the terminal's last confirmed genuine transaction",
}


def amount_of(column: str = "amount") -> Column:
    """The amount within ± `LARGEST_AMOUNT`; null when it is no number."""
    value = F.col(column)
    limit = F.lit(LARGEST_AMOUNT)
    # least() would make the limit of a missing amount.
    is_number = value.isNotNull() & ~F.isnan(value)
    return F.when(is_number, F.greatest(-limit, F.least(limit, value)))


def known_label(column: str = "fraud") -> Column:
    """The label where it arrived in time to be part of a window, else null."""
    in_time = F.col("reported_at").isNull() | (
        F.unix_timestamp("reported_at") <= F.unix_timestamp("event_time") + LABEL_DELAY_DAYS * DAY
    )
    return F.when(in_time, F.col(column))


class Past:
    """Sums over what lies before each row of an entity, by seconds of age."""

    def __init__(self, *keys: str) -> None:
        self.spec: WindowSpec = Window.partitionBy(*keys).orderBy("second")

    def until(self, aggregate: Column, age: int) -> Column:
        """An aggregate over the rows at least ``age`` seconds old."""
        return aggregate.over(self.spec.rangeBetween(Window.unboundedPreceding, -age))

    def sum(self, column: str, youngest: int, oldest: int) -> Column:
        """Sum of a column of integers over ages ``youngest`` ≤ age < ``oldest``, in seconds; 0 without rows."""
        total = F.sum(column)
        return F.coalesce(self.until(total, youngest), F.lit(0)) - F.coalesce(self.until(total, oldest), F.lit(0))


def _mean(total: Column, count: Column) -> Column:
    return F.when(count > 0, total / count)


def measured(transactions: DataFrame) -> DataFrame:
    """Transactions with the integers that windows add up. Unknown customers and terminals each stand alone."""
    amount = amount_of()
    cents = F.when(amount.isNotNull(), F.round(F.greatest(F.lit(0.0), amount) * 100).cast("long"))
    label = known_label()
    alone = F.concat(F.lit("?"), "transaction_id")
    second = F.unix_timestamp("event_time")
    return transactions.select(
        "transaction_id",
        "event_time",
        "fraud",
        "foreign_address",
        F.coalesce("customer_id", alone).alias("customer_id"),
        F.coalesce("terminal_id", alone).alias("terminal_id"),
        F.to_date("event_time").alias("day"),
        second.alias("second"),
        (second % DAY).alias("second_of_day"),
        amount.alias("amount"),
        F.lit(1).cast("long").alias("one"),
        cents.alias("cents"),
        (label == 1).cast("long").alias("known_fraud"),
        (label == 0).cast("long").alias("known_legit"),
        F.when(label == 0, cents).alias("legit_cents"),
        F.when(label == 0, cents * cents).alias("legit_squares"),
    )


def with_customer(rows: DataFrame) -> DataFrame:
    """Adds the customer's activity, habit and velocity.

    The habit is the mean and standard deviation of amounts known to be genuine, 7 to 37 days old; with fewer than
    three of them the mean of all amounts of the 30 days before.
    """
    customer = Past("customer_id")
    known, known_end = LABEL_DELAY_DAYS * DAY, (LABEL_DELAY_DAYS + LONGEST_WINDOW_DAYS) * DAY
    month = LONGEST_WINDOW_DAYS * DAY
    activity = {}
    for w in WINDOWS:
        activity[f"customer_count_{w}d"] = customer.sum("one", 0, w * DAY)
        activity[f"customer_mean_{w}d"] = _mean(
            customer.sum("cents", 0, w * DAY) / 100, activity[f"customer_count_{w}d"]
        )
    rows = rows.withColumns(
        {
            **activity,
            "customer_count_1h": customer.sum("one", 1, 3600),
            "_count": customer.sum("one", 1, month),
            "_cents": customer.sum("cents", 1, month),
            "_seconds": customer.sum("second_of_day", 1, month),
            "_legit": customer.sum("known_legit", known, known_end),
            "_legit_cents": customer.sum("legit_cents", known, known_end),
            "_legit_squares": customer.sum("legit_squares", known, known_end),
            "_last": customer.until(F.max("second"), 1),
            "customer_frauds_14d": customer.sum("known_fraud", known, known + 14 * DAY),
            "customer_frauds_30d": customer.sum("known_fraud", known, known_end),
        }
    )
    legit_mean = _mean(F.col("_legit_cents"), F.col("_legit"))
    variance = _mean(F.col("_legit_squares"), F.col("_legit")) - legit_mean * legit_mean
    habit = F.when(F.col("_legit") >= 3, legit_mean).otherwise(_mean(F.col("_cents"), F.col("_count"))) / 100
    pause = F.col("second") - F.col("_last")
    rows = rows.withColumn("habit_mean", habit).withColumns(
        {
            "habit_ratio": F.when(F.col("habit_mean") > 0, F.col("amount") / F.col("habit_mean")),
            # A floor, or the few equal amounts of a new customer would make any other one infinitely far.
            "habit_deviation": (F.col("amount") - F.col("habit_mean"))
            / (F.sqrt(F.greatest(F.lit(0.0), F.coalesce(variance, F.lit(0.0)))) / 100 + 0.1 * F.col("habit_mean") + 1),
            "hour_deviation": F.abs(F.col("second_of_day") - _mean(F.col("_seconds"), F.col("_count"))) / 3600,
            "hours_since_last": F.when(pause < month, pause / 3600),
        }
    )
    return _with_unusual(rows, customer)


def _with_unusual(rows: DataFrame, customer: Past) -> DataFrame:
    """Adds how often and how far the customer's latest amounts, labelled or not, lay above the habit."""
    ratio = F.coalesce("habit_ratio", F.lit(1.0))
    excess = F.greatest(F.lit(0.0), F.least(F.lit(5.0), ratio - 1.5))
    usual = ratio < UNUSUAL_RATIO
    rows = rows.withColumns(
        {
            "unusual": (~usual).cast("long"),
            "thousandths": F.round(excess * 1000).cast("long"),
            "unexplained": F.when(usual, F.col("known_fraud")).otherwise(0),
        }
    )
    return rows.withColumns(
        {
            "unusual_count_1d": customer.sum("unusual", 1, DAY),
            "unusual_count_7d": customer.sum("unusual", 1, LABEL_DELAY_DAYS * DAY),
            "unusual_excess_7d": customer.sum("thousandths", 1, LABEL_DELAY_DAYS * DAY) / 1000,
        }
    )


def with_terminal(rows: DataFrame) -> DataFrame:
    """Adds what is known of the terminal: confirmed transactions and frauds, and those that the amount does not
    explain."""
    month = LONGEST_WINDOW_DAYS * DAY
    known = LABEL_DELAY_DAYS * DAY
    pair = Past("customer_id", "terminal_id")
    rows = rows.withColumn("_there", pair.until(F.max("second"), 1)).withColumn(
        "days_since_terminal",
        F.when(F.col("second") - F.col("_there") < month, (F.col("second") - F.col("_there")) / DAY),
    )
    terminal = Past("terminal_id")
    rows = rows.withColumns(
        {
            "labelled": F.col("known_fraud") + F.col("known_legit"),
            "fraud_second": F.when(F.col("unexplained") == 1, F.col("second")).otherwise(0),
            "legit_second": F.when(F.col("known_legit") == 1, F.col("second")),
        }
    )
    windows = {}
    for w in WINDOWS:
        windows[f"_labelled_{w}"] = terminal.sum("labelled", known, known + w * DAY)
        windows[f"_frauds_{w}"] = terminal.sum("known_fraud", known, known + w * DAY)
    for w in UNEXPLAINED_WINDOWS:
        windows[f"terminal_unexplained_{w}d"] = terminal.sum("unexplained", known, known + w * DAY)
    rows = rows.withColumns(
        {
            **windows,
            "_legit_28": terminal.sum("known_legit", known, known + 28 * DAY),
            "_fraud_seconds": terminal.sum("fraud_second", known, known + 28 * DAY),
            "_legit_second": terminal.until(F.max("legit_second"), known),
        }
    )
    frauds = F.col("terminal_unexplained_28d")
    legit_age = F.col("second") - F.col("_legit_second")
    return rows.withColumns(
        {
            **{
                f"terminal_risk_{w}d": F.coalesce(_mean(F.col(f"_frauds_{w}"), F.col(f"_labelled_{w}")), F.lit(0.0))
                for w in WINDOWS
            },
            "terminal_unexplained_share": F.coalesce(_mean(frauds, frauds + F.col("_legit_28")), F.lit(0.0)),
            "terminal_fraud_age": (F.col("second") - _mean(F.col("_fraud_seconds"), frauds)) / DAY,
            "terminal_legit_age": F.when(legit_age < known + month, legit_age / DAY),
        }
    )


def features(transactions: DataFrame) -> DataFrame:
    """Features of transactions that are distinct by id.

    Args:
        transactions: of `transactions.SCHEMA`. For right features of a day the `LOOKBACK_DAYS` days before it are
            among them, as far as there were any.

    Returns:
        transaction_id, event_time, day, customer_id, terminal_id, fraud, and `FEATURES` as doubles (null where
        there is nothing to go by, as for a customer's first transaction).
    """
    rows = measured(transactions).withColumns(
        {
            "night": (F.hour("event_time") <= 6).cast("int"),
            "weekend": (F.dayofweek("event_time").isin(1, 7)).cast("int"),
        }
    )
    rows = with_terminal(with_customer(rows))
    return rows.select(
        "transaction_id",
        "event_time",
        "day",
        "customer_id",
        "terminal_id",
        "fraud",
        *[F.col(name).cast("double").alias(name) for name in FEATURES],
    )
