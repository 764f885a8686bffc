"""Clickstream records become events: read, judged, told from their copies, enriched.

Every record gets exactly one outcome: ``accepted``, a duplicate (``same_event``, ``repeated_event``) or
``quarantined`` with a reason. Whether a record is late depends on the record alone, its own time against the time at
which the stream received it, and copies are ordered by that time of arrival. So the outcome is the same however the
stream is cut into batches, and after any restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart.conform import conform, content_hash
from securecart.contract import Contract
from securecart.errors import ContractError
from securecart.rules import judge_rows

ACCEPTED = "accepted"
SAME_EVENT = "same_event"  # a known event id again
REPEATED_EVENT = "repeated_event"  # a known event again under another id, as when a client sends a visit anew
QUARANTINED = "quarantined"

LATE = "LATE"
CONFLICT = "CONFLICTING_EVENT_ID"

#: What an escape may not leave in a text: NUL (no warehouse takes it) and half a surrogate pair (no character).
_BAD_ESCAPE = (
    r"\\u0000"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
#: NUL itself, and what decoding puts in the place of bytes that are no UTF-8.
_BAD_CHARACTER = "[\x00\ufffd]"

#: Hosts by channel, as they end; the first that fits counts.
_CHANNELS = {
    "email": r"(^|\.)(mail|webmail|outlook)\.",
    "search": r"(^|\.)(google|bing|duckduckgo|yahoo|ecosia|baidu|yandex|qwant)\.[a-z.]+$",
    "social": r"(^|\.)(facebook|instagram|twitter|x|tiktok|pinterest|reddit|youtube|linkedin)\.com$|(^|\.)t\.co$",
}


@dataclass(frozen=True)
class Limits:
    """What the contract's source says about time and size."""

    session_gap_minutes: float
    late_minutes: float
    deduplication_hours: float
    clock_ahead_minutes: float
    clock_behind_days: float
    max_record_bytes: int
    own_hosts: tuple[str, ...]

    @staticmethod
    def of(contract: Contract) -> Limits:
        """Raises ContractError when the contract's source is no stream, or has no order in its limits."""
        source = contract.source or {}
        if source.get("kind") != "kinesis":
            raise ContractError(f"contract '{contract.name}' has no source of kind kinesis")
        limits = Limits(
            session_gap_minutes=float(source["sessionGapMinutes"]),
            late_minutes=float(source["lateMinutes"]),
            deduplication_hours=float(source["deduplicationHours"]),
            clock_ahead_minutes=float(source["clockAheadMinutes"]),
            clock_behind_days=float(source["clockBehindDays"]),
            max_record_bytes=int(source["maxRecordBytes"]),
            own_hosts=tuple(source.get("ownHosts", [])),
        )
        if not limits.late_minutes <= limits.deduplication_hours * 60 <= limits.clock_behind_days * 1440:
            raise ContractError(
                f"contract '{contract.name}': source needs lateMinutes ≤ deduplicationHours ≤ clockBehindDays: an "
                "event that still counts must be told from its copies, and is late before its clock is wrong"
            )
        return limits


def _ago(column: Column, minutes: float) -> Column:
    return column - F.expr(f"make_interval(0, 0, 0, 0, 0, 0, {minutes * 60})")


def read_records(records: DataFrame, contract: Contract, reference: Mapping[str, Any]) -> DataFrame:
    """Types the stream's records by their contract and judges each for itself.

    Args:
        records: ``data``, the record's text, and ``arrived_at``, when the stream received it.
        contract: the stream's contract.

    Returns:
        The contract's columns, arrived_at, row_hash (of all columns but the event id), _raw, _reason (null for a
        record that may become an event) and _late (a record that becomes none unless it is a copy of one).
    """
    limits = Limits.of(contract)
    fields = T.StructType([T.StructField(c.source_name, T.StringType()) for c in contract.columns])
    # In brackets, because the parser stops after the first value: two objects in one record would become one.
    small = F.octet_length("data") <= limits.max_record_bytes
    values = F.when(small, F.from_json(F.concat(F.lit("["), F.col("data"), F.lit("]")), T.ArrayType(fields)))
    is_object = (F.size("_values") == 1) & F.col("_values")[0].isNotNull() & F.ltrim("data").startswith("{")
    error = (
        F.when(~small, "TOO_LARGE")
        .when(F.col("data").rlike(_BAD_CHARACTER) | F.col("data").rlike(_BAD_ESCAPE), "BAD_ENCODING")
        .when(is_object.isNull() | ~is_object, "BAD_JSON")
    )
    landed = records.withColumn("_values", values).select(
        *[F.col("_values")[0][c.source_name].alias(c.name) for c in contract.columns],
        F.lit((contract.source or {})["stream"]).alias("_object"),
        F.lit(None).cast("bigint").alias("_position"),
        F.lit("U").alias("_op"),
        F.col("arrived_at").alias("_modified"),
        F.col("data").alias("_raw"),
        error.alias("_error"),
        F.lit(None).cast("string").alias("_detail"),
    )
    judged = judge_rows(conform(landed, contract, contract, reference), contract)
    occurred, arrived = F.col("occurred_at"), F.col("_modified")
    own = (
        F.when(F.col("user_id").isNull() & F.col("anonymous_id").isNull(), "MISSING_VISITOR")
        .when(_ago(occurred, limits.clock_ahead_minutes) > arrived, "CLOCK_AHEAD")
        .when(occurred < _ago(arrived, limits.clock_behind_days * 1440), "CLOCK_BEHIND")
        .when(occurred < _ago(arrived, limits.deduplication_hours * 60), LATE)
    )
    told_apart = replace(contract, columns=tuple(c for c in contract.columns if c.key_position == 0))
    return judged.select(
        *contract.names,
        arrived.alias("arrived_at"),
        content_hash(told_apart).alias("row_hash"),
        "_raw",
        F.coalesce("_reason", own).alias("_reason"),
        (occurred < _ago(arrived, limits.late_minutes)).alias("_late"),
    )


