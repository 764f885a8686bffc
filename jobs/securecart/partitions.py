"""Partitions of plain Parquet tables in the Glue catalog: a query engine sees only those that are registered there.

On a laptop folders are read as they are, so nothing is registered.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

from securecart.errors import JobError
from securecart.objects import LAKE_ROOT_VARIABLE


class PartitionRegistry(Protocol):
    """Where partitions are made known."""

    def register(self, database: str, table: str, values: Mapping[str, str], location: str) -> None:
        """Makes a partition known; one that is known already stays as it is.

        Args:
            values: partition keys and values, in the table's order.
            location: ``s3://…/`` of its files.
        """


class NoRegistry:
    """A laptop's: partitions are folders."""

    def register(self, database: str, table: str, values: Mapping[str, str], location: str) -> None:
        """Does nothing."""


class GlueRegistry:
    """The AWS Glue Data Catalog, by ``glue:GetTable`` and ``glue:BatchCreatePartition``."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def register(self, database: str, table: str, values: Mapping[str, str], location: str) -> None:
        """Registers the partition with the table's own format.

        Raises:
            JobError: when the catalog refuses it for another reason than that it is there.
        """
        found = self.client.get_table(DatabaseName=database, Name=table)["Table"]
        keys = [key["Name"] for key in found["PartitionKeys"]]
        if keys != list(values):
            raise JobError(f"table {database}.{table} is partitioned by {keys}, the job writes {list(values)}")
        storage = {**found["StorageDescriptor"], "Location": location}
        partition = {"Values": list(values.values()), "StorageDescriptor": storage}
        answer = self.client.batch_create_partition(
            DatabaseName=database, TableName=table, PartitionInputList=[partition]
        )
        for error in answer.get("Errors", []):
            detail = error["ErrorDetail"]
            if detail["ErrorCode"] != "AlreadyExistsException":
                raise JobError(
                    f"partition {dict(values)} of {database}.{table} was not registered: {detail['ErrorCode']}: "
                    f"{detail.get('ErrorMessage', '')}. Its files are at {location}; run the job again."
                )


def registry() -> PartitionRegistry:
    """The registry of this process."""
    if os.environ.get(LAKE_ROOT_VARIABLE):
        return NoRegistry()
    import boto3

    return GlueRegistry(boto3.client("glue"))
