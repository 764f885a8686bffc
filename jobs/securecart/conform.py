"""Typing: a landing record's texts become the columns of its table, or a reason why they cannot.

Nothing here drops or repairs a record silently: what a contract does not allow gets a reason code, and the record goes
to quarantine whole. Codes end in the column's name, upper case.

Rules of reading:

- Numbers are exact: text → decimal without a detour through floating point. A value with more decimals than the
  column has is refused, not rounded. Separators are the source dialect's.
- Times end in UTC. A local time is taken in the format's zone by java.time's rules: in the gap of a DST change it
  moves forward by the gap, in the overlap it is the earlier of the two instants. A leap second (``:60``) is the first
  second of the next minute, as POSIX time has it.
- Regions, currencies and the like are conformed to the reference's keys; an alias is looked up whatever its case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart.contract import Column, Contract, TimeFormat

#: Formats of a column whose contract declares none: ISO 8601 and its spaced form, with or without an offset.
_ISO_DATE = r"^\d{4}-\d{2}-\d{2}$"
_ISO_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[+-]\d{2}:?\d{2}))?$"
_TRUE = ("true", "t", "1", "yes", "y")
_FALSE = ("false", "f", "0", "no", "n")
_LEAP = r"^(.*\d{1,2}:\d{2}:)60(.*)$"


@dataclass(frozen=True)
class Dialect:
    """How a source writes numbers and nulls."""

    null_values: tuple[str, ...] = ("",)
    decimal_separator: str = "."
    thousands_separator: str = ""

    @staticmethod
    def of(contract: Contract) -> Dialect:
        given = (contract.source or {}).get("dialect", {})
        return Dialect(
            tuple(str(v) for v in given.get("nullValues", [""])),
            str(given.get("decimalSeparator", ".")),
            str(given.get("thousandsSeparator", "")),
        )


def _lookup(reference: Mapping[str, Any]) -> SparkColumn:
    """A map from every lower-case spelling to the reference's key."""
    spellings = {a.lower(): key for key, entry in reference.items() for a in (key, *entry.get("aliases", []))}
    return F.create_map(*[F.lit(x) for x in chain.from_iterable(spellings.items())])


def text_of(name: str, column: Column, dialect: Dialect, reference: Mapping[str, Any]) -> SparkColumn:
    """The source's text, trimmed, nulls recognised, case and spelling conformed.

    A value the reference does not know stays as it is and is refused by `reason_of`.
    """
    text = F.trim(F.col(name))
    text = F.when(~text.isin(*dialect.null_values), text)
    if column.reference:
        text = F.coalesce(_lookup(reference[column.reference])[F.lower(text)], text)
    elif column.case:
        text = F.lower(text) if column.case == "lower" else F.upper(text)
    if column.default is not None:
        text = F.coalesce(text, F.lit(column.default))
    return text


