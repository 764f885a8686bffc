"""Segments of a job's trace: what they hold, that X-Ray takes them, and that their failure stops nothing."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from securecart.fraud.trace import Document, Trace, XRay, new_trace_id, parse_header, traced
from securecart.objects import read_text

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
FILE = "s3://securecart-local-staging/runs/b1/fraud_score-trace.json"


def documents() -> Document:
    found: list[Document] = json.loads(read_text(FILE))
    return found[0]


def test_a_segment_hangs_under_its_caller_with_stages_and_notes(lake_root: Path) -> None:
    asked = time.time() - 3
    with traced("fraud_score", HEADER, FILE, asked, batch="b1") as trace:
        assert documents()["in_progress"] is True
        with trace.stage("read") as notes:
            notes["rows"] = 12
            time.sleep(0.2)  # the slow read that has to show
        with trace.stage("score"):
            pass
    segment = documents()
    assert (segment["trace_id"], segment["parent_id"]) == ("1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8")
    assert [part["name"] for part in segment["subsegments"]] == ["queue_wait", "read", "score"]
    wait, read, score = segment["subsegments"]
    assert wait["end_time"] - wait["start_time"] == pytest.approx(3, abs=1)
    assert read["annotations"]["rows"] == 12
    assert segment["annotations"]["read_ms"] >= 200 > segment["annotations"]["score_ms"]
    assert score["end_time"] <= segment["end_time"]
    assert "in_progress" not in segment


def test_a_failure_is_in_the_trace_and_goes_on(lake_root: Path) -> None:
    with (
        pytest.raises(ValueError, match="no such table"),
        traced("fraud_score", None, FILE, None) as trace,
        trace.stage("read"),
    ):
        raise ValueError("no such table")
    segment = documents()
    assert segment["fault"] is True
    assert segment["subsegments"][0]["cause"]["exceptions"][0]["message"] == "no such table"


def test_a_sink_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def put(self, segments: list[Document]) -> None:
            raise OSError("no route to host")

    with caplog.at_level(logging.WARNING):
        Trace("job", None, [Broken()], {}).send()
    assert "the trace could not be sent to Broken" in caplog.text


def test_what_is_not_sampled_is_not_sent() -> None:
    sent: list[Any] = []

    class Client:
        def put_trace_segments(self, **request: Any) -> dict[str, Any]:
            sent.append(request)
            return {}

    Trace("job", HEADER.replace("Sampled=1", "Sampled=0"), [XRay(Client())], {}).send()
    assert sent == []
    Trace("job", HEADER, [XRay(Client())], {}).send()
    assert len(sent) == 1


@pytest.mark.parametrize("header", [None, "", "nonsense", "Self=1"])
def test_without_a_readable_header_a_trace_of_its_own_begins(header: str | None) -> None:
    trace_id, parent, sampled = parse_header(header)
    assert parent is None
    assert sampled
    assert len(trace_id) == len(new_trace_id()) == 35


class XRayEndpoint(BaseHTTPRequestHandler):
    """Takes PutTraceSegments over HTTP and refuses documents that X-Ray's documentation would have refused."""

    kept: ClassVar[list[Document]] = []

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = []
        for text in request["TraceSegmentDocuments"]:
            document = json.loads(text)
            if self.path == "/TraceSegments" and len(text) <= 65536 and valid(document):
                self.kept.append(document)
            else:
                refused.append({"Id": document.get("id"), "ErrorCode": "InvalidSegment", "Message": "refused"})
        answer = json.dumps({"UnprocessedTraceSegments": refused}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing on the terminal."""


def valid(document: Document) -> bool:
    """Required fields and forms of a segment document."""
    return (
        re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", document["trace_id"]) is not None
        and (document.get("in_progress") is True) != ("end_time" in document)
        and all(re.fullmatch(r"[A-Za-z_0-9]+", key) for key in document["annotations"])
        and all(
            re.fullmatch(r"[0-9a-f]{16}", part["id"]) and part["start_time"] <= part["end_time"]
            for part in document["subsegments"]
        )
    )


@pytest.fixture
def endpoint() -> Iterator[str]:
    XRayEndpoint.kept.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), XRayEndpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_an_x_ray_endpoint_takes_the_segments_of_boto3(endpoint: str) -> None:
    """A stand-in with the documented checks, not the service."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    sink = XRay(boto3.client("xray", endpoint_url=endpoint, region_name="eu-north-1", **keys))
    trace = Trace("fraud_score", HEADER, [sink], {"batch": "b1"})
    with trace.stage("read") as notes:
        notes["rows"] = 1
        time.sleep(0.15)
    trace.segment["end_time"] = time.time()
    with pytest.raises(RuntimeError, match="X-Ray refused 1 segments"):
        sink.put([trace.segment])  # in progress and ended at once
    del trace.segment["in_progress"]
    sink.put([trace.segment])
    assert XRayEndpoint.kept == [trace.segment]
    assert XRayEndpoint.kept[0]["subsegments"][0]["annotations"]["ms"] >= 150
