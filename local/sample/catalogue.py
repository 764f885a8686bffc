"""Customers, products and inventory: the MySQL tables that orders refer to, with their defects."""

from collections.abc import Callable, Iterator
from random import Random

from .counts import Schedule, Tally
from .text import money, utc
from .world import CATEGORIES, DAY, SEGMENTS, Region, World, day_text

Row = tuple[str | None, ...]

CUSTOMER_COLUMNS = (
    "customer_no",
    "customer_id",
    "full_name",
    "email",
    "birth_date",
    "country",
    "segment",
    "preferred_category",
    "preferred_channel",
    "marketing_consent",
    "updated_at",
)
PRODUCT_COLUMNS = ("product_no", "product_id", "product_name", "category", "list_price_usd", "updated_at")
INVENTORY_COLUMNS = ("stock_no", "warehouse_id", "product_id", "on_hand", "reserved", "reorder_level", "counted_at")

GIVEN = ("Åsa", "José", "Maria", "Kenji", "Olivia", "João", "Liam", "Noah", "Ingrid", "Søren", "Lucía", "Chloé", "Yuki")
FAMILY = ("Lindqvist", "García", "Silva", "Tanaka", "O'Neill", "Souza", "Miller", "Virtanen", "Hansen", "佐藤", "Núñez")
ADJECTIVES = ("Classic", "Compact", "Eco", "Premium", "Smart", "Travel", "Ultra")
NOUNS = {
    "Electronics": ("Headphones", "Tablet", "Speaker", 'Monitor 24"'),
    "Home": ("Lamp", "Kettle", "Curtain", "Pan, 28 cm"),
    "Fashion": ("Jacket", "Sneakers", "Scarf", "Jeans"),
    "Beauty": ("Serum", "Shampoo", "Crème", "Perfume"),
    "Sports": ("Racket", "Yoga Mat", "Dumbbell", "Tent"),
    "Toys": ("Puzzle", "Robot", "Doll", "Blocks"),
    "Grocery": ("Coffee", "Olive Oil", "Jalapeño", "Tea"),
    "Books": ("Novel", "Atlas", "Cookbook", "Biography"),
}
PRICE_CENTS = dict(zip(CATEGORIES, (18900, 5400, 6200, 2600, 4800, 2900, 1100, 1900), strict=True))
WAREHOUSES = ("WH-EWR", "WH-LAX", "WH-ARN", "WH-MAD", "WH-NRT")

CUSTOMER_DEFECTS = ("MISSING_CUSTOMER_ID", "INVALID_VALUE_SEGMENT", "MISSING_SEGMENT", "MISSING_MARKETING_CONSENT")
PRODUCT_DEFECTS = ("MISSING_PRODUCT_ID", "MISSING_PRODUCT_NAME", "BELOW_MINIMUM_LIST_PRICE_USD")
INVENTORY_DEFECTS = ("BELOW_MINIMUM_RESERVED", "MISSING_ON_HAND", "BELOW_MINIMUM_ON_HAND")
UNSOLD = 2


def product_id(number: int) -> str:
    """Business key of a product."""
    return f"P{number:06d}"


def customer_id(number: int) -> str:
    """Business key of a customer."""
    return f"C{number:08d}"


def segment_of(number: int) -> str:
    """A customer's segment follows from the number, so that nobody has to remember 250,000 of them."""
    mark = number * 7919 % 10
    return SEGMENTS[0 if mark < 6 else 1 if mark < 9 else 2]


