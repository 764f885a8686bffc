"""The shop's MySQL database: its schema and one CSV file a table.

The schema is valid for Apache Derby and for MySQL/MariaDB. Every table's primary key is its dense surrogate number;
business keys are unique but may be null, because the shop never enforced them. Files are UTF-8 with a header line; a
null is an empty field without quotes, which Derby's import reads as null; LOAD_MARIADB does the same for LOAD DATA.
Timestamps are UTC with whole seconds.
"""

from collections.abc import Mapping, Sequence

from .catalogue import CUSTOMER_COLUMNS, INVENTORY_COLUMNS, PRODUCT_COLUMNS

ORDER_COLUMNS = (
    "order_no",
    "order_id",
    "customer_id",
    "ordered_at",
    "status",
    "channel",
    "region",
    "currency",
    "shipping_amount",
    "ip_address",
    "updated_at",
)
ITEM_COLUMNS = (
    "item_no",
    "order_id",
    "line_no",
    "product_id",
    "quantity",
    "unit_price",
    "discount_amount",
    "line_status",
    "updated_at",
)
TABLES = {
    "orders": ORDER_COLUMNS,
    "order_items": ITEM_COLUMNS,
    "customers": CUSTOMER_COLUMNS,
    "products": PRODUCT_COLUMNS,
    "inventory": INVENTORY_COLUMNS,
}

SCHEMA = """\
create table orders (
  order_no bigint not null primary key,
  order_id varchar(20),
  customer_id varchar(20),
  ordered_at varchar(40),
  status varchar(20),
  channel varchar(20),
  region varchar(20),
  currency varchar(10),
  shipping_amount decimal(12,2),
  ip_address varchar(45),
  updated_at timestamp not null,
  constraint orders_key unique (order_id)
);
create index orders_updated_at on orders (updated_at);
create table order_items (
  item_no bigint not null primary key,
  order_id varchar(20),
  line_no int,
  product_id varchar(20),
  quantity int,
  unit_price decimal(12,2),
  discount_amount decimal(12,2),
  line_status varchar(20),
  updated_at timestamp not null,
  constraint order_items_key unique (order_id, line_no)
);
create index order_items_updated_at on order_items (updated_at);
create table customers (
  customer_no bigint not null primary key,
  customer_id varchar(20),
  full_name varchar(120),
  email varchar(254),
  birth_date date,
  country char(2),
  segment varchar(20),
  preferred_category varchar(40),
  preferred_channel varchar(20),
  marketing_consent boolean,
  updated_at timestamp not null,
  constraint customers_key unique (customer_id)
);
create index customers_updated_at on customers (updated_at);
create table products (
  product_no bigint not null primary key,
  product_id varchar(20),
  product_name varchar(120),
  category varchar(40),
  list_price_usd decimal(12,2),
  updated_at timestamp not null,
  constraint products_key unique (product_id)
);
create index products_updated_at on products (updated_at);
create table inventory (
  stock_no bigint not null primary key,
  warehouse_id varchar(10),
  product_id varchar(20),
  on_hand int,
  reserved int,
  reorder_level int,
  counted_at timestamp not null,
  constraint inventory_key unique (warehouse_id, product_id)
);
create index inventory_counted_at on inventory (counted_at);
"""


def load_mariadb() -> str:
    """LOAD DATA statements for MariaDB and MySQL; run them in the folder of the files, in a UTF-8 session."""
    statements = ["set time_zone = '+00:00';", "set names utf8mb4;"]
    for table, columns in TABLES.items():
        variables = ", ".join(f"@{column}" for column in columns)
        values = ", ".join(f"{column} = {mariadb_value(column)}" for column in columns)
        statements.append(
            f"load data local infile '{table}.csv' into table {table} character set utf8mb4\n"
            "  fields terminated by ',' optionally enclosed by '\"' escaped by '' lines terminated by '\\n'\n"
            f"  ignore 1 lines ({variables})\n  set {values};"
        )
    return "\n".join(statements) + "\n"


def mariadb_value(column: str) -> str:
    """Empty is null; a boolean is written as a word, which MariaDB would not read as one."""
    if column == "marketing_consent":
        return f"case @{column} when 'true' then true when 'false' then false end"
    return f"nullif(@{column}, '')"


def csv_line(values: Sequence[str | None]) -> str:
    """One line without its end: quotes only where needed, nothing for null."""
    line = ",".join(["" if value is None else value for value in values])
    # Nearly every line needs no quotes, and one look at the whole line is cheaper than one at each value.
    if '"' not in line and " ," not in line and line.count(",") == len(values) - 1 and ", " not in line:
        return line
    return ",".join(["" if value is None else quoted(value) for value in values])


def quoted(value: str) -> str:
    """In quotes when it has a separator, a quote or spaces at its ends."""
    if "," in value or '"' in value or value != value.strip():
        return '"' + value.replace('"', '""') + '"'
    return value


BARE = frozenset(
    {
        *("order_no", "item_no", "customer_no", "product_no", "stock_no", "line_no", "quantity"),
        *("unit_price", "discount_amount", "shipping_amount", "list_price_usd"),
        *("on_hand", "reserved", "reorder_level", "marketing_consent"),
    }
)


def literal(column: str, value: str | None) -> str:
    """A literal that Derby and MariaDB take alike: numbers and booleans bare, dates and timestamps as text."""
    if value is None:
        return "null"
    return value if column in BARE else "'" + value.replace("'", "''") + "'"


def insert(table: str, row: Sequence[str | None]) -> str:
    """An INSERT of a whole row."""
    columns = TABLES[table]
    values = ", ".join(literal(column, value) for column, value in zip(columns, row, strict=True))
    return f"insert into {table} ({', '.join(columns)}) values ({values});"


def update(table: str, values: Mapping[str, str | None], where: Mapping[str, str]) -> str:
    """An UPDATE of the rows that match."""
    changes = ", ".join(f"{column} = {literal(column, value)}" for column, value in values.items())
    return f"update {table} set {changes} where {matching(where)};"


def delete(table: str, where: Mapping[str, str]) -> str:
    """A DELETE of the rows that match."""
    return f"delete from {table} where {matching(where)};"


def matching(where: Mapping[str, str]) -> str:
    """All the columns equal."""
    return " and ".join(f"{column} = {literal(column, value)}" for column, value in where.items())
