"""The local Spark driver: a stream that was stopped is no failed job, and any other end of it is."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from pyspark.errors import StreamingQueryException
from spark_driver import Driver, describe

INTERRUPTED = (
    "[STREAM_FAILED] Query [id = q-1, runId = r] terminated with exception: Error while running command to get file "
    "permissions : java.io.InterruptedIOException: java.lang.InterruptedException"
)


#: A batch in Python whose Spark job was cancelled.
CANCELLED = (
    "[STREAM_FAILED] Query [id = q-1, runId = r] terminated with exception: An exception was raised by the Python "
    "Proxy. Return Message: Traceback (most recent call last):\n"
    '  File "py4j/clientserver.py", line 617, in _call_proxy\n'
    "    return_value = getattr(self.pool[obj_id], method)(*params)\n"
    "                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
    "py4j.protocol.Py4JJavaError: An error occurred while calling o1.localCheckpoint.\n"
    ": org.apache.spark.SparkException: Job 34 cancelled part of cancelled job group 43f7\n"
    "\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2856)\n"
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


@pytest.mark.parametrize("message", [INTERRUPTED, CANCELLED])
def test_a_stream_that_was_stopped_in_its_work_has_ended_well(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    job(monkeypatch, message)
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


def test_the_error_of_a_batch_is_told_and_not_where_it_passed() -> None:
    said = describe(StreamingQueryException(CANCELLED))["message"]
    assert said == (
        "py4j.protocol.Py4JJavaError: An error occurred while calling o1.localCheckpoint.\n"
        ": org.apache.spark.SparkException: Job 34 cancelled part of cancelled job group 43f7"
    )
    assert describe(ValueError("first\n\tat java\nsecond"))["message"] == "first\nsecond"
