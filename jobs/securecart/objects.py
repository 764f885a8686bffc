"""Objects of the lake by URI: Amazon S3 on AWS, a directory per bucket on a laptop.

Spark reads and writes data through its own file system; this module serves the small files around it (plans,
metrics, contracts) and the byte streams that the CSV scanner reads. Which of the two adapters is used depends on
``SECURECART_LAKE_ROOT``: set, it is the folder that holds one folder per bucket.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import urlsplit

from securecart.errors import JobError

LAKE_ROOT_VARIABLE = "SECURECART_LAKE_ROOT"


class ObjectStore(Protocol):
    """What the jobs need of an object store."""

    def open(self, bucket: str, key: str, version: str | None) -> BinaryIO:
        """A stream over the object's bytes from the first one; the caller closes it."""

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Creates or replaces the object."""

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Keys that begin with the prefix, sorted."""


class DirectoryStore:
    """A folder with one folder per bucket. It holds one version of an object, so ``version`` is not looked at."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, bucket: str, key: str, version: str | None) -> BinaryIO:
        return (self.root / bucket / key).open("rb")

    def write(self, bucket: str, key: str, data: bytes) -> None:
        path = self.root / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_bytes(data)
        temporary.replace(path)

    def keys(self, bucket: str, prefix: str) -> list[str]:
        base = self.root / bucket
        folder = base / prefix if prefix.endswith("/") else (base / prefix).parent
        found = (p.relative_to(base).as_posix() for p in folder.rglob("*") if p.is_file())
        return sorted(key for key in found if key.startswith(prefix))


class S3Store:
    """Amazon S3 through boto3, which Glue and EMR ship."""

    def __init__(self) -> None:
        import boto3

        self.client = boto3.client("s3")

    def open(self, bucket: str, key: str, version: str | None) -> BinaryIO:
        which = {"VersionId": version} if version else {}
        try:
            return cast(BinaryIO, self.client.get_object(Bucket=bucket, Key=key, **which)["Body"])
        except self.client.exceptions.NoSuchKey as error:
            raise FileNotFoundError(f"there is no object s3://{bucket}/{key}") from error

    def write(self, bucket: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def keys(self, bucket: str, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))


@cache
def _s3_store() -> S3Store:
    return S3Store()


def store() -> ObjectStore:
    """The store of this process, on the driver or on an executor."""
    root = os.environ.get(LAKE_ROOT_VARIABLE)
    return DirectoryStore(Path(root)) if root else _s3_store()


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key)."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise JobError(f"'{uri}' is not an object's address: expected s3://<bucket>/<key>")
    return parts.netloc, parts.path.lstrip("/")


def open_object(uri: str, version: str | None = None) -> BinaryIO:
    """A stream over an object's bytes. Raises FileNotFoundError, PermissionError or boto's ClientError."""
    return store().open(*split_uri(uri), version)


def exists(uri: str) -> bool:
    """True when there is an object at this address."""
    return uri in list_objects(uri)


def list_objects(prefix: str) -> list[str]:
    """URIs of the objects whose address begins with ``prefix``, sorted."""
    bucket, key = split_uri(prefix)
    return [f"s3://{bucket}/{k}" for k in store().keys(bucket, key)]


def read_text(uri: str) -> str:
    """An object's text, UTF-8."""
    with open_object(uri) as stream:
        return stream.read().decode("utf-8")


def write_text(uri: str, text: str) -> None:
    """Creates or replaces an object with this text, UTF-8."""
    store().write(*split_uri(uri), text.encode("utf-8"))