class Catalogue:
    """Sizes, prices and categories in memory; rows are drawn as they are written."""

    def __init__(self, world: World, rng: Random, scale: float, last_second: int) -> None:
        self._rng = rng
        self._last = last_second
        self.customers = max(100, round(50 * scale) * 100)
        self.sold = max(80, round(400 * scale))
        self.unsold = range(self.sold + 1, self.sold + 1 + UNSOLD)
        self.categories: list[str | None] = [None, *map(self.category, range(1, self.sold + 1 + UNSOLD))]
        self._prices = [0, *map(self._draw_price, range(1, self.sold + 1 + UNSOLD))]
        self._slots: dict[str, list[int]] = {}
        self._regions: list[Region] = [region for region in world.regions for _ in range(region.profile.share)]
        for slot, region in enumerate(self._regions):
            self._slots.setdefault(region.name, []).append(slot)
        self.unknown_customers: set[str] = set()

    def category(self, number: int) -> str | None:
        """None for the one product in forty that has no category."""
        return None if number % 40 == 17 else CATEGORIES[number % len(CATEGORIES)]

    def _draw_price(self, number: int) -> int:
        base = PRICE_CENTS[CATEGORIES[number % len(CATEGORIES)]]
        return base * (40 + self._rng.randrange(160)) // 100

    def price(self, number: int) -> int:
        """List price in dollar cents."""
        return self._prices[number]

    def draw_product(self, draw: Callable[[], float]) -> int:
        """Number of a sold product; low numbers sell best."""
        return 1 + int(self.sold * draw() ** 1.5)

    def draw_customer(self, region: str, draw: Callable[[], float]) -> str:
        """A customer of the region; one in two hundred is a guest who is not in the customers table."""
        if draw() < 0.005:
            return customer_id(90_000_000 + int(draw() * 1_000_000))
        slots, size = self._slots[region], len(self._regions)
        block = int(draw() * (self.customers // size))
        return customer_id(1 + block * size + slots[int(draw() * len(slots))])

    def segment(self, customer: str) -> str | None:
        """None for a customer who is not in the clean customers table."""
        number = int(customer[1:])
        return None if number >= 90_000_000 or customer in self.unknown_customers else segment_of(number)

    def customer_row(self, number: int, updated: int) -> Row:
        """A clean customer, drawn."""
        draw = self._rng.random
        given, family = GIVEN[int(draw() * len(GIVEN))], FAMILY[int(draw() * len(FAMILY))]
        region = self._regions[(number - 1) % len(self._regions)]
        birth = self._last // DAY - 6000 - int(draw() * 24_000)
        return (
            str(number),
            customer_id(number),
            f"{given} {family}",
            f"customer{number}@example.com" if draw() > 0.02 else None,
            day_text(birth) if draw() > 0.03 else None,
            region.profile.countries[int(draw() * len(region.profile.countries))],
            segment_of(number).upper() if draw() < 0.05 else segment_of(number),
            CATEGORIES[int(draw() * len(CATEGORIES))] if draw() > 0.1 else None,
            ("web", "mobile", "store", "phone")[int(draw() * 4)] if draw() > 0.1 else None,
            "true" if draw() < 0.6 else "false",
            utc(updated),
        )

    def customer_rows(self, tally: Tally) -> Iterator[Row]:
        """Every customer with the scheduled defects; remembers those that do not reach the clean table."""
        schedule = Schedule(CUSTOMER_DEFECTS, self.customers)
        for number in range(1, self.customers + 1):
            row = list(self.customer_row(number, self._last - int(self._rng.random() * 400 * DAY)))
            defect = schedule.next()
            if defect is None:
                tally.load()
            else:
                tally.reject(defect)
                self.unknown_customers.add(customer_id(number))
                column = {"MISSING_CUSTOMER_ID": 1, "MISSING_MARKETING_CONSENT": 9}.get(defect, 6)
                row[column] = "vip" if defect == "INVALID_VALUE_SEGMENT" else None
            yield tuple(row)

    def product_row(self, number: int, updated: int) -> Row:
        """A clean product, drawn; the category may be missing, which is no defect."""
        draw = self._rng.random
        category = CATEGORIES[number % len(CATEGORIES)]
        noun = NOUNS[category][int(draw() * 4)]
        name = f"{ADJECTIVES[int(draw() * len(ADJECTIVES))]} {noun} {number}"
        price = self._prices[number] if number < len(self._prices) else PRICE_CENTS[category]
        return (str(number), product_id(number), name, self.category(number), money(price), utc(updated))

    def product_rows(self, tally: Tally) -> Iterator[Row]:
        """Sold products, unsold ones, then the defective ones, which nobody ever orders."""
        good = self.sold + UNSOLD
        for number in range(1, good + 1):
            tally.load()
            yield self.product_row(number, self._last - int(self._rng.random() * 200 * DAY))
        for number, defect in enumerate(PRODUCT_DEFECTS, good + 1):
            row = list(self.product_row(number, self._last - DAY))
            column = {"MISSING_PRODUCT_ID": 1, "MISSING_PRODUCT_NAME": 2}.get(defect, 4)
            row[column] = None if column < 4 else "-4.99"
            tally.reject(defect)
            yield tuple(row)

    def inventory_row(self, stock: int, warehouse: str, product: int, counted: int) -> Row:
        """A clean count, drawn."""
        on_hand = int(self._rng.random() * 500)
        reserved = int(self._rng.random() * min(40, on_hand + 1))
        return (
            str(stock),
            warehouse,
            product_id(product),
            str(on_hand),
            str(reserved),
            str(20 + product % 5 * 10),
            utc(counted),
        )

    def inventory_rows(self, tally: Tally) -> Iterator[Row]:
        """Every warehouse with every good product; each ninth warehouse id is dirty in a way the recipe repairs."""
        good = self.sold + UNSOLD
        schedule = Schedule(INVENTORY_DEFECTS, good * len(WAREHOUSES))
        for stock in range(good * len(WAREHOUSES)):
            product, place = divmod(stock, len(WAREHOUSES))
            counted = self._last - int(self._rng.random() * 20 * DAY)
            row = list(self.inventory_row(stock + 1, WAREHOUSES[place], product + 1, counted))
            defect = schedule.next()
            if defect is None:
                tally.load()
                if stock % 9 == 4:
                    row[1] = (WAREHOUSES[place].lower(), f" {WAREHOUSES[place]} ")[stock % 2]
            else:
                tally.reject(defect)
                row[4 if defect.endswith("RESERVED") else 3] = None if defect.startswith("MISSING") else "-3"
            yield tuple(row)
