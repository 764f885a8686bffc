"""Sends what a job did, and when, to AWS X-Ray as segments, and keeps the same documents in the lake.

The calling Lambda's trace header (``Root=…;Parent=…;Sampled=…``) comes as an argument, so that the job's segment hangs
under the state that started it. Nothing that goes wrong here may stop a job: it is logged, and the job goes on. The
documents follow https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from securecart.objects import LAKE_ROOT_VARIABLE, write_text

log = logging.getLogger(__name__)

Document = dict[str, Any]


class Sink(Protocol):
    """Where segment documents go."""

    def put(self, segments: list[Document]) -> None:
        """Takes segments as they now are; one with the same id replaces its earlier form. May raise anything."""


class XRay:
    """AWS X-Ray, reached with short time limits: tracing must not hold up a job."""

    def __init__(self, client: Any = None) -> None:
        if client is None:
            import boto3
            from botocore.config import Config

            limits = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
            client = boto3.client("xray", config=limits)
        self.client = client

    def put(self, segments: list[Document]) -> None:
        # X-Ray takes a document of up to 64 KB.
        answer = self.client.put_trace_segments(TraceSegmentDocuments=[json.dumps(one) for one in segments])
        refused = answer.get("UnprocessedTraceSegments", [])
        if refused:
            raise RuntimeError(f"X-Ray refused {len(refused)} segments: {refused[0]}")


class RunFile:
    """A file of the run, from which the report draws."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def put(self, segments: list[Document]) -> None:
        write_text(self.uri, json.dumps(segments, indent=1))


def new_trace_id() -> str:
    """A trace id of now: version, epoch seconds and 96 random bits."""
    return f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"


def parse_header(header: str | None) -> tuple[str, str | None, bool]:
    """Trace id, parent segment and whether the trace is sampled.

    Without a header, or with ids that X-Ray would refuse, a new, sampled trace.
    """
    fields = dict(part.strip().split("=", 1) for part in (header or "").split(";") if "=" in part)
    root, parent = fields.get("Root", ""), fields.get("Parent", "")
    if not re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", root):
        return new_trace_id(), None, True
    return root, parent if re.fullmatch(r"[0-9a-f]{16}", parent) else None, fields.get("Sampled", "1") != "0"


class Trace:
    """One segment with its subsegments."""

    def __init__(self, name: str, header: str | None, sinks: list[Sink], annotations: dict[str, str | int]) -> None:
        trace_id, parent, sampled = parse_header(header)
        # What is not sampled is not sent, but the run's own file is the run's.
        self.sinks = [sink for sink in sinks if sampled or not isinstance(sink, XRay)]
        self.segment: Document = {
            "name": name,
            "id": secrets.token_hex(8),
            "trace_id": trace_id,
            "start_time": time.time(),
            "in_progress": True,
            "annotations": annotations,
            "subsegments": [],
            **({"parent_id": parent} if parent else {}),
        }

    def send(self) -> None:
        """Hands the segment to every sink. A sink that fails is logged."""
        for sink in self.sinks:
            try:
                sink.put([self.segment])
            except Exception:  # whatever the network or the service does, the job's work goes on
                log.warning("the trace could not be sent to %s", type(sink).__name__, exc_info=True)

    def add(self, name: str, start: float, end: float) -> None:
        """A subsegment that lies in the past, such as the time a job waited for machines."""
        self.segment["subsegments"].append(
            {"name": name, "id": secrets.token_hex(8), "start_time": start, "end_time": end, "annotations": {}}
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, int]]:
        """Times a block as a subsegment; what the block puts into the yielded dictionary becomes annotations."""
        notes: dict[str, int] = {}
        document: Document = {
            "name": name,
            "id": secrets.token_hex(8),
            "start_time": time.time(),
            "annotations": notes,
        }
        self.segment["subsegments"].append(document)
        try:
            yield notes
        except BaseException as error:
            _failed(document, error)
            raise
        finally:
            document["end_time"] = time.time()
            elapsed = round((document["end_time"] - document["start_time"]) * 1000)
            self.segment["annotations"][f"{name}_ms"] = notes["ms"] = elapsed


def _failed(document: Document, error: BaseException) -> None:
    document["fault"] = True
    exception = {"id": secrets.token_hex(8), "type": type(error).__name__, "message": str(error)[:500]}
    document["cause"] = {"working_directory": "", "exceptions": [exception]}


@contextmanager
def traced(name: str, header: str | None, file: str, submitted_at: float | None, **about: str | int) -> Iterator[Trace]:
    """Traces a job: the segment is sent in progress when it begins and complete when it ends, however it ends.

    Args:
        name: the segment's name.
        header: the caller's trace header.
        file: where the run keeps the documents, s3://….
        submitted_at: when the job was asked for, epoch seconds; what has passed since is the subsegment queue_wait.
        about: annotations of the segment.
    """
    sinks: list[Sink] = [RunFile(file)]
    if not os.environ.get(LAKE_ROOT_VARIABLE):
        try:
            sinks.append(XRay())
        except Exception:
            log.warning("X-Ray cannot be reached; the trace stays in %s", file, exc_info=True)
    trace = Trace(name, header, sinks, dict(about))
    if submitted_at is not None:
        trace.add("queue_wait", min(submitted_at, trace.segment["start_time"]), trace.segment["start_time"])
        trace.segment["start_time"] = trace.segment["subsegments"][0]["start_time"]
    trace.send()
    try:
        yield trace
    except BaseException as error:
        _failed(trace.segment, error)
        raise
    finally:
        del trace.segment["in_progress"]
        trace.segment["end_time"] = time.time()
        trace.send()
