"""The clean orders that the sample starts from, before any source writes them and any defect touches them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from .catalogue import Catalogue
from .rates import Rates
from .text import fit, pick_format
from .world import DAY, Region, World, day_number, ip_address

MYSQL, DYNAMODB, BOTH = "mysql", "dynamodb", "both"


class Line(NamedTuple):
    """One order line; price and discount in hundredths of the order's currency."""

    product: int
    quantity: int
    price: int
    discount: int
    state: str


class Order(NamedTuple):
    """One order in its latest state; instants in epoch seconds, shipping in hundredths of the region's currency."""

    number: int
    source: str
    customer: str
    at: int
    style: int
    region: Region
    status: str
    channel: str
    shipping: int
    ip: str | None
    updated: int
    lines: tuple[Line, ...]

    @property
    def key(self) -> str:
        """The business key, order_id."""
        return f"SC{self.number:09d}"


@dataclass(frozen=True)
class Period:
    """The days covered; `end` is the last one."""

    start: date
    end: date

    @classmethod
    def ending(cls, end: date, days: int = 90) -> "Period":
        """The `days` days up to `end`."""
        return cls(end - timedelta(days=days - 1), end)

    @property
    def first_second(self) -> int:
        """00:00 UTC of the first day."""
        return day_number(self.start) * DAY

    @property
    def last_second(self) -> int:
        """The last second of the last day, UTC."""
        return (day_number(self.end) + 1) * DAY - 1

    @property
    def days(self) -> int:
        """How many days."""
        return (self.end - self.start).days + 1


class OrderModel:
    """Draws clean orders in the order of time; only one day's instants are held at once."""

    def __init__(self, world: World, rates: Rates, catalogue: Catalogue, period: Period, rng: Random) -> None:
        self._world = world
        self._rates = rates
        self._catalogue = catalogue
        self._period = period
        self._rng = rng
        self._region = world.region_picker(rng)

    def orders(self, count: int) -> Iterator[Order]:
        """`count` orders spread over the period, more at weekends and towards its end."""
        draw = self._rng.random
        first_day, days = day_number(self._period.start), self._period.days
        weights = [(100 + day) * (125 if (first_day + day) % 7 in (2, 3) else 100) for day in range(days)]
        total, before, number = sum(weights), 0, 0
        for day, weight in enumerate(weights):
            before += weight
            today = count * before // total - number
            start = (first_day + day) * DAY
            for second in sorted(int(draw() * DAY) for _ in range(today)):
                number += 1
                yield self.draw(number, start + second, self._period.last_second)

    def draw(self, number: int, at: int, latest: int) -> Order:
        """One order placed at about `at`, last changed by `latest` at the latest."""
        draw = self._rng.random
        region = self._region()
        place = draw()
        source = MYSQL if place < 0.60 else DYNAMODB if place < 0.92 else BOTH
        at, style = fit(self._world.zones, at - at % 60 if source == BOTH else at, pick_format(draw))
        updated = min(latest, at + 60 + int(draw() * draw() * 6 * DAY))
        status = pick_status(draw(), latest - at) if source != BOTH else ("shipped", "delivered")[int(draw() * 2)]
        if source == MYSQL:
            channel_draw = draw()
            channel = "web" if channel_draw < 0.7 else "store" if channel_draw < 0.9 else "phone"
        else:
            channel = "mobile"
        lines = self._lines(region, self._rates.on(region.currency, at // DAY), status)
        shipping = 0 if status == "cancelled" or draw() < 0.3 else self._price(region, 499 + int(draw() * 1000), at)
        customer = self._catalogue.draw_customer(region.name, draw)
        return Order(
            number,
            source,
            customer,
            at,
            style,
            region,
            status,
            channel,
            shipping,
            ip_address(region, draw),
            max(updated, at),
            lines,
        )

    def _price(self, region: Region, usd_cents: int, at: int) -> int:
        return local_price(usd_cents, region.currency, self._rates.on(region.currency, at // DAY))

    def _lines(self, region: Region, rate: int, status: str) -> tuple[Line, ...]:
        draw = self._rng.random
        how_many = 1 + int(5 * draw() * draw()) + (draw() < 0.6)
        return tuple(self._line(draw, region.currency, rate, status) for _ in range(how_many))

    def _line(self, draw: Callable[[], float], currency: str, rate: int, status: str) -> Line:
        product = self._catalogue.draw_product(draw)
        quantity = 1 + int(4 * draw() * draw())
        price = local_price(self._catalogue.price(product), currency, rate)
        cut = draw()
        discount = int(quantity * price * (cut - 0.75)) if cut > 0.8 else 0
        if currency == "JPY":
            discount -= discount % 100
        fate = draw()
        if status == "returned":
            state = "returned"
        elif status == "cancelled":
            state = "cancelled" if fate < 0.5 else "sold"
        else:
            state = "cancelled" if fate < 0.02 else "returned" if fate < 0.045 and status == "delivered" else "sold"
        return Line(product, quantity, price, discount, state)


def local_price(usd_cents: int, currency: str, rate: int) -> int:
    """A price of about that many dollar cents in hundredths of the currency; yen have no fraction."""
    if currency == "USD":
        return usd_cents
    local = usd_cents * 100_000_000 // rate
    return local - local % 100 if currency == "JPY" else local


def pick_status(r: float, age: int) -> str:
    """Old orders are mostly delivered, young ones mostly on their way."""
    if age > 10 * DAY:
        ladder = ((0.84, "delivered"), (0.90, "returned"), (0.95, "cancelled"), (0.98, "shipped"))
        last = "paid"
    else:
        ladder = ((0.25, "delivered"), (0.29, "cancelled"), (0.55, "shipped"), (0.80, "paid"))
        last = "placed"
    return next((status for bound, status in ladder if r < bound), last)
