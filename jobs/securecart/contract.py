"""Data contracts (Open Data Contract Standard v3) as the jobs see them.

The files in ``contracts/`` reach a job as one JSON bundle ``{"contracts": [<ODCS document>], "reference": {…}}``;
tests and tools read the YAML files themselves. What SecureCart adds to the standard lives in ``customProperties``
and is listed in ``contracts/README.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import types as T

from securecart.errors import ContractError
from securecart.objects import read_text

#: The physical types a contract may name. Spark, Iceberg, Glue and Redshift all have them.
KNOWN_TYPES = "varchar(n), char(n), int, bigint, smallint, decimal(p,s), double, boolean, date, timestamp"

_SIMPLE: dict[str, T.DataType] = {
    "int": T.IntegerType(),
    "bigint": T.LongType(),
    "smallint": T.IntegerType(),  # Iceberg has no 16-bit integer
    "double": T.DoubleType(),
    "boolean": T.BooleanType(),
    "date": T.DateType(),
    "timestamp": T.TimestampType(),
}


@dataclass(frozen=True)
class TimeFormat:
    """One way a source writes a date or time: a Java pattern, or ``epoch_s`` or ``epoch_ms``.

    ``zone`` is the IANA zone of texts without an offset.
    """

    pattern: str
    zone: str = "UTC"


@dataclass(frozen=True)
class Column:
    """One column of a contract."""

    name: str
    description: str
    physical_type: str
    required: bool
    key_position: int
    partition_position: int
    partition_transform: str | None
    source_name: str
    formats: tuple[TimeFormat, ...]
    case: str | None
    reference: str | None
    default: str | None
    minimum: str | None
    exclusive_minimum: str | None
    maximum: str | None
    pattern: str | None
    valid_values: tuple[str, ...]
    references: tuple[str, str] | None
    hash_except: tuple[str, ...] | None

    @property
    def spark_type(self) -> T.DataType:
        """The column's type in Spark and Iceberg."""
        if self.physical_type in _SIMPLE:
            return _SIMPLE[self.physical_type]
        if match := re.fullmatch(r"decimal\((\d+),(\d+)\)", self.physical_type):
            return T.DecimalType(int(match[1]), int(match[2]))
        return T.StringType()

    @property
    def max_bytes(self) -> int | None:
        """The n of varchar(n) and char(n): bytes in UTF-8, as Redshift counts them."""
        match = re.fullmatch(r"(?:var)?char\((\d+)\)", self.physical_type)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Latency:
    """How old the newest record of a dataset may be, as its contract promises.

    ``regulatory`` is true when the promise is an obligation (``driver: regulatory``), so that breaking it stops a run.
    """

    limit: timedelta
    regulatory: bool


@dataclass(frozen=True)
class Contract:
    """One dataset: where it comes from, its columns, and what holds for it."""

    name: str
    zone: str
    storage: str
    columns: tuple[Column, ...]
    feeds: str
    precedence: int
    source: Mapping[str, Any] | None
    recipe: str | None
    version_column: str | None
    event_time: str | None
    max_failed_share: float
    warehouse: Mapping[str, Any] | None
    writer: str
    latency: Latency | None
    minimum_rows: int

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the primary key's columns, in order."""
        keyed = [c for c in self.columns if c.key_position > 0]
        return tuple(c.name for c in sorted(keyed, key=lambda c: c.key_position))

    @property
    def partitions(self) -> tuple[Column, ...]:
        """Partition columns, in order."""
        used = [c for c in self.columns if c.partition_position > 0]
        return tuple(sorted(used, key=lambda c: c.partition_position))

    @property
    def has_table(self) -> bool:
        """False for a contract of a source of another table, or of plain Parquet, which the deployment makes."""
        return self.zone != "source" and self.storage == "iceberg"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(f"contract '{self.name}' has no column '{name}'; it has {', '.join(self.names)}")

    @property
    def unhashed(self) -> frozenset[str]:
        """Columns that do not tell two records apart (a file's own row number, and the key made of the rest)."""
        derived = [c for c in self.columns if c.hash_except is not None]
        return frozenset(n for c in derived for n in (c.name, *(c.hash_except or ())))


@dataclass(frozen=True)
class Bundle:
    """All contracts, by name, and the reference data that they name."""

    contracts: Mapping[str, Contract]
    reference: Mapping[str, Any]

    def __getitem__(self, name: str) -> Contract:
        if name not in self.contracts:
            known = ", ".join(sorted(self.contracts))
            raise ContractError(f"there is no contract '{name}'. Known: {known}")
        return self.contracts[name]

    @property
    def tables(self) -> list[Contract]:
        """Contracts that describe a table of the lake."""
        return [c for c in self.contracts.values() if c.has_table]

    def sources_of(self, table: str) -> list[Contract]:
        """Contracts with a source that feeds this table, the one with precedence first."""
        feeding = [c for c in self.contracts.values() if c.source is not None and c.feeds == table]
        return sorted(feeding, key=lambda c: (c.precedence, c.name))


def _custom(element: Mapping[str, Any]) -> dict[str, Any]:
    return {p["property"]: p["value"] for p in element.get("customProperties", [])}


