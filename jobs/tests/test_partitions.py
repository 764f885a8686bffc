"""Registering partitions: what is asked of Glue, and what its answers mean. Glue itself is botocore's stub."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from securecart.errors import JobError
from securecart.partitions import GlueRegistry, NoRegistry, registry

VALUES = {"dataset": "transactions", "batch": "b1"}
LOCATION = "s3://quarantine/records/dataset=transactions/batch=b1/"
STORAGE = {"Columns": [{"Name": "reason", "Type": "string"}], "Location": "s3://quarantine/records/"}


def registered(errors: list[dict[str, Any]], keys: tuple[str, ...] = ("dataset", "batch")) -> None:
    client = boto3.client("glue", "eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    table = {"Name": "records", "PartitionKeys": [{"Name": k} for k in keys], "StorageDescriptor": STORAGE}
    partition = {"Values": ["transactions", "b1"], "StorageDescriptor": {**STORAGE, "Location": LOCATION}}
    with Stubber(client) as stub:
        stub.add_response("get_table", {"Table": table}, {"DatabaseName": "shop_quarantine", "Name": "records"})
        stub.add_response(
            "batch_create_partition",
            {"Errors": errors},
            {"DatabaseName": "shop_quarantine", "TableName": "records", "PartitionInputList": [partition]},
        )
        GlueRegistry(client).register("shop_quarantine", "records", VALUES, LOCATION)
        stub.assert_no_pending_responses()


def error(code: str) -> list[dict[str, Any]]:
    return [{"PartitionValues": ["transactions", "b1"], "ErrorDetail": {"ErrorCode": code, "ErrorMessage": "why"}}]


def test_a_partition_gets_the_format_of_its_table_and_its_own_place() -> None:
    registered([])


def test_a_partition_that_is_there_already_is_a_success() -> None:
    registered(error("AlreadyExistsException"))


def test_any_other_refusal_fails_the_job() -> None:
    with pytest.raises(JobError, match=r"InternalServiceException: why\. Its files are at s3://quarantine"):
        registered(error("InternalServiceException"))


def test_other_partition_keys_are_refused() -> None:
    with pytest.raises(JobError, match="partitioned by"):
        registered([], ("batch", "dataset"))


def test_a_laptop_registers_nothing(lake_root: object) -> None:
    assert isinstance(registry(), NoRegistry)