def _parse_time(text: SparkColumn, fmt: TimeFormat, kind: T.DataType) -> SparkColumn:
    if fmt.pattern in ("epoch_s", "epoch_ms"):
        digits, unit = (r"^-?\d{1,11}$", 1) if fmt.pattern == "epoch_s" else (r"^-?\d{12,14}$", 1000)
        micros = F.when(text.rlike(digits), text).cast("bigint") * F.lit(1_000_000 // unit)
        return F.timestamp_micros(micros)
    if isinstance(kind, T.DateType):
        return F.to_date(text, fmt.pattern)
    parsed = F.to_timestamp(text, fmt.pattern)
    has_offset = any(letter in _unquoted(fmt.pattern) for letter in "XxZzVO")
    return parsed if has_offset or fmt.zone == "UTC" else F.to_utc_timestamp(parsed, fmt.zone)


def _unquoted(pattern: str) -> str:
    """A Java pattern without its quoted literals."""
    return "".join(part for i, part in enumerate(pattern.split("'")) if i % 2 == 0)


def _time_of(text: SparkColumn, column: Column) -> SparkColumn:
    kind = column.spark_type
    if not column.formats:
        iso = F.when(text.rlike(_ISO_TIME) | text.rlike(_ISO_DATE), text)
        return iso.cast(kind)
    return F.coalesce(*[_parse_time(text, f, kind) for f in column.formats])


def _with_leap_second(text: SparkColumn, column: Column) -> SparkColumn:
    """Reads ``23:59:60`` as one second after ``23:59:59``."""
    earlier = F.regexp_replace(text, _LEAP, "$1" + "59$2")
    return F.when(text.rlike(_LEAP), _time_of(earlier, column) + F.expr("INTERVAL 1 SECOND")).otherwise(
        _time_of(text, column)
    )


def _number(text: SparkColumn, dialect: Dialect) -> SparkColumn:
    if dialect.thousands_separator:
        text = F.replace(text, F.lit(dialect.thousands_separator), F.lit(""))
    if dialect.decimal_separator != ".":
        text = F.replace(text, F.lit(dialect.decimal_separator), F.lit("."))
    return text


def typed_value(text: SparkColumn, column: Column, dialect: Dialect) -> SparkColumn:
    """The text as the column's type; null when it cannot be read."""
    kind = column.spark_type
    if isinstance(kind, T.StringType):
        return text
    if isinstance(kind, T.TimestampType):
        return _with_leap_second(text, column)
    if isinstance(kind, T.DateType):
        return _time_of(text, column)
    if isinstance(kind, T.BooleanType):
        lower = F.lower(text)
        return F.when(lower.isin(*_TRUE), F.lit(True)).when(lower.isin(*_FALSE), F.lit(False))
    number = _number(text, dialect)
    if isinstance(kind, T.DecimalType):
        # The pattern admits what fits exactly, so that the cast never rounds; trailing zeros do no harm.
        fraction = rf"(\.\d{{0,{kind.scale}}}0*)?" if kind.scale else r"(\.0*)?"
        exact = rf"^[+-]?(?=\.?\d)0*\d{{0,{kind.precision - kind.scale}}}{fraction}$"
        return F.when(number.rlike(exact), number).cast(kind)
    if isinstance(kind, T.DoubleType):
        return F.when(number.rlike(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"), number).cast(kind)
    return F.when(number.rlike(r"^[+-]?\d{1,19}(\.0*)?$"), number).cast(kind)


def reason_of(text: SparkColumn, value: SparkColumn, column: Column, reference: Mapping[str, Any]) -> SparkColumn:
    """Why the text cannot stand in the column: a reason code, or null."""
    name = column.name.upper()
    reason = F.when(text.isNotNull() & value.isNull(), F.lit(f"BAD_TYPE_{name}"))
    if column.max_bytes is not None:
        reason = reason.when(F.octet_length(value) > column.max_bytes, F.lit(f"TOO_LONG_{name}"))
    if column.reference:
        known = list(reference[column.reference])
        reason = reason.when(text.isNotNull() & ~text.isin(*known), F.lit(f"INVALID_VALUE_{name}"))
    if column.required:
        reason = reason.when(text.isNull(), F.lit(f"MISSING_{name}"))
    return reason


def conform(raw: DataFrame, source: Contract, table: Contract, reference: Mapping[str, Any]) -> DataFrame:
    """Types landing records of ``source`` as rows of ``table``.

    Args:
        raw: landing records (see `securecart.landing`).
        source: the contract they were extracted under; its formats and dialect apply.
        table: the contract of the table they go to; its types and rules apply. May be the same.
        reference: reference data by name (regions, currencies).

    Returns:
        The table's columns typed, the landing's technical columns, and ``_reason`` (the first reason that applies, in
        column order, extraction's own first; null for a usable record).
    """
    dialect = Dialect.of(source)
    given = {c.name: c for c in source.columns}
    texts: dict[str, SparkColumn] = {}
    for column in table.columns:
        if column.hash_except is not None:
            continue
        if column.name in given:
            texts[f"_text_{column.name}"] = text_of(column.name, column, dialect, reference)
        else:
            texts[f"_text_{column.name}"] = F.lit(column.default).cast("string")
    df = raw.withColumns(texts)

    values: dict[str, SparkColumn] = {}
    for column in table.columns:
        if column.hash_except is None:
            # How a time is written is the source's affair; what type it has, the table's.
            spelled = given.get(column.name, column)
            formats = spelled.formats or column.formats
            readable = replace(column, formats=formats)
            values[column.name] = typed_value(F.col(f"_text_{column.name}"), readable, dialect)
    technical = [name for name in raw.columns if name.startswith("_")]
    df = df.select(
        *technical,
        *texts,
        *[v.alias(n) for n, v in values.items()],
    )
    reasons = [
        reason_of(F.col(f"_text_{c.name}"), F.col(c.name), c, reference) for c in table.columns if c.hash_except is None
    ]
    df = df.withColumn("_reason", F.coalesce(F.col("_error"), *reasons))
    for column in table.columns:
        if column.hash_except is not None:
            df = df.withColumn(column.name, content_hash(table))
    return df.select(*table.names, *technical, "_reason")


def content_hash(table: Contract) -> SparkColumn:
    """SHA-256 over the columns that tell two records apart; null and the empty text differ."""
    columns = [F.col(c.name) for c in table.columns if c.name not in table.unhashed]
    options = {"ignoreNullFields": "false", "timestampFormat": "yyyy-MM-dd HH:mm:ss.SSSSSS"}
    return F.sha2(F.to_json(F.struct(*columns), options), 256)
