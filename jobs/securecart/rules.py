"""Quality rules of a contract as sparkdq checks.

Row rules decide about single records (their ids are the reason codes of the quarantine); dataset rules describe a
whole batch and are judged by the quality gate.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sparkdq.engine import BatchDQEngine
from sparkdq.management import CheckSet

from securecart.contract import Contract


def row_checks(contract: Contract) -> list[dict[str, Any]]:
    """The contract's rules about single values, in sparkdq's declarative form."""
    checks: list[dict[str, Any]] = []
    for column in contract.columns:
        name = column.name.upper()
        for limit, inclusive in ((column.minimum, True), (column.exclusive_minimum, False)):
            if limit is not None:
                checks.append(
                    {
                        "check": "numeric-min-check",
                        "check-id": f"BELOW_MINIMUM_{name}",
                        "columns": [column.name],
                        "min-value": Decimal(limit),
                        "inclusive": inclusive,
                    }
                )
        if column.maximum is not None:
            checks.append(
                {
                    "check": "numeric-max-check",
                    "check-id": f"ABOVE_MAXIMUM_{name}",
                    "columns": [column.name],
                    "max-value": Decimal(column.maximum),
                    "inclusive": True,
                }
            )
        if column.valid_values:
            checks.append(
                {
                    "check": "is-contained-in-check",
                    "check-id": f"INVALID_VALUE_{name}",
                    "allowed-values": {column.name: list(column.valid_values)},
                }
            )
        if column.pattern is not None:
            checks.append(
                {
                    "check": "regex-match-check",
                    "check-id": f"BAD_PATTERN_{name}",
                    "column": column.name,
                    "pattern": column.pattern,
                }
            )
    return checks


def judge_rows(df: DataFrame, contract: Contract) -> DataFrame:
    """Fills ``_reason`` with the first rule that a record breaks, where it has no reason yet.

    A null breaks no rule here: whether a column may be null is `conform`'s affair.
    """
    checks = row_checks(contract)
    if not checks:
        return df
    columns = df.columns
    judged = BatchDQEngine(_check_set(checks)).run_batch(df).df
    broken = F.when(F.size("_dq_errors") > 0, F.col("_dq_errors")[0]["check-id"])
    return judged.withColumn("_reason", F.coalesce("_reason", broken)).select(*columns)


def dataset_checks(contract: Contract, references: set[str]) -> list[dict[str, Any]]:
    """Rules about a whole batch: the key is unique, references resolve.

    Args:
        contract: the table's contract.
        references: tables that can be looked up; a reference to another one is left out.
    """
    checks: list[dict[str, Any]] = [
        {
            "check": "unique-rows-check",
            "check-id": "unique_key",
            "subset-columns": list(contract.keys),
            "severity": "critical",
        }
    ]
    if contract.minimum_rows > 0:
        checks.append(
            {
                "check": "row-count-min-check",
                "check-id": "row_count",
                "min-count": contract.minimum_rows,
                "severity": "warning",
            }
        )
    for column in contract.columns:
        if column.references and column.references[0] in references:
            checks.append(
                {
                    "check": "foreign-key-check",
                    "check-id": f"reference_{column.name}",
                    "column": column.name,
                    "reference-dataset": column.references[0],
                    "reference-column": column.references[1],
                    "severity": "warning",
                }
            )
    return checks


def run_dataset_checks(
    df: DataFrame, checks: list[dict[str, Any]], references: dict[str, DataFrame]
) -> list[dict[str, Any]]:
    """Evaluates dataset rules. Returns one ``{rule, passed, severity, metrics}`` per rule."""
    if not checks:
        return []
    result = BatchDQEngine(_check_set(checks)).run_batch(df, references)
    return [
        {
            "rule": r.check_id,
            "passed": r.result.passed,
            "severity": r.severity.value,
            "metrics": {k: v for k, v in r.result.metrics.items() if isinstance(v, int | float | str)},
        }
        for r in result.aggregate_results
    ]


def _check_set(checks: list[dict[str, Any]]) -> CheckSet:
    check_set = CheckSet()
    check_set.add_checks_from_dicts(checks)
    return check_set
