"""Country of an IP address: which addresses are looked up, and what is said when the database is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from securecart.errors import JobError
from securecart.geo import countries, country_of, public_address

ROOT = Path(__file__).resolve().parents[2]
DATABASE = str(ROOT / "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8.8.8.8", "8.8.8.8"),
        (" 8.8.8.8 ", "8.8.8.8"),
        ("2001:4860:4860:0:0:0:0:8888", "2001:4860:4860::8888"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("::ffff:10.0.0.1", None),
        ("10.1.2.3", None),
        ("192.168.0.1", None),
        ("127.0.0.1", None),
        ("100.64.0.1", None),
        ("fe80::1", None),
        ("fd00::1", None),
        ("::1", None),
        ("2001:db8::1", None),
        ("8.8.8", None),
        ("8.8.8.256", None),
        ("not an address", None),
        ("", None),
        (None, None),
    ],
)
def test_only_public_addresses_are_looked_up(text: str | None, address: str | None) -> None:
    assert public_address(text) == address


def test_ipv4_and_ipv6_have_countries() -> None:
    assert country_of("8.8.8.8", DATABASE) == "US"
    assert country_of("2001:4860:4860::8888", DATABASE) == "US"
    assert country_of("::ffff:8.8.8.8", DATABASE) == "US"
    assert country_of("10.0.0.1", DATABASE) is None


def test_each_address_has_one_row(spark: SparkSession) -> None:
    given = ["8.8.8.8", "8.8.8.8", "2001:4860:4860::8888", "10.0.0.1", "nonsense", None]
    addresses = spark.createDataFrame([(a,) for a in given], "ip_address string")
    found = [tuple(r) for r in countries(addresses, DATABASE).collect()]
    assert sorted(found) == [("10.0.0.1", None), ("2001:4860:4860::8888", "US"), ("8.8.8.8", "US"), ("nonsense", None)]


@pytest.mark.parametrize("content", [None, b"this is no database"])
def test_a_database_that_cannot_be_read_is_named_with_the_remedy(
    spark: SparkSession, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / f"countries-{content is None}.mmdb"
    if content is not None:
        file.write_bytes(content)
    addresses = spark.createDataFrame([("8.8.8.8",)], "ip_address string")
    with pytest.raises(JobError, match=rf"{file}.*--geo-database.*node_modules.*artifacts bucket"):
        countries(addresses, str(file))
