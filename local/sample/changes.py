"""The second step: what happens at the sources after the first run.

The first step is drawn again, unwritten; orders that pass by are changed or deleted, and new ones follow. The changes
go to SQL statements for MySQL, lines of the DynamoDB change log, a new drop and a corrected one.
"""

from collections import Counter, defaultdict
from random import Random

from .catalogue import UNSOLD, WAREHOUSES, Catalogue, customer_id, product_id
from .counts import Json, Tally
from .model import BOTH, DYNAMODB, MYSQL, Order, OrderModel
from .mysql import delete, insert, update
from .payments import Drop, Payments
from .sources import DynamoOrders, MysqlOrders, change_line
from .text import ISO, money, utc

MOST = 6
NEW_ORDERS = 14


class Changes:
    """Collects the statements, log lines and counts of the second step; every change happens at `at`."""

    def __init__(self, at: int, rng: Random) -> None:
        self.at = at
        self._rng = rng
        self.statements: list[str] = []
        self.log: list[bytes] = []
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._seen: Counter[str] = Counter()

    def apply(self, order: Order, dynamo: DynamoOrders) -> Order | None:
        """Changes a good order of one source, deletes it, or leaves it; None when it is deleted."""
        if order.source == BOTH or order.status not in ("paid", "shipped", "delivered"):
            return order
        self._seen[order.source] += 1
        turn, rest = divmod(self._seen[order.source], 5)
        if rest or turn > 3 * MOST:
            return order
        dataset, lines = f"{order.source}_orders", f"{order.source}_order_items"
        if turn % 3 == 0:
            self.counts[dataset]["deleted"] += 1
            self.counts[lines]["deleted"] += len(order.lines)
            self._delete(order)
            return None
        self.counts[dataset]["updated"] += 1
        self.counts[lines]["updated"] += len(order.lines)
        state, status = ("returned", "returned") if turn % 3 == 1 else ("cancelled", "cancelled")
        shipping = 0 if status == "cancelled" else order.shipping
        changed = order._replace(
            status=status,
            shipping=shipping,
            updated=self.at,
            lines=tuple(line._replace(state=state) for line in order.lines),
        )
        self._update(changed, dynamo)
        return changed

    def _delete(self, order: Order) -> None:
        if order.source == DYNAMODB:
            self.log.append(change_line(self.at, len(self.log), "DELETE", order.key, None))
            return
        self.statements += [delete("order_items", {"order_id": order.key}), delete("orders", {"order_id": order.key})]

    def _update(self, order: Order, dynamo: DynamoOrders) -> None:
        if order.source == DYNAMODB:
            self.log.append(change_line(self.at, len(self.log), "PUT", order.key, dynamo.item(order)))
            return
        now = utc(self.at)
        values = {"status": order.status, "shipping_amount": money(order.shipping), "updated_at": now}
        where = {"order_id": order.key}
        self.statements.append(update("orders", values, where))
        self.statements.append(update("order_items", {"line_status": order.lines[0].state, "updated_at": now}, where))

    def new_orders(self, model: OrderModel, first: int, mysql: MysqlOrders, dynamo: DynamoOrders) -> list[Order]:
        """Orders placed in the hour before `at`, in turn in MySQL and DynamoDB."""
        orders = []
        for place in range(NEW_ORDERS):
            drawn = model.draw(first + place, self.at - 3600 + place * 200, self.at)
            source = (MYSQL, DYNAMODB)[place % 2]
            channel = "web" if source == MYSQL else "mobile"
            order = drawn._replace(source=source, channel=channel, status="paid", updated=self.at)
            order = order._replace(lines=tuple(line._replace(state="sold") for line in order.lines))
            self.counts[f"{source}_orders"]["inserted"] += 1
            self.counts[f"{source}_order_items"]["inserted"] += len(order.lines)
            if source == MYSQL:
                self.statements.append(insert("orders", mysql.order_row(order)))
                for number, line in enumerate(order.lines, 1):
                    self.statements.append(insert("order_items", mysql.item_row(order, number, line)))
            else:
                self.log.append(change_line(self.at, len(self.log), "PUT", order.key, dynamo.item(order)))
            orders.append(order)
        return orders

    def catalogue(self, catalogue: Catalogue, tallies: dict[str, Tally]) -> None:
        """A few customers, products and counts change, come and go."""
        now = utc(self.at)
        for number in (3, 5, 7):
            values = {"marketing_consent": "false", "preferred_channel": "mobile", "updated_at": now}
            self._statement("customers", "updated", update("customers", values, {"customer_no": str(number)}))
        gone = customer_id(9)
        self._statement("customers", "deleted", delete("customers", {"customer_id": gone}))
        catalogue.unknown_customers.add(gone)
        for number in (catalogue.customers + 1, catalogue.customers + 2):
            row = catalogue.customer_row(number, self.at)
            self._statement("customers", "inserted", insert("customers", row))
        for number in (3, 5):
            values = {"list_price_usd": money(catalogue.price(number) + 150), "updated_at": now}
            self._statement("products", "updated", update("products", values, {"product_no": str(number)}))
        unsold = {"product_id": product_id(catalogue.unsold[0])}
        self._statement("inventory", "deleted", delete("inventory", unsold), len(WAREHOUSES))
        self._statement("products", "deleted", delete("products", unsold))
        added = tallies["products"].read + 1
        self._statement("products", "inserted", insert("products", catalogue.product_row(added, self.at)))
        stock = (catalogue.sold + UNSOLD) * len(WAREHOUSES)
        for place, warehouse in enumerate(WAREHOUSES, 1):
            row = catalogue.inventory_row(stock + place, warehouse, added, self.at)
            self._statement("inventory", "inserted", insert("inventory", row))
        for number in (2, 4, 6, 8):
            values = {"on_hand": str(40 + number), "reserved": "1", "counted_at": now}
            self._statement("inventory", "updated", update("inventory", values, {"stock_no": str(number)}))

    def _statement(self, table: str, kind: str, statement: str, rows: int = 1) -> None:
        self.statements.append(statement)
        self.counts[table][kind] += rows

    def net(self, table: str) -> int:
        """How many rows a table gains."""
        return self.counts[table]["inserted"] - self.counts[table]["deleted"]

    def document(self) -> dict[str, Json]:
        """Rows inserted, updated and deleted at each source."""
        return {
            dataset: {kind: kinds[kind] for kind in ("inserted", "updated", "deleted")}
            for dataset, kinds in sorted(self.counts.items())
        }


def new_drop(payments: Payments, drop: Drop, orders: list[Order]) -> dict[str, int]:
    """Fills the second step's drop: a capture for each new order, a copy of the last, two broken lines."""
    booked: dict[str, int] = {}
    for order in orders:
        for payment, _ in payments.draw(order):
            payments.load(drop, payment, ISO)
            booked[order.key] = booked.get(order.key, 0) + payment.booked
            last = payment
    drop.copies.append(payments.values(last, ISO))
    for defect in ("TRUNCATED_LINE", "BAD_TYPE_AMOUNT"):
        payments.number += 1
        payments.reject(drop, last._replace(number=payments.number), ISO, defect)
    drop.close()
    return booked