def settle(records: DataFrame, known: DataFrame, limits: Limits) -> DataFrame:
    """Gives every record its outcome.

    Args:
        records: what `read_records` returns.
        known: event_id, row_hash and occurred_at of the events that earlier batches accepted, at least those that
            occurred in the last ``deduplication_hours`` before any record arrived.

    Returns:
        The records with ``_outcome`` and ``_reason``. Of copies the first to arrive counts; one with a known id but
        other content is quarantined, because nobody can say which of the two is right.
    """
    usable = records.where(F.col("_reason").isNull()).select("event_id", "row_hash").distinct()
    by_content = known.join(F.broadcast(usable.select("row_hash")), "row_hash", "left_semi")
    by_id = known.join(F.broadcast(usable.select("event_id")), "event_id", "left_semi")
    recent = _ago(F.col("arrived_at"), limits.deduplication_hours * 60)
    judged = (
        records.alias("r")
        .join(
            by_content.select(F.col("row_hash").alias("_known_hash"), F.col("event_id").alias("_known_as")).alias("c"),
            F.col("r._reason").isNull() & (F.col("r.row_hash") == F.col("c._known_hash")),
            "left",
        )
        .join(
            by_id.select(F.col("event_id").alias("_known_id"), F.col("occurred_at").alias("_known_at")).alias("i"),
            F.col("r._reason").isNull()
            & (F.col("r.event_id") == F.col("i._known_id"))
            & (F.col("i._known_at") >= recent),
            "left",
        )
    )
    fresh = F.col("_reason").isNull() & F.col("_known_hash").isNull() & F.col("_known_id").isNull()
    # Records that take no part get a group each, or a flood of them would be sorted in one place.
    group = F.when(F.col("_fresh"), F.col("row_hash")).otherwise(F.xxhash64("_raw", "arrived_at").cast("string"))
    copies = Window.partitionBy("_fresh", "_group").orderBy("arrived_at", "event_id")
    namesakes = Window.partitionBy("_first", "_namesake").orderBy("arrived_at", "row_hash")
    ranked = (
        judged.withColumn("_fresh", fresh)
        .withColumn("_group", group)
        .withColumn("_copy", F.row_number().over(copies))
        .withColumn("_first_late", F.first("_late").over(copies))
        .withColumn("_first_id", F.first("event_id").over(copies))
        .withColumn("_first", F.col("_fresh") & (F.col("_copy") == 1) & ~F.col("_late"))
        .withColumn("_namesake", F.when(F.col("_first"), F.col("event_id")).otherwise(F.col("_group")))
        .withColumn("_number", F.row_number().over(namesakes))
    )

    def copy_of(event_id: str) -> Column:
        return F.when(F.col("event_id") == F.col(event_id), SAME_EVENT).otherwise(REPEATED_EVENT)

    outcome = (
        F.when(F.col("_reason").isNotNull(), QUARANTINED)
        .when(F.col("_known_hash").isNotNull(), copy_of("_known_as"))
        .when(F.col("_known_id").isNotNull() | F.col("_first_late"), QUARANTINED)
        .when(F.col("_copy") > 1, copy_of("_first_id"))
        .when(F.col("_number") > 1, QUARANTINED)
        .otherwise(ACCEPTED)
    )
    reason = (
        F.when(F.col("_outcome") != QUARANTINED, F.lit(None))
        .when(F.col("_reason").isNotNull(), F.col("_reason"))
        .when(F.col("_known_id").isNull() & F.col("_first_late"), LATE)
        .otherwise(CONFLICT)
    )
    return ranked.withColumn("_outcome", outcome).withColumn("_reason", reason).select(*records.columns, "_outcome")


def visitor_id(user: Column, anonymous: Column) -> Column:
    """SHA-256 that is the same for a user wherever, and for a browser while nobody is signed in."""
    return F.sha2(
        F.when(user.isNotNull(), F.concat(F.lit("u:"), user)).otherwise(F.concat(F.lit("a:"), anonymous)), 256
    )


def enrich(accepted: DataFrame, own_hosts: tuple[str, ...]) -> DataFrame:
    """Accepted records with the columns of contracts/clickstream_events.yaml, and row_hash.

    Query strings and fragments are cut off the page, and of the referrer only the host stays: that is where
    addresses, tokens and search words travel.
    """
    path = F.regexp_replace(F.regexp_replace("page", r"[?#].*$", ""), r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*", "")
    host = F.regexp_extract(
        F.lower("referrer"), r"^(?:[a-z][a-z0-9+.-]*:)?//(?:[^/@?#]*@)?([^/:?#\s]{1,255})(?:[/:?#]|$)", 1
    )
    referrer_host = F.when(host != "", host)
    channel = F.when(F.col("referrer").isNull(), "direct").when(referrer_host.isin(*own_hosts), "internal")
    for name, pattern in _CHANNELS.items():
        channel = channel.when(referrer_host.rlike(pattern), name)
    return accepted.select(
        "event_id",
        visitor_id(F.col("user_id"), F.col("anonymous_id")).alias("visitor_id"),
        "user_id",
        "anonymous_id",
        "event_type",
        F.when(F.col("page").isNotNull(), F.when(path == "", "/").otherwise(path)).alias("page"),
        "product_id",
        referrer_host.alias("referrer_host"),
        channel.when(referrer_host.isNotNull(), "referral").alias("channel"),
        "device",
        "occurred_at",
        F.to_date("occurred_at").alias("event_date"),
        "row_hash",
    )
