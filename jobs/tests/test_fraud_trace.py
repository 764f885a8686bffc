"""Segments of a job's trace: what they hold, that X-Ray takes them, and that their failure stops nothing."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest
from moto import mock_aws
from securecart import objects
from securecart.fraud.trace import Document, Trace, XRay, new_trace_id, parse_header, traced
from securecart.objects import LAKE_ROOT_VARIABLE, read_text

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


@pytest.mark.parametrize("header", [None, "", "nonsense", "Self=1", "Root=1-5759e988-bd862e3f;Parent=53995c3f42cd8ad8"])
def test_without_a_readable_header_a_trace_of_its_own_begins(header: str | None) -> None:
    trace_id, parent, sampled = parse_header(header)
    assert parent is None
    assert sampled
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", trace_id)
    assert int(trace_id.split("-")[1], 16) == pytest.approx(time.time(), abs=60)


def test_a_parent_that_is_no_segment_is_left_out() -> None:
    assert parse_header(HEADER.replace("53995c3f42cd8ad8", "none"))[1] is None


ID = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
#: Seconds, which milliseconds would not be.
TIME = {"type": "number", "exclusiveMinimum": 1e9, "exclusiveMaximum": 1e10}
ANNOTATIONS = {
    "type": "object",
    "propertyNames": {"pattern": "^[A-Za-z0-9_]+$"},
    "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": 1000},
}
EXCEPTION = {"type": "object", "required": ["id"], "properties": {"id": ID, "message": {"type": "string"}}}
PART = {
    "id": ID,
    "name": {"type": "string", "pattern": r"^[\w.:/%&#=+\\\-@ ]{1,200}$"},
    "start_time": TIME,
    "end_time": TIME,
    "fault": {"const": True},
    "cause": {"type": "object", "required": ["exceptions"], "properties": {"exceptions": {"items": EXCEPTION}}},
    "annotations": ANNOTATIONS,
}
#: Of the documented fields those that the jobs send, and no others.
SEGMENT = {
    "type": "object",
    "required": ["name", "id", "trace_id", "start_time"],
    "oneOf": [{"required": ["end_time"]}, {"required": ["in_progress"]}],
    "additionalProperties": False,
    "properties": {
        **PART,
        "trace_id": {"type": "string", "pattern": "^1-[0-9a-f]{8}-[0-9a-f]{24}$"},
        "parent_id": ID,
        "in_progress": {"const": True},
        "subsegments": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "id", "start_time", "end_time"],
                "additionalProperties": False,
                "properties": PART,
            },
        },
    },
}


def check(text: str) -> Document:
    """The document, which has the form that X-Ray documents (see `securecart.fraud.trace`)."""
    assert len(text.encode()) <= 64 * 1024
    document: Document = json.loads(text)
    jsonschema.validate(document, SEGMENT)
    parts = document["subsegments"]
    assert all(part["start_time"] <= part["end_time"] for part in parts)
    assert len({document["id"], *[part["id"] for part in parts]}) == 1 + len(parts)
    return document


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a job on AWS, whose calls moto answers: a public stand-in that keeps what it is sent."""
    monkeypatch.delenv(LAKE_ROOT_VARIABLE, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    objects._s3_store.cache_clear()
    with mock_aws():
        place = {"LocationConstraint": "eu-north-1"}
        boto3.client("s3").create_bucket(Bucket=FILE.split("/")[2], CreateBucketConfiguration=place)
        yield
    objects._s3_store.cache_clear()


def test_x_ray_gives_back_the_trace_of_a_job(aws: None) -> None:
    """A job that fails, as it runs on AWS, with the real boto3; then what X-Ray's readers get."""
    xray = boto3.client("xray")
    header = f"Root={new_trace_id()};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0"
    trace_id = header[5:40]
    begin = time.time() - 10
    caller = {"name": "plan", "id": "53995c3f42cd8ad8", "start_time": begin, "end_time": begin + 1}
    xray.put_trace_segments(TraceSegmentDocuments=[json.dumps({**caller, "trace_id": trace_id})])

    def job() -> None:
        with traced("fraud_score", header, FILE, time.time() - 3, batch="b1", rows=12) as trace:
            with trace.stage("read") as notes:
                notes["rows"] = 12
                time.sleep(0.2)
            with trace.stage("score"):
                raise ValueError("no such model " + "x" * 200_000)

    with pytest.raises(ValueError, match="no such model"):
        job()
    (found,) = xray.batch_get_traces(TraceIds=[trace_id])["Traces"]
    assert found["Id"] == trace_id
    sent = [check(one["Document"]) for one in found["Segments"] if one["Id"] != caller["id"]]
    # Once when it begins and once when it ends, under one id: X-Ray lets the complete one replace the other.
    complete, begun = sorted(sent, key=lambda document: "in_progress" in document)
    assert "in_progress" in begun
    assert begun["id"] == complete["id"]
    assert complete == json.loads(read_text(FILE))[0]
    assert (complete["name"], complete["trace_id"], complete["parent_id"]) == ("fraud_score", trace_id, caller["id"])
    assert complete["fault"] is True
    wait, read, score = complete["subsegments"]
    assert [part["name"] for part in (wait, read, score)] == ["queue_wait", "read", "score"]
    assert wait["start_time"] == complete["start_time"]
    assert complete["annotations"] == {
        "batch": "b1",
        "rows": 12,
        "read_ms": read["annotations"]["ms"],
        "score_ms": score["annotations"]["ms"],
    }
    assert read["annotations"]["rows"] == 12
    assert read["annotations"]["ms"] >= 200
    (exception,) = score["cause"]["exceptions"]
    assert exception["type"] == "ValueError"
    (summary,) = xray.get_trace_summaries(StartTime=begin - 1, EndTime=time.time() + 1)["TraceSummaries"]
    assert (summary["Id"], summary["HasFault"]) == (trace_id, True)


def test_what_x_ray_refuses_is_said_and_stops_nothing(aws: None, caplog: pytest.LogCaptureFixture) -> None:
    trace = Trace("fraud_score", HEADER, [XRay()], {})
    del trace.segment["in_progress"]
    with caplog.at_level(logging.WARNING):
        trace.send()
    assert "the trace could not be sent to XRay" in caplog.text
    assert "X-Ray refused 1 segments" in caplog.text
    assert "Missing end_time or in_progress" in caplog.text
