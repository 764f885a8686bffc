"""The local Spark driver: a stream that was stopped is no failed job, and any other end of it is."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from pyspark.errors import StreamingQueryException
from spark_driver import Driver

INTERRUPTED = (
    "[STREAM_FAILED] Query [id = q-1, runId = r] terminated with exception: Error while running command to get file "
    "permissions : java.io.InterruptedIOException: java.lang.InterruptedException"
)


def driver(stopped: list[str]) -> Driver:
    queries = [SimpleNamespace(id="q-1", stop=lambda: stopped.append("q-1"))]
    spark: Any = SimpleNamespace(streams=SimpleNamespace(active=queries))
    sources: Any = SimpleNamespace(load=None, execute_script=None, now=None, has_changes=None)
    return Driver(spark, sources, io.StringIO())


def job(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    def main(_argv: list[str]) -> None:
        raise StreamingQueryException(message)

    module = cast("Any", ModuleType("a_stream"))
    module.main = main
    monkeypatch.setitem(sys.modules, "a_stream", module)


def test_a_stream_that_was_stopped_while_it_listed_files_has_ended_well(monkeypatch: pytest.MonkeyPatch) -> None:
    job(monkeypatch, INTERRUPTED)
    stopped: list[str] = []
    served = driver(stopped)
    served.stop_streams()
    served.run_job("a_stream", [])
    assert stopped == ["q-1"]
    assert served.running == 0


def test_other_ends_of_a_stream_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    job(monkeypatch, INTERRUPTED)
    with pytest.raises(StreamingQueryException):
        driver([]).run_job("a_stream", [])  # nobody stopped it
    for message in ("[STREAM_FAILED] Query [id = q-1, runId = r] no space", INTERRUPTED.replace("q-1", "q-2")):
        job(monkeypatch, message)
        served = driver([])
        served.stop_streams()
        with pytest.raises(StreamingQueryException):
            served.run_job("a_stream", [])
