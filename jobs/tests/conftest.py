"""One Spark session for all tests, on a lake in a temporary folder, set up as the local run sets it up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from securecart.contract import Bundle, load_bundle
from securecart.objects import LAKE_ROOT_VARIABLE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def lake_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds one folder per bucket."""
    root = tmp_path_factory.mktemp("lake")
    os.environ[LAKE_ROOT_VARIABLE] = str(root)
    return root


@pytest.fixture(scope="session")
def spark(lake_root: Path) -> Iterator[SparkSession]:
    from spark_session import BUCKETS, local_session

    session = local_session(lake_root, lake_root.parent / "scratch")
    assert all((lake_root / bucket).is_dir() for bucket in BUCKETS.values())
    yield session
    session.stop()


@pytest.fixture(scope="session")
def contracts() -> Bundle:
    """The contracts of the repository."""
    return load_bundle(str(ROOT / "contracts"))


@pytest.fixture(scope="session")
def bundle_uri(lake_root: Path) -> str:
    """The same contracts as the bundle that jobs read."""
    import yaml
    from securecart.objects import write_text
    from spark_session import BUCKETS

    documents = [yaml.safe_load(f.read_text("utf-8")) for f in sorted((ROOT / "contracts").glob("*.yaml"))]
    reference = json.loads((ROOT / "contracts" / "reference.json").read_text("utf-8"))
    uri = f"s3://{BUCKETS['artifacts']}/contracts.json"
    write_text(uri, json.dumps({"contracts": documents, "reference": reference}))
    return uri
