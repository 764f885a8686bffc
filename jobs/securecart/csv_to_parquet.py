"""Turns CSV drops into landing batches, driven by nothing but the dataset's contract.

Each object is read twice: once quickly, to find out whether it can be used at all, so that a file that is cut off at
its end leaves no rows behind; then record by record. Both readings happen on the executors.
"""

from __future__ import annotations

import heapq
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from botocore.exceptions import ClientError
from pyspark.sql import DataFrame, SparkSession

from securecart import lake
from securecart.contract import Contract
from securecart.csv_dialect import Dialect
from securecart.csv_scan import Inspection, ObjectRefused, inspect, scan
from securecart.errors import ContractError
from securecart.landing import landing_schema, write_batch
from securecart.objects import open_object
from securecart.recipe_input import recipe_batches, stage_recipe_input

log = logging.getLogger(__name__)

#: Input bytes that make one Parquet file, where the cluster's cores do not ask for more and smaller ones.
BYTES_PER_FILE = 256 << 20


@dataclass(frozen=True)
class CsvFormat:
    """What the scanner needs of a contract."""

    dialect: Dialect
    columns: tuple[str, ...]
    optional: frozenset[str]


@dataclass(frozen=True)
class CsvObject:
    """One object of the plan."""

    uri: str
    version: str | None
    size: int
    modified: datetime


@dataclass(frozen=True)
class Looked:
    """An object and what a quick look found: the refusal's reason and text, or else maybe a warning."""

    dataset: str
    object: CsvObject
    reason: str | None = None
    detail: str | None = None
    warning: str | None = None


def format_of(contract: Contract) -> CsvFormat:
    """The CSV format of a contract with a csv source. ``source.optionalColumns`` lists columns that older files lack.

    Raises:
        ContractError: the dialect cannot be used, or an optional column is none of the contract's.
    """
    source = contract.source or {}
    names = {c.name: c.source_name for c in contract.columns if c.hash_except is None}
    optional = [str(n) for n in source.get("optionalColumns", [])]
    if unknown := [n for n in optional if n not in names]:
        raise ContractError(
            f"contract '{contract.name}': source.optionalColumns names {', '.join(unknown)}, "
            f"which it does not describe. It has {', '.join(names)}"
        )
    try:
        dialect = Dialect.from_contract(source.get("dialect"))
    except ContractError as error:
        raise ContractError(f"contract '{contract.name}': {error}") from error
    return CsvFormat(dialect, tuple(names.values()), frozenset(names[n] for n in optional))


def objects_of(extract: Mapping[str, Any]) -> list[CsvObject]:
    """The objects of a plan's csv extract."""
    return [
        CsvObject(
            uri=f"s3://{o['bucket']}/{o['key']}",
            version=o.get("version"),
            size=int(o.get("size", 0)),
            modified=datetime.fromisoformat(str(o["last_modified"]).replace("Z", "+00:00")),
        )
        for o in extract["objects"]
    ]


def look(dataset: str, csv_format: CsvFormat, one: CsvObject) -> Looked:
    """Whether an object can be used: it can be opened and read to its end, and its header fits."""
    try:
        with closing(_open(one)) as stream:
            found: Inspection = inspect(stream, csv_format.dialect, csv_format.columns, csv_format.optional)
    except ObjectRefused as refused:
        where = f"line {refused.line}: " if refused.line else ""
        return Looked(dataset, one, refused.reason, f"{where}{refused.detail}. {refused.remedy}.")
    return Looked(dataset, one, warning=found.warning)


def _open(one: CsvObject) -> BinaryIO:
    """Opens an object. What a later try could cure is raised as it is, so that Spark tries again."""
    try:
        return open_object(one.uri, one.version)
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
        if status >= 500 or status == 429:
            raise
        raise _unreadable(str(error)) from error
    except OSError as error:
        raise _unreadable(error.strerror or str(error)) from error


def _unreadable(why: str) -> ObjectRefused:
    return ObjectRefused(
        "UNREADABLE",
        None,
        f"it cannot be opened ({why})",
        "Check that it is a file, is still there and may be read by the job's role, then deliver it again",
    )


