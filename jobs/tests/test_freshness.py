"""How old the newest record of a dataset may be, by its contract's latency."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from securecart.contract import Bundle, Contract, Latency, parse_contract
from securecart.errors import ContractError
from securecart.quality import freshness

PLANNED = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def hourly(contracts: Bundle) -> Contract:
    return replace(contracts["transactions"], latency=Latency(timedelta(hours=1), regulatory=False))


@pytest.mark.parametrize(
    ("newest", "passed", "age"),
    [
        (datetime(2026, 3, 10, 11, 30), True, 0.5),
        (datetime(2026, 3, 10, 11), True, 1.0),
        (datetime(2026, 3, 10, 10, 59, 59), False, 1.0),
        (datetime(2026, 3, 10, 13), True, -1.0),  # a source whose clock is ahead
    ],
)
def test_age_is_measured_at_the_time_of_the_plan(hourly: Contract, newest: datetime, passed: bool, age: float) -> None:
    assert freshness(hourly, newest, PLANNED) == {
        "dataset": "transactions",
        "rule": "freshness",
        "passed": passed,
        "severity": "warning",
        "metrics": {"newest": newest.isoformat(), "age_hours": age, "promised_hours": 1.0},
    }


def test_a_regulatory_promise_stops_the_run(hourly: Contract) -> None:
    strict = replace(hourly, latency=Latency(timedelta(hours=1), regulatory=True))
    result = freshness(strict, datetime(2026, 3, 1), PLANNED)
    assert result is not None
    assert (result["passed"], result["severity"]) == (False, "critical")


def test_without_a_promise_or_a_record_nothing_is_judged(hourly: Contract) -> None:
    assert freshness(replace(hourly, latency=None), datetime(2026, 3, 1), PLANNED) is None
    assert freshness(hourly, None, PLANNED) is None


def test_latency_is_read_from_the_contract(contracts: Bundle) -> None:
    assert contracts["transactions"].latency == Latency(timedelta(days=1), regulatory=False)
    assert contracts["customers"].latency is None


@pytest.mark.parametrize(
    "promise", [{"value": 1, "unit": "moon"}, {"value": "soon", "unit": "d"}, {"value": 0, "unit": "h"}]
)
def test_a_latency_that_says_nothing_is_refused(promise: dict[str, object]) -> None:
    document = {"name": "x", "schema": [{"properties": []}], "slaProperties": [{"property": "latency", **promise}]}
    with pytest.raises(ContractError, match="latency"):
        parse_contract(document)
