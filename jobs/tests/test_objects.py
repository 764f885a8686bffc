"""The object store's adapter for Amazon S3, over the answers that S3 gives."""

from __future__ import annotations

import io
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from securecart.objects import S3Store


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> tuple[S3Store, Stubber]:
    client = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(boto3, "client", lambda _service: client)
    return S3Store(), Stubber(client)


def body(data: bytes) -> dict[str, Any]:
    return {"Body": StreamingBody(io.BytesIO(data), len(data))}


def test_an_object_is_read_in_the_version_that_is_asked_for(s3: tuple[S3Store, Stubber]) -> None:
    store, stubber = s3
    stubber.add_response("get_object", body(b"new"), {"Bucket": "b", "Key": "k"})
    stubber.add_response("get_object", body(b"old"), {"Bucket": "b", "Key": "k", "VersionId": "v1"})
    with stubber:
        assert (store.open("b", "k", None).read(), store.open("b", "k", "v1").read()) == (b"new", b"old")


def test_an_object_that_is_not_there_is_named_as_in_a_directory(s3: tuple[S3Store, Stubber]) -> None:
    store, stubber = s3
    stubber.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    with stubber, pytest.raises(FileNotFoundError, match="s3://b/k"):
        store.open("b", "k", None)


def test_every_page_of_a_listing_is_read(s3: tuple[S3Store, Stubber]) -> None:
    store, stubber = s3
    first = {"IsTruncated": True, "NextContinuationToken": "t", "Contents": [{"Key": "p/2"}]}
    stubber.add_response("list_objects_v2", first, {"Bucket": "b", "Prefix": "p/"})
    more = {"Bucket": "b", "Prefix": "p/", "ContinuationToken": "t"}
    stubber.add_response("list_objects_v2", {"IsTruncated": False, "Contents": [{"Key": "p/1"}]}, more)
    with stubber:
        assert store.keys("b", "p/") == ["p/1", "p/2"]