def rows_of(csv_format: CsvFormat, objects: Iterable[CsvObject]) -> Iterator[tuple[Any, ...]]:
    """Landing rows of some objects, one after the other."""
    for one in objects:
        with closing(_open(one)) as stream:
            for r in scan(stream, csv_format.dialect, csv_format.columns, csv_format.optional):
                yield (*r.values, one.uri, r.position, "U", one.modified, r.raw, r.error, r.detail)


def balanced(objects: Sequence[CsvObject], parts: int) -> list[list[CsvObject]]:
    """The objects in so many groups of about the same size in bytes."""
    bins: list[tuple[int, int, list[CsvObject]]] = [(0, i, []) for i in range(parts)]
    for one in sorted(objects, key=lambda o: (-o.size, o.uri)):
        size, i, group = heapq.heappop(bins)
        group.append(one)
        heapq.heappush(bins, (size + one.size, i, group))
    return [group for _, _, group in sorted(bins, key=lambda b: b[1]) if group]


def landing_rows(spark: SparkSession, contract: Contract, objects: Sequence[CsvObject]) -> DataFrame:
    """The records of objects as a landing batch: a task, and a file in the end, per group of objects."""
    schema = landing_schema(contract)
    if not objects:
        return spark.createDataFrame([], schema)
    csv_format = format_of(contract)
    total = sum(o.size for o in objects)
    wanted = max(spark.sparkContext.defaultParallelism, -(-total // BYTES_PER_FILE))
    groups = balanced(objects, min(len(objects), wanted))

    def read(parts: Iterable[list[CsvObject]]) -> Iterator[tuple[Any, ...]]:
        for group in parts:
            yield from rows_of(csv_format, group)

    rdd = spark.sparkContext.parallelize(groups, len(groups)).mapPartitions(read)
    return spark.createDataFrame(rdd, schema, verifySchema=False)


def look_at_all(spark: SparkSession, work: Sequence[tuple[str, CsvFormat, CsvObject]]) -> list[Looked]:
    """A look at every object of a run, a task each."""
    if not work:
        return []
    return spark.sparkContext.parallelize(work, len(work)).map(lambda w: look(*w)).collect()


def main(argv: list[str]) -> None:
    """Lands every csv extract of the plan. Refused objects are reported in the metrics and do not fail the job."""
    job = lake.start("csv_to_parquet", argv)
    extracts = {e["dataset"]: objects_of(e) for e in job.plan["extracts"] if e["kind"] == "csv"}
    formats = {name: format_of(job.contracts[name]) for name in extracts}
    work = [(name, formats[name], one) for name, objects in extracts.items() for one in objects]
    looked = look_at_all(job.spark, work)
    metrics = {}
    for dataset in extracts:
        of_dataset = [one for one in looked if one.dataset == dataset]
        metrics[dataset] = _land(job, job.contracts[dataset], of_dataset)
    job.write_metrics(metrics)


def _land(job: lake.Job, contract: Contract, looked: Sequence[Looked]) -> dict[str, Any]:
    """Writes one dataset's batch and returns its metrics."""
    path = job.lake.landing_batch(contract.name, job.batch_id)
    usable = [one.object for one in looked if one.reason is None]
    write_batch(landing_rows(job.spark, contract, usable), path)
    if contract.recipe:
        folder = job.lake.recipe_folder(contract.name, "in")
        stage_recipe_input(job.spark, recipe_batches(job.plan, contract.name), folder, contract)
    # Counted in what was written: an accumulator would count a repeated task twice.
    written = job.spark.read.schema(landing_schema(contract)).parquet(path)
    counts = {r["_error"]: r["count"] for r in written.groupBy("_error").count().collect()}
    refused = [one for one in looked if one.reason]
    empty = [one for one in looked if one.warning]
    for one in refused:
        log.warning("%s: %s refused: %s, %s", contract.name, one.object.uri, one.reason, one.detail)
    for one in empty:
        log.warning("%s: %s has no rows: %s", contract.name, one.object.uri, one.warning)
    read = sum(counts.values())
    log.info("%s: %d records of %d objects", contract.name, read, len(usable))
    return {
        "read": read,
        "objects": len(usable),
        "bytes": sum(one.size for one in usable),
        "rejected": {code: n for code, n in sorted(counts.items(), key=lambda c: str(c[0])) if code},
        "refused": [{"object": o.object.uri, "reason": o.reason, "detail": o.detail} for o in refused],
        "warnings": [{"object": o.object.uri, "reason": o.warning} for o in empty],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
