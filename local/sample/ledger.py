"""Works out, from the clean model alone, what the business tables must say."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from .counts import Json
from .model import Line, Order
from .rates import Rates
from .text import money
from .world import UNCATEGORISED, World


@dataclass
class Revenue:
    """One region and category over all days; amounts in ten-thousandths of a US dollar."""

    gross: int = 0
    discount: int = 0
    returned: int = 0
    orders: int = 0
    units: int = 0
    customer_days: int = 0


def usd(units: int) -> str:
    """Four decimals from ten-thousandths."""
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // 10_000}.{abs(units) % 10_000:04d}"


class Ledger:
    """The expected orders, order_history and category_revenue, built order by order in constant memory."""

    def __init__(self, world: World, rates: Rates, categories: list[str | None]) -> None:
        self._zones = world.zones
        self._rates = rates
        self._categories = categories
        self._revenue: defaultdict[tuple[str, str], Revenue] = defaultdict(Revenue)
        self._groups: set[tuple[int, str, str]] = set()
        self._buyers: dict[int, set[tuple[str, str, str]]] = {}
        self._by_region: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._by_segment: Counter[str] = Counter()
        self._amounts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.orders = 0
        self.lines = 0
        self.orphan_lines = 0
        self.orphan_payments = 0

    def orphans(self, lines: int, payments: int) -> None:
        """Good lines and payments whose order is not in the orders table: loaded, but in no business figure."""
        self.lines += lines
        self.orphan_lines += lines
        self.orphan_payments += payments

    def add(self, order: Order, lines: list[Line], captured: int, segment: str | None) -> None:
        """An order of the final orders table with its good lines and its captured less refunded amount (hundredths)."""
        self.orders += 1
        self.lines += len(lines)
        self._by_region[order.region.name] += 1
        self._by_status[order.status] += 1
        self._by_segment[segment or "unknown"] += 1
        amounts = self._amounts[order.region.currency]
        amounts["captured"] += captured
        amounts["shipping"] += order.shipping
        if order.status == "cancelled":
            return
        day = self._zones.local_day(order.region.time_zone, order.at)
        rate = self._rates.on(order.region.currency, day)
        seen: set[str] = set()
        for line in lines:
            if line.state == "cancelled":
                continue
            gross = line.quantity * line.price
            amounts["gross"] += gross
            amounts["discount"] += line.discount
            category = self._categories[line.product] or UNCATEGORISED
            cell = self._revenue[order.region.name, category]
            gross_usd, discount_usd = convert(gross, rate), convert(line.discount, rate)
            cell.gross += gross_usd
            cell.discount += discount_usd
            cell.units += line.quantity
            if line.state == "returned":
                amounts["returned"] += gross - line.discount
                cell.returned += gross_usd - discount_usd
            seen.add(category)
        buyers = self._buyers_of(day)
        for category in seen:
            cell = self._revenue[order.region.name, category]
            cell.orders += 1
            self._groups.add((day, order.region.name, category))
            buyer = (order.region.name, category, order.customer)
            if buyer not in buyers:
                buyers.add(buyer)
                cell.customer_days += 1

    def _buyers_of(self, day: int) -> set[tuple[str, str, str]]:
        """Orders come in the order of time, so days long past can be forgotten."""
        if day not in self._buyers:
            self._buyers[day] = set()
            for old in [known for known in self._buyers if known < day - 3]:
                del self._buyers[old]
        return self._buyers[day]

    def document(self) -> dict[str, Json]:
        """The business part of truth.json."""
        cells = sorted(self._revenue.items())
        total = Revenue()
        for _, cell in cells:
            for name in vars(total):
                setattr(total, name, getattr(total, name) + getattr(cell, name))
        return {
            "category_revenue": {
                "rows": len(self._groups),
                "total": revenue_document(total, with_orders=False),
                "by_region_category": [
                    {"region": region, "category": category, **revenue_document(cell)}
                    for (region, category), cell in cells
                ],
            },
            "order_history": {
                "rows": self.orders,
                "by_region": dict(sorted(self._by_region.items())),
                "by_status": dict(sorted(self._by_status.items())),
                "by_customer_segment": dict(sorted(self._by_segment.items())),
                "amounts": {currency: history_amounts(sums) for currency, sums in sorted(self._amounts.items())},
            },
            "orphans": {"order_items": self.orphan_lines, "transactions": self.orphan_payments},
        }


def convert(minor: int, rate: int) -> int:
    """Hundredths times a rate in hundred-millionths, HALF_UP to ten-thousandths; amounts are never negative here."""
    return (minor * rate + 500_000) // 1_000_000


def revenue_document(cell: Revenue, with_orders: bool = True) -> dict[str, Json]:
    """Names as in contracts/category_revenue.yaml; net is gross less discount less returned, to the last digit."""
    document: dict[str, Json] = {
        "gross_amount_usd": usd(cell.gross),
        "discount_amount_usd": usd(cell.discount),
        "returned_amount_usd": usd(cell.returned),
        "net_amount_usd": usd(cell.gross - cell.discount - cell.returned),
        "units": cell.units,
    }
    if with_orders:
        document |= {"orders": cell.orders, "customer_days": cell.customer_days}
    return document


def history_amounts(sums: Counter[str]) -> dict[str, Json]:
    """Names as in contracts/order_history.yaml, in the currency's own units."""
    net = sums["gross"] - sums["discount"] - sums["returned"]
    return {
        "gross_amount": money(sums["gross"]),
        "discount_amount": money(sums["discount"]),
        "returned_amount": money(sums["returned"]),
        "net_amount": money(net),
        "shipping_amount": money(sums["shipping"]),
        "captured_amount": money(sums["captured"]),
    }
