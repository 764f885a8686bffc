"""The long-lived Spark driver of a local run: jobs run in one session, side by side when asked side by side.

A fresh ``spark-submit`` costs 15 to 20 seconds; here a job costs what its work costs. Requests arrive as JSON lines on
standard input, ``{"id": n, "op": "<name>", …}``; answers leave as JSON lines on standard output, ``{"id": n, "ok":
true, "result": …}`` or ``{"id": n, "ok": false, "error": {"type", "message", "trace"}}``. Everything that jobs or Spark
print goes to the log file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import odcs
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sample_labels import sample_labels
from securecart.errors import JobError
from securecart.objects import LAKE_ROOT_VARIABLE
from source_database import SourceDatabase
from spark_session import local_session, stop

log = logging.getLogger("driver")

#: What an error says, somewhere, that came of stopping a stream.
INTERRUPTED = re.compile(
    r"java\.lang\.InterruptedException|ClosedByInterruptException|cancelled (?:as )?part of cancelled job group"
)

LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd'T'HH:mm:ss.SSS}} %p %c{{1}}: %m%n%ex
"""


class Driver:
    """Answers requests; one thread each, so that a Parallel state's jobs run in parallel."""

    def __init__(self, spark: SparkSession, sources: SourceDatabase, out: TextIO) -> None:
        self.spark = spark
        self.sources = sources
        self.out = out
        self.lock = threading.Lock()
        self.running = 0
        self.stopped: set[str] = set()
        self.operations: dict[str, Callable[..., Any]] = {
            "run_job": self.run_job,
            "check_contracts": odcs.check,
            "load_sources": sources.load,
            "change_sources": sources.execute_script,
            "source_now": lambda: sources.now().isoformat(),
            "source_has_changes": sources.has_changes,
            "storage": self.storage,
            "cancel": self.cancel,
            "stop_streams": self.stop_streams,
            "table_rows": self.table_rows,
            "sample_labels": self.sample_labels,
        }

    def run_job(self, module: str, argv: list[str]) -> None:
        """Runs ``<module>.main(argv)``, the very entry that Glue runs."""
        main = importlib.import_module(module).main
        log.info("%s %s", module, " ".join(argv))
        with self.lock:
            self.running += 1
        try:
            main(argv)
        except StreamingQueryException as error:
            if not self.was_stopped(error):
                raise
            log.info("%s was interrupted by its stop", module)
        finally:
            with self.lock:
                self.running -= 1

    def cancel(self) -> None:
        """Ends the running jobs; returns when none runs any more.

        A job has threads that begin the next piece of work when one was cancelled, so once is not enough. Whoever
        cleans up afterwards relies on it that no late commit follows.
        """
        while self.running > 0:
            self.spark.sparkContext.cancelAllJobs()
            time.sleep(0.1)

    def stop_streams(self) -> None:
        """Ends the running streams as a redeployment does: a batch that was under way is repeated by the next start."""
        for query in self.spark.streams.active:
            self.stopped.add(str(query.id))
            query.stop()

    def was_stopped(self, error: StreamingQueryException) -> bool:
        """Whether a stream ended because it was stopped.

        Stopping interrupts its thread and cancels its jobs. Spark knows that by the error, but not when another took
        the error and raised its own: Hadoop that was reading a file's permissions, Python that was in a batch.
        """
        text = str(error)
        return INTERRUPTED.search(text) is not None and any(f"[id = {query}," in text for query in self.stopped)

    def table_rows(self, tables: list[str]) -> dict[str, int]:
        """Rows of Iceberg tables, from their file listing; a table that does not exist is left out."""
        counts = {}
        for table in tables:
            if self.spark.catalog.tableExists(table):
                row = self.spark.sql(f"SELECT coalesce(sum(record_count), 0) FROM {table}.files").first()
                counts[table] = int(row[0]) if row is not None else 0
        return counts

    def sample_labels(self, table: str, prefix: str) -> int:
        """Made-up fraud reports; returns how many."""
        return sample_labels(self.spark, table, prefix)

    def storage(self, table: str, column: str, value: str) -> dict[str, int]:
        """Files and bytes of an Iceberg table, and of what a scan for one partition value really opens."""
        total = self.spark.sql(f"SELECT count(*) n, coalesce(sum(file_size_in_bytes), 0) b FROM {table}.files").first()
        if total is None:
            raise JobError(f"{table} has no file listing")
        execution = self.spark.table(table).filter(F.col(column) == value)._jdf.queryExecution()
        execution.toRdd().count()  # runs the scan itself; a count() could be answered from metadata
        metrics = execution.executedPlan().collectLeaves().head().metrics()
        opened = {name: int(metrics.apply(name).value()) for name in ("resultDataFiles", "totalDataFileSize")}
        return {
            "files": total["n"],
            "bytes": total["b"],
            "opened_files": opened["resultDataFiles"],
            "opened_bytes": opened["totalDataFileSize"],
        }

    def answer(self, request: dict[str, Any]) -> None:
        number = request.pop("id")
        try:
            operation = self.operations[request.pop("op")]
            reply = {"id": number, "ok": True, "result": operation(**request)}
        except Exception as error:  # whatever a job raises is the caller's to judge
            log.exception("request %s failed", number)
            reply = {"id": number, "ok": False, "error": describe(error)}
        with self.lock:
            self.out.write(json.dumps(reply) + "\n")
            self.out.flush()


def describe(error: Exception) -> dict[str, str]:
    """An error as the workflow sees it: its class, and a message fit to read."""
    message = str(error)
    if not isinstance(error, JobError):
        # What a stream's batch raised comes as Python's trace within Spark's message; its last lines say what it was.
        *_, message = re.split(r"Traceback \(most recent call last\):\n(?: .*\n)*", message)
        # Spark's messages carry the JVM's whole trace; the first lines say what happened.
        lines = [line for line in message.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
        message = "\n".join(lines[:6])
        if "No space left on device" in str(error):
            message = f"no disk space is left for the lake or for Spark's scratch files: {message}"
    return {"type": type(error).__name__, "message": message, "trace": traceback.format_exc()}


def serve(driver: Driver, requests: TextIO) -> None:
    """Answers requests until the input closes. It closes on a running job only when the parent was killed."""
    with ThreadPoolExecutor(8) as pool:
        for line in requests:
            request = json.loads(line)
            pool.submit(driver.answer, request)
        if driver.running > 0:
            log.error("the parent is gone: the running job ends here, the next run takes back what it did")
            os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()

    # Answers keep the real standard output for themselves; whoever else writes there writes to the log.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    options.log.parent.mkdir(parents=True, exist_ok=True)
    log_file = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log_file, 1)
    os.dup2(log_file, 2)
    # Ctrl-C reaches the whole process group; the parent decides what happens and closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    options.scratch.mkdir(parents=True, exist_ok=True)
    log_config = options.scratch / "log4j2.properties"
    log_config.write_text(LOG4J.format(log=options.log), "utf-8")
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("py4j").setLevel(logging.ERROR)
    os.environ[LAKE_ROOT_VARIABLE] = str(options.lake)
    os.environ["TZ"] = "UTC"
    spark = local_session(options.lake, options.scratch, log_config)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # again: a session installs a handler of its own
    driver = Driver(spark, SourceDatabase(spark, options.sources), answers)
    answers.write(json.dumps({"id": 0, "ok": True, "result": {"ready": datetime.now(UTC).isoformat()}}) + "\n")
    answers.flush()
    serve(driver, sys.stdin)
    driver.sources.close()
    stop(spark)


if __name__ == "__main__":
    main()