def _time_format(value: Any) -> TimeFormat:
    if isinstance(value, Mapping):
        return TimeFormat(str(value["pattern"]), str(value.get("zone", "UTC")))
    return TimeFormat(str(value))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _parse_column(contract: str, raw: Mapping[str, Any]) -> Column:
    custom = _custom(raw)
    physical = str(raw.get("physicalType", "")).lower().replace(" ", "")
    known = physical in _SIMPLE or re.fullmatch(r"(?:var)?char\(\d+\)|decimal\(\d+,\d+\)", physical)
    if not known:
        raise ContractError(
            f"contract '{contract}', column '{raw['name']}': unknown physicalType "
            f"'{raw.get('physicalType')}'. Use one of: {KNOWN_TYPES}"
        )
    options = raw.get("logicalTypeOptions", {})
    conform = custom.get("conform", {})
    rules = [q for q in raw.get("quality", []) if q.get("metric") == "invalidValues"]
    valid = [str(v) for q in rules for v in q.get("arguments", {}).get("validValues", [])]
    patterns = [q["arguments"]["pattern"] for q in rules if "pattern" in q.get("arguments", {})]
    relations = raw.get("relationships", [])
    table, _, column = str(relations[0]["to"]).partition(".") if relations else ("", "", "")
    hash_except = custom.get("hashExcept")
    return Column(
        name=raw["name"],
        description=" ".join(str(raw.get("description", "")).split()),
        physical_type=physical,
        required=bool(raw.get("required", False)),
        key_position=int(raw.get("primaryKeyPosition", 1)) if raw.get("primaryKey") else 0,
        partition_position=int(raw.get("partitionKeyPosition", 1)) if raw.get("partitioned") else 0,
        partition_transform=custom.get("partitionTransform"),
        source_name=str(custom.get("sourceName", raw["name"])),
        formats=tuple(_time_format(f) for f in custom.get("formats", [])),
        case=conform.get("case"),
        reference=conform.get("reference"),
        default=_text(conform.get("default")),
        minimum=_text(options.get("minimum")),
        exclusive_minimum=_text(options.get("exclusiveMinimum")),
        maximum=_text(options.get("maximum")),
        pattern=_text(options.get("pattern")) or (patterns[0] if patterns else None),
        valid_values=tuple(valid),
        references=(table, column) if relations else None,
        hash_except=None if hash_except is None else tuple(hash_except),
    )


_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def _latency(contract: str, promises: Iterable[Mapping[str, Any]]) -> Latency | None:
    promise = next((p for p in promises if p["property"] == "latency"), None)
    if promise is None:
        return None
    unit = _UNITS.get(str(promise.get("unit")))
    value = promise["value"]
    if unit is None or isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ContractError(
            f"contract '{contract}' promises a latency of {value} {promise.get('unit')}. Write a number above 0 and "
            f"one of the units {', '.join(_UNITS)}, for example {{property: latency, value: 1, unit: d}}"
        )
    return Latency(value * unit, promise.get("driver") == "regulatory")


def parse_contract(document: Mapping[str, Any]) -> Contract:
    """An ODCS document as a Contract.

    Raises:
        ContractError: naming contract, column, value and what is allowed.
    """
    name = str(document.get("name", "?"))
    objects = document.get("schema", [])
    if len(objects) != 1:
        raise ContractError(f"contract '{name}' has {len(objects)} schema objects; write one file per dataset")
    schema = objects[0]
    custom = _custom(document)
    counts = [q for q in schema.get("quality", []) if q.get("metric") == "rowCount"]
    columns = tuple(_parse_column(name, p) for p in schema.get("properties", []))
    warehouse = custom.get("warehouse")
    zone = str(custom.get("zone", "curated" if warehouse else "staging"))
    contract = Contract(
        name=name,
        zone=zone,
        storage=str(custom.get("storage", "iceberg")),
        columns=columns,
        feeds=str(custom.get("feeds", name)),
        precedence=int(custom.get("precedence", 1)),
        source=custom.get("source"),
        recipe=custom.get("recipe"),
        version_column=custom.get("versionColumn"),
        event_time=custom.get("eventTime"),
        max_failed_share=float(custom.get("maxFailedShare", 0.05)),
        warehouse=warehouse,
        writer=str(custom.get("writer", "batch")),
        latency=_latency(name, document.get("slaProperties", [])),
        minimum_rows=max((int(q.get("mustBeGreaterThan", -1)) + 1 for q in counts), default=0),
    )
    if contract.has_table and not contract.keys:
        raise ContractError(
            f"contract '{name}' has no primaryKey. Mark the columns that identify a record; where there are none, "
            "add a char(64) key column with customProperty hashExcept: [<columns that do not tell records apart>]"
        )
    return contract


def make_bundle(documents: Iterable[Mapping[str, Any]], reference: Mapping[str, Any]) -> Bundle:
    """Contracts from ODCS documents already read."""
    contracts = [parse_contract(d) for d in documents]
    return Bundle({c.name: c for c in contracts}, reference)


def load_bundle(where: str) -> Bundle:
    """Contracts from a bundle (``s3://…/contracts.json``) or from a folder of YAML files with reference.json."""
    if where.startswith("s3://"):
        data = json.loads(read_text(where))
        return make_bundle(data["contracts"], data["reference"])
    import yaml  # only where the YAML files are: Glue gets the bundle

    folder = Path(where)
    documents = [yaml.safe_load(f.read_text("utf-8")) for f in sorted(folder.glob("*.yaml"))]
    reference = json.loads((folder / "reference.json").read_text("utf-8"))
    return make_bundle(documents, reference)
