"""Exchange rates to US dollars: one row for each currency and month, and one revision in mid-month."""

from bisect import bisect_right
from datetime import date, timedelta
from random import Random

from .world import World, day_number, day_text

SCALE = 100_000_000
BASE = {"USD": SCALE, "EUR": 108_250_000, "JPY": 662_500, "BRL": 18_437_500}
HEADER = "currency,valid_from,rate_to_usd"


class Rates:
    """Rates in hundred-millionths of a dollar; the latest row not after a day applies on that day."""

    def __init__(self, world: World, rng: Random, start: date, end: date) -> None:
        missing = sorted(set(world.currencies) - set(BASE))
        if missing:
            raise SystemExit(f"sample: the currency {missing[0]} has no base rate in {__file__}; add one there")
        first = (start - timedelta(days=40)).replace(day=1)
        last = end + timedelta(days=31)
        self._days: dict[str, list[int]] = {}
        self._rates: dict[str, list[int]] = {}
        for currency in world.currencies:
            days = [day_number(month) for month in months(first, last)]
            if currency == "BRL":
                days = sorted({*days, day_number(end - timedelta(days=end.day % 7 + 37))})
            self._days[currency] = days
            self._rates[currency] = [
                SCALE if currency == "USD" else BASE[currency] * (9_800 + rng.randrange(400)) // 10_000 for _ in days
            ]

    def on(self, currency: str, day: int) -> int:
        """The rate of a local day (days since 1970-01-01)."""
        return self._rates[currency][bisect_right(self._days[currency], day) - 1]

    def rows(self) -> list[tuple[str, str, str]]:
        """currency, valid_from, rate_to_usd, as the clean table holds them."""
        return [
            (currency, day_text(day), f"{rate // SCALE}.{rate % SCALE:08d}")
            for currency, days in self._days.items()
            for day, rate in zip(days, self._rates[currency], strict=True)
        ]


def months(first: date, last: date) -> list[date]:
    """First days of the months from `first` to `last`."""
    found = []
    while first <= last:
        found.append(first)
        first = (first + timedelta(days=32)).replace(day=1)
    return found


def rate_lines(world: World, rates: Rates) -> list[str]:
    """The file's lines: some currencies under an alias, and the second row twice (an exact copy)."""
    lines = [HEADER]
    for number, (currency, day, rate) in enumerate(rates.rows()):
        spelling = world.currencies[currency][-1] if number % 5 == 4 else currency
        lines.append(f"{spelling},{day},{rate}")
    return [*lines, lines[2]]
